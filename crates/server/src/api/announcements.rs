//! How far an announcement is.

use axum::{Json, extract::State};
use http::StatusCode;
use tidings_core::{api_key::Scope, ports::StoreError};
use utoipa::ToSchema;

use super::{caller::Server, extract::Path, problem::Problem};
use crate::{spool::STORED_FIRST, state::AppState};

/// The shape of [`tidings_core::announcement::Announcement`].
#[derive(serde::Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what the domain encodes; never made")]
pub(super) struct Announcement {
    id: uuid::Uuid,
    /// scheduled, running, done or cancelled.
    state: String,
    /// Recipients when it was accepted.
    total: u64,
    processed: u64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    run_at: String,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
}

/// How far an announcement is.
#[utoipa::path(
    get, path = "/announcements/{id}", tag = "announcements", params(("id" = Uuid, Path)), security(("apiKey" = [])),
    responses((status = 200, body = Announcement), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn one(
    State(state): State<AppState>,
    server: Server,
    Path(id): Path<String>,
) -> Result<Json<tidings_core::announcement::Announcement>, Problem> {
    server.require(Scope::NotificationsRead)?;
    let missing =
        || Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is no such announcement");
    let id = id.parse().map_err(|_| missing())?;
    // Asked before the store is: what is gone from here is there.
    let waits = state.spool.as_ref().is_some_and(|spool| !spool.is_empty());
    match state.store.announcement(id).await? {
        // It may be among what waits.
        None if waits => Err(StoreError::Unavailable(STORED_FIRST.to_owned()).into()),
        found => found.map(Json).ok_or_else(missing),
    }
}
