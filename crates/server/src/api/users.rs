//! What the application tells about its users.

use axum::{Json as AxumJson, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_core::{api_key::Scope, ids::UserId, notification::is_safe_url, user::User};
use utoipa::ToSchema;

use super::{
    caller::Server,
    extract::{Json, Path},
    problem::Problem,
};
use crate::state::AppState;

/// Longest name of a user, in bytes.
const MAX_NAME: usize = 256;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutUser {
    /// Shown as the actor of notifications.
    name: Option<String>,
    /// https, http or relative.
    avatar_url: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserAnswer {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

/// Creates or replaces a user. Users hear of announcements to all from then on (or from their
/// first connection).
#[utoipa::path(
    put, path = "/users/{id}", tag = "users", params(("id" = String, Path)), security(("apiKey" = [])),
    request_body = PutUser,
    responses((status = 200, body = UserAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn put(
    State(state): State<AppState>,
    server: Server,
    Path(id): Path<String>,
    Json(body): Json<PutUser>,
) -> Result<AxumJson<UserAnswer>, Problem> {
    server.require(Scope::UsersWrite)?;
    let bad = |pointer: &str, code: &str, detail: String| {
        Problem::field(StatusCode::UNPROCESSABLE_ENTITY, pointer, code, detail)
    };
    let id = UserId::new(&id).map_err(|problem| bad("id", "BAD_ID", problem.to_string()))?;
    if body.name.as_ref().is_some_and(|name| name.len() > MAX_NAME) {
        return Err(bad("/name", "TOO_LONG", format!("must have at most {MAX_NAME} bytes")));
    }
    if body.avatar_url.as_ref().is_some_and(|url| !is_safe_url(url)) {
        return Err(bad(
            "/avatarUrl",
            "BAD_URL",
            "must be an https, http or relative address".into(),
        ));
    }
    let user =
        User { id, name: body.name, avatar_url: body.avatar_url, created_at: state.clock.now() };
    state.store.put_user(user.clone()).await?;
    server.did(server.does("user.updated").about(&user.id));
    Ok(AxumJson(UserAnswer {
        id: user.id.to_string(),
        name: user.name,
        avatar_url: user.avatar_url,
    }))
}
