//! The events that the server sends about rooms.

use serde::Serialize;
use serde_json::json;
use tidings_core::room::RoomName;
use tidings_gateway::Frame;

use super::history::Return;
use crate::inbox::events::event;

/// Why somebody is no longer in a room, who did not ask to leave.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Left {
    Membership,
    Token,
    Application,
    /// A server of the application wanted it.
    Server,
}

impl Left {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Membership => "membership",
            Self::Token => "token",
            Self::Application => "application",
            Self::Server => "server",
        }
    }
}

#[derive(Serialize)]
struct Joined<'a> {
    room: &'a RoomName,
    #[serde(flatten)]
    returned: Option<&'a Return>,
}

pub(super) fn joined(room: &RoomName, returned: Option<&Return>) -> Frame {
    event("room:joined", &Joined { room, returned })
}

pub(super) fn left(room: &RoomName, reason: Option<Left>) -> Frame {
    match reason {
        Some(reason) => event("room:left", &json!({ "room": room, "reason": reason.as_str() })),
        None => event("room:left", &json!({ "room": room })),
    }
}
