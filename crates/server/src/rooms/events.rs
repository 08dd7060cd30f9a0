//! The events that the server sends about rooms.

use serde_json::json;
use tidings_core::room::RoomName;
use tidings_gateway::Frame;

use crate::inbox::events::event;

/// Why somebody is no longer in a room, who did not ask to leave.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Left {
    Membership,
    Token,
}

impl Left {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Membership => "membership",
            Self::Token => "token",
        }
    }
}

pub(super) fn joined(room: &RoomName) -> Frame {
    event("room:joined", &json!({ "room": room }))
}

pub(super) fn left(room: &RoomName, reason: Option<Left>) -> Frame {
    match reason {
        Some(reason) => event("room:left", &json!({ "room": room, "reason": reason.as_str() })),
        None => event("room:left", &json!({ "room": room })),
    }
}
