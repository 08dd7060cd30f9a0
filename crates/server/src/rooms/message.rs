//! `room:message`: what clients say to one another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use tidings_core::{
    ids::UserId,
    room::{Except, RoomEvent, RoomName},
    time::Timestamp,
};

use super::{join::is_own, publish::publish};
use crate::{
    inbox::{
        InboxSession,
        commands::{Answer, CommandError, parse},
    },
    state::AppState,
};

/// Permissions of a token, each of which is enough.
const PERMISSIONS: [&str; 2] = ["rooms:send", "room:message"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    room: String,
    data: Box<RawValue>,
}

/// As the others get it.
#[derive(Serialize)]
struct Heard<'a> {
    room: &'a RoomName,
    from: &'a UserId,
    data: &'a RawValue,
    timestamp: Timestamp,
}

pub(super) async fn send(
    state: &AppState,
    session: &InboxSession,
    arg: Option<&RawValue>,
) -> Answer {
    let Message { room, data } = parse(arg)?;
    let most = state.config.limits.event_data;
    if data.get().len() > most {
        let message = format!("data: must have at most {most} bytes");
        return Err(CommandError::new("PAYLOAD_TOO_LARGE", message));
    }
    let room = RoomName::parse(&room)
        .map_err(|problem| CommandError::new("INVALID_ROOM", format!("room: {problem}")))?;
    if !is_own(session, &room) && !session.rooms.contains(&room) {
        return Err(CommandError::new("NOT_IN_ROOM", "You are not in this room"));
    }
    let by_kind = state.room_kinds.get(room.kind()).is_some_and(|kind| kind.clients_may_send);
    let claims = session.claims();
    let by_token =
        claims.rights.permissions.iter().any(|held| PERMISSIONS.contains(&held.as_str()));
    if !by_kind && !by_token {
        let message = "Your token lacks the permission rooms:send";
        return Err(CommandError::new("FORBIDDEN", message));
    }
    let timestamp = state.clock.now();
    let heard = Heard { room: &room, from: &session.user, data: &data, timestamp };
    let data = serde_json::value::to_raw_value(&heard)
        .map_err(|problem| CommandError::new("INTERNAL", problem.to_string()))?;
    let event = RoomEvent {
        room,
        name: "room:message".to_owned(),
        data,
        audiences: Arc::default(),
        except: Except { users: Vec::new(), sockets: vec![session.socket.id().to_owned()] },
        volatile: false,
        at: timestamp,
        history: None,
        memory: None,
        position: None,
    };
    publish(state, event).await.map_err(|problem| {
        tracing::warn!(%problem, "a message was not published");
        CommandError::new("UNAVAILABLE", "The message did not reach the others; try again")
    })?;
    Ok(json!({ "ok": true, "timestamp": timestamp }))
}
