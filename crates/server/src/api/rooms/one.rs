//! A room as it is now.

use axum::{Json, extract::State};
use serde::Serialize;
use tidings_core::{api_key::Scope, ids::UserId, room::RoomName};
use utoipa::ToSchema;

use crate::{
    api::{caller::Server, extract::Path, problem::Problem},
    cluster,
    state::AppState,
};

/// Most users that are named.
const MAX_NAMED: usize = 100;

/// A room, and who is in it.
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
    /// Users whom the others see in it; without the invisible.
    online: usize,
    /// Up to 100 of them, by id. `GET /presence?room=` tells more of all.
    #[schema(value_type = Vec<String>)]
    online_users: Vec<UserId>,
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
    let presence = cluster::room_presence(&state, &room).await;
    let here = cluster::room_view(&state, &room, None, MAX_NAMED).await;
    Ok(Json(Room {
        kind: room.kind().to_owned(),
        max_members: kind.max_members,
        users: presence.users,
        connections: presence.connections,
        online: here.online,
        online_users: here.users.into_iter().map(|entry| entry.user_id).collect(),
        room,
    }))
}
