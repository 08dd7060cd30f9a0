//! Tokens are taken back: all of a user's, or one.

use std::time::Duration;

use axum::{Json as AxumJson, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_core::{
    api_key::Scope,
    audit::Happening,
    ids::UserId,
    revocation::{MAX_JTI, MAX_STANDING, Revocation, Revoked},
    signal::NodeSignal,
    time::Timestamp,
};
use utoipa::ToSchema;

use super::{
    caller::Server,
    extract::{Json, OptionalBytes, Path, parse},
    problem::Problem,
};
use crate::{
    auth::{MAX_TOKEN, TokenError},
    state::AppState,
};

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeUser {
    /// For the audit log.
    #[schema(max_length = 128)]
    reason: Option<String>,
    /// Tokens issued before this instant, which is not in the future; now, if left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    before: Option<Timestamp>,
}

/// One token: itself, or its `jti` with its `exp`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeToken {
    token: Option<String>,
    #[schema(max_length = 256)]
    jti: Option<String>,
    /// Seconds since the epoch, as in the token.
    exp: Option<u64>,
    /// For the audit log.
    #[schema(max_length = 128)]
    reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserRevoked {
    user_id: String,
    /// Tokens issued before this do not hold any more.
    #[schema(value_type = String, format = DateTime)]
    before: Timestamp,
    /// Then none of them would hold anyway.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenRevoked {
    /// False: the token has ended already.
    revoked: bool,
    /// When the token would have ended.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
}

/// Takes back all tokens of a user that were issued until now. Connections with them are closed
/// at once.
#[utoipa::path(
    post, path = "/users/{id}/revoke", tag = "users", params(("id" = String, Path)), security(("apiKey" = [])),
    request_body(content = RevokeUser, description = "May be left out"),
    responses((status = 200, body = UserRevoked), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn user(
    State(state): State<AppState>,
    server: Server,
    Path(id): Path<String>,
    OptionalBytes(body): OptionalBytes,
) -> Result<AxumJson<UserRevoked>, Problem> {
    server.require(Scope::UsersWrite)?;
    let RevokeUser { reason, before } =
        if body.is_empty() { RevokeUser::default() } else { parse(&body, "")? };
    let user = UserId::new(&id).map_err(|problem| bad("id", "BAD_ID", &problem.to_string()))?;
    let now = state.clock.now();
    let before = before.unwrap_or(now);
    if before > now {
        return Err(bad("/before", "IN_FUTURE", "must not be in the future"));
    }
    let auth = &state.config.auth;
    let ends_at = before.plus(auth.max_token_life).plus(auth.leeway);
    let happening = server.does("user.revoked").about(&user).with("before", before);
    let happening = because(happening, reason.as_deref())?;
    let revoked = Revoked::User { user: user.clone(), before };
    revoke(&state, Revocation { revoked, ends_at }, now).await?;
    server.did_once(happening);
    Ok(AxumJson(UserRevoked { user_id: user.to_string(), before, ends_at }))
}

/// Takes back one token. Connections with it are closed at once.
#[utoipa::path(
    post, path = "/tokens/revoke", tag = "tokens", security(("apiKey" = [])), request_body = RevokeToken,
    responses((status = 200, body = TokenRevoked), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn token(
    State(state): State<AppState>,
    server: Server,
    Json(body): Json<RevokeToken>,
) -> Result<AxumJson<TokenRevoked>, Problem> {
    server.require(Scope::UsersWrite)?;
    let now = state.clock.now();
    let happening = because(server.does("token.revoked"), body.reason.as_deref())?;
    let (revoked, end, happening) = match body {
        RevokeToken { token: Some(token), jti: None, exp: None, .. } => {
            match this_token(&state, &token).await? {
                Some((revoked, end, user)) => (revoked, end, happening.about(&user)),
                None => return Ok(AxumJson(TokenRevoked { revoked: false, ends_at: now })),
            }
        }
        RevokeToken { token: None, jti: Some(jti), exp: Some(exp), .. } => {
            if !(1..=MAX_JTI).contains(&jti.len()) {
                return Err(bad("/jti", "BAD_LENGTH", "must have 1 to 256 bytes"));
            }
            let end = i64::try_from(exp).unwrap_or(i64::MAX).saturating_mul(1_000);
            let happening = happening.target(&jti);
            (Revoked::Jti { jti }, Timestamp::from_millis(end), happening)
        }
        _ => {
            let detail = "needs either token, or jti and exp";
            return Err(bad("", "BAD_CHOICE", detail));
        }
    };
    if end <= now {
        return Ok(AxumJson(TokenRevoked { revoked: false, ends_at: end }));
    }
    let leeway: Duration = state.config.auth.leeway;
    revoke(&state, Revocation { revoked, ends_at: end.plus(leeway) }, now).await?;
    server.did_once(happening);
    Ok(AxumJson(TokenRevoked { revoked: true, ends_at: end }))
}

/// What is to be revoked, until when, and whose it is; `None`: it has ended.
async fn this_token(
    state: &AppState,
    token: &str,
) -> Result<Option<(Revoked, Timestamp, UserId)>, Problem> {
    if token.len() > MAX_TOKEN {
        return Err(bad("/token", "TOO_LONG", "must have at most 8192 bytes"));
    }
    match state.tokens.look_at(token).await {
        Ok(claims) => {
            let end = claims.expires_at();
            Ok(Some((Revoked::Token { hash: claims.hash }, end, claims.sub)))
        }
        Err(TokenError::Expired) => Ok(None),
        Err(TokenError::Unavailable) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "AUTH_UNAVAILABLE",
            "The token cannot be looked at now",
        )
        .with_retry_after(5)),
        Err(_) => Err(bad("/token", "BAD_TOKEN", "is not a token that is accepted here")),
    }
}

/// Keeps it, here at once and on the other nodes as soon as they hear of it.
pub(super) async fn revoke(
    state: &AppState,
    revocation: Revocation,
    now: Timestamp,
) -> Result<(), Problem> {
    if !state.store.revoke(revocation.clone(), now, MAX_STANDING).await? {
        let detail = "Too many revocations stand; nothing was done";
        return Err(Problem::new(StatusCode::CONFLICT, "TOO_MANY_REVOCATIONS", detail));
    }
    state.revocations.add([revocation.clone()]);
    let signal = std::sync::Arc::new(NodeSignal::Revoked(revocation));
    if let Err(problem) = state.bus.publish_to_nodes(&signal).await {
        tracing::warn!(%problem, "other nodes hear of a revocation within a minute");
    }
    Ok(())
}

fn because(happening: Happening, reason: Option<&str>) -> Result<Happening, Problem> {
    match reason {
        Some(reason) if reason.chars().count() > tidings_core::audit::MAX_TEXT => {
            Err(bad("/reason", "TOO_LONG", "must have at most 128 characters"))
        }
        Some(reason) => Ok(happening.with("reason", reason)),
        None => Ok(happening),
    }
}

fn bad(pointer: &str, code: &str, detail: &str) -> Problem {
    Problem::field(StatusCode::UNPROCESSABLE_ENTITY, pointer, code, detail)
}
