//! A room as it is now.

use axum::{Json, extract::State};
use serde::Serialize;
use tidings_core::{api_key::Scope, room::RoomName};
use utoipa::ToSchema;

use crate::{
    api::{caller::Server, extract::Path, problem::Problem},
    state::AppState,
};

/// A room, and who of this node is in it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Room {
    #[schema(value_type = String, example = "post:42")]
    room: RoomName,
    #[schema(example = "post")]
    kind: String,
    /// Most users that may be in it.
    max_members: usize,
    /// Users who are in it now.
    users: usize,
    /// Their connections.
    connections: usize,
}

/// Who is in a room now.
#[utoipa::path(
    get, path = "/rooms/{room}", tag = "rooms", params(("room" = String, Path)),
    security(("apiKey" = [])),
    responses((status = 200, body = Room), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn one(
    State(state): State<AppState>,
    server: Server,
    Path(room): Path<String>,
) -> Result<Json<Room>, Problem> {
    server.require(Scope::RoomsRead)?;
    let (room, kind) = super::room(&state, &room, "room")?;
    let presence = state.rooms.presence(&room);
    Ok(Json(Room {
        kind: room.kind().to_owned(),
        max_members: kind.max_members,
        users: presence.users,
        connections: presence.connections,
        room,
    }))
}
