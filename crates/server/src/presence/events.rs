//! The events that the server sends about presence.

use serde::Serialize;
use serde_json::{json, value::RawValue};
use tidings_core::{
    ids::UserId,
    presence::{Coming, Going, News, Own, Status},
    room::{Except, RoomEvent, RoomName},
    time::Timestamp,
};
use tidings_gateway::Frame;

use crate::inbox::events::event;

pub(super) const UPDATE: &str = "presence:update";
pub(super) const ONLINE: &str = "presence:user:online";
pub(super) const OFFLINE: &str = "presence:user:offline";

#[derive(Serialize)]
struct Update<'a> {
    room: &'a RoomName,
    online: usize,
    #[serde(flatten)]
    news: &'a News,
}

#[derive(Serialize)]
struct OwnUpdate<'a> {
    room: &'a str,
    online: usize,
    users: [OwnEntry<'a>; 1],
}

/// What a user's own devices are told of the user.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnEntry<'a> {
    user_id: &'a UserId,
    status: Status,
    invisible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_feature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

/// States are not kept for clients that come back: those are told what holds then.
fn state(name: &str, body: &impl Serialize) -> Frame {
    event(name, body).unrecoverable()
}

pub(super) fn update(room: &RoomName, online: usize, news: &News) -> Frame {
    state(UPDATE, &Update { room, online, news }).plain_type("presence-update")
}

pub(super) fn own(user: &UserId, room: &str, own: &Own) -> Frame {
    let details = &own.details;
    let entry = OwnEntry {
        user_id: user,
        status: own.status,
        invisible: own.invisible,
        current_feature: details.current_feature.as_deref(),
        role: details.role.as_deref(),
        device: details.device.as_deref(),
        metadata: details.metadata.as_deref(),
    };
    let online = usize::from(own.status != Status::Offline);
    let body = OwnUpdate { room, online, users: [entry] };
    state(UPDATE, &body).plain_type("presence-update")
}

pub(super) fn coming(coming: &Coming) -> Frame {
    state(ONLINE, &coming.entry)
}

pub(super) fn going(going: &Going) -> Frame {
    let body = match going.last_seen {
        Some(at) => json!({ "userId": going.user, "lastSeen": at }),
        None => json!({ "userId": going.user }),
    };
    state(OFFLINE, &body)
}

/// Somebody types, or no more: for the others in the room, on every node.
pub(super) fn typing(
    room: &RoomName,
    user: &UserId,
    starts: bool,
    now: Timestamp,
) -> Option<RoomEvent> {
    let name = if starts { "user:typing" } else { "user:stopped-typing" };
    let data = json!({ "room": room, "userId": user, "timestamp": now });
    Some(RoomEvent {
        room: room.clone(),
        name: name.to_owned(),
        data: serde_json::value::to_raw_value(&data).ok()?,
        audiences: std::sync::Arc::default(),
        except: Except { users: vec![user.clone()], sockets: Vec::new() },
        // Who misses the end would see somebody type for ever.
        volatile: starts,
        at: now,
        history: None,
        memory: None,
        position: None,
    })
}
