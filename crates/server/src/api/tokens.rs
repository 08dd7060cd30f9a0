//! Servers that have no identity provider let Tidings sign their users' tokens.

use std::time::Duration;

use axum::{Json as AxumJson, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_core::{api_key::Scope, ids::UserId, time::Timestamp};
use utoipa::ToSchema;

use super::{caller::Server, extract::Json, problem::Problem};
use crate::{
    auth::{Claims, sign},
    state::AppState,
};

const MAX_TTL: u64 = 24 * 3600;

/// Roles cannot be given: a leaked key must not make anybody an administrator.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct IssueToken {
    #[schema(value_type = String)]
    user_id: UserId,
    /// Seconds, at most a day.
    #[schema(minimum = 1, maximum = 86400)]
    ttl_seconds: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct IssuedToken {
    token: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Issues a token for a user, valid for an hour unless said otherwise.
#[utoipa::path(
    post, path = "/tokens", tag = "tokens", security(("apiKey" = [])), request_body = IssueToken,
    responses((status = 201, body = IssuedToken), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn issue(
    State(state): State<AppState>,
    server: Server,
    Json(body): Json<IssueToken>,
) -> Result<(StatusCode, AxumJson<IssuedToken>), Problem> {
    server.require(Scope::TokensWrite)?;
    let ttl = body.ttl_seconds.unwrap_or(3600);
    if !(1..=MAX_TTL).contains(&ttl) {
        let detail = "must be between 1 and 86400";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::field(status, "/ttlSeconds", "OUT_OF_RANGE", detail));
    }
    let secret = state.signing_secret.as_deref().ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "NO_SIGNING_SECRET",
            "This server checks tokens but has no shared secret to sign them with",
        )
    })?;
    let expires_at = state.clock.now().plus(Duration::from_secs(ttl));
    let exp = u64::try_from(expires_at.as_millis() / 1000).unwrap_or(0);
    let claims = Claims::user(body.user_id, exp).issued(state.clock.now());
    let token = sign(&claims, secret, &state.config.auth).map_err(|problem| {
        tracing::error!(%problem, "a token could not be signed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "The token was not signed")
    })?;
    server.did(server.does("token.issued").about(&claims.sub));
    Ok((StatusCode::CREATED, AxumJson(IssuedToken { token, expires_at })))
}
