//! Tickets: for clients that can prove who they are only in an address.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use tidings_core::time::Timestamp;
use utoipa::ToSchema;

use super::{caller::User, problem::Problem};
use crate::state::AppState;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct IssuedTicket {
    /// For `?ticket=` of `/api/v1/stream` or `/ws`, once.
    #[schema(example = "tdt_0f…")]
    ticket: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Issues a ticket that opens one stream or one plain WebSocket within a minute.
#[utoipa::path(
    post, path = "/stream-tickets", tag = "stream", security(("userToken" = [])),
    responses((status = 201, body = IssuedTicket), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn issue(
    State(state): State<AppState>,
    user: User,
) -> (StatusCode, Json<IssuedTicket>) {
    let (ticket, expires_at) = state.tickets.issue(user.claims, state.clock.now());
    (StatusCode::CREATED, Json(IssuedTicket { ticket, expires_at }))
}
