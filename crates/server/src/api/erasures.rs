//! Erasing a user, and how far that is.

use std::fmt::Write as _;

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use tidings_core::{
    api_key::Scope,
    erasure::{self, ErasureId, NewErasure},
    ids::UserId,
    revocation::{Revocation, Revoked},
    time::Timestamp,
};
use utoipa::ToSchema;

use super::{caller::Server, extract::Path, problem::Problem, revocations};
use crate::{secret::random_bytes, state::AppState};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Erasure {
    id: uuid::Uuid,
    /// running or done.
    #[schema(pattern = "^(running|done)$")]
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// Where to see how far it is.
    status: String,
}

impl From<erasure::Erasure> for Erasure {
    fn from(erasure: erasure::Erasure) -> Self {
        Self {
            id: erasure.id.0,
            state: if erasure.finished_at.is_some() { "done" } else { "running" },
            requested_at: erasure.requested_at,
            finished_at: erasure.finished_at,
            status: format!("/api/v1/erasures/{}", erasure.id),
        }
    }
}

/// Erases everything about a user. The user's tokens issued until now are taken back, their
/// connections closed, and the inbox is gone when this answers; the rest follows in the
/// background. A user who comes back begins anew.
#[utoipa::path(
    delete, path = "/users/{id}", tag = "users", params(("id" = String, Path)), security(("apiKey" = [])),
    responses((status = 202, body = Erasure), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn begin(
    State(state): State<AppState>,
    server: Server,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Erasure>), Problem> {
    server.require(Scope::UsersWrite)?;
    let user = UserId::new(&id).map_err(|problem| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Problem::field(status, "id", "BAD_ID", problem.to_string())
    })?;
    let now = state.clock.now();
    // First, so that nobody who is still signed in begins the new inbox.
    let auth = &state.config.auth;
    let ends_at = now.plus(auth.max_token_life).plus(auth.leeway);
    let revoked = Revoked::User { user: user.clone(), before: now };
    revocations::revoke(&state, Revocation { revoked, ends_at }, now).await?;
    let subject = erasure::subject(&user);
    let new = NewErasure {
        id: ErasureId::new_v7(now, random_bytes()),
        user,
        requested_at: now,
        settles_at: now.plus(state.config.retention.erasure_settle),
    };
    let begun = state.store.begin_erasure(new).await?;
    // Whoever holds the id can tell by the hash that this was it; the log does not name it.
    let happening = server.does("user.erased").target(begun.id);
    server.did_once(happening.with("subject", hex(&subject)));
    state.erasing.notify_one();
    Ok((StatusCode::ACCEPTED, Json(begun.into())))
}

fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::with_capacity(2 * hash.len()), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How far an erasure is. It is forgotten when the same user is erased again.
#[utoipa::path(
    get, path = "/erasures/{id}", tag = "users", params(("id" = uuid::Uuid, Path)), security(("apiKey" = [])),
    responses((status = 200, body = Erasure), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn one(
    State(state): State<AppState>,
    server: Server,
    Path(id): Path<String>,
) -> Result<Json<Erasure>, Problem> {
    server.require(Scope::UsersWrite)?;
    let missing = || Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is no such erasure");
    let id = id.parse().map_err(|_| missing())?;
    let found = state.store.erasure(id).await?.ok_or_else(missing)?;
    Ok(Json(found.into()))
}
