//! What is said in a room, and what a room's nodes tell one another.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{History, Position, RoomName};
use crate::{ids::UserId, registry::Record, time::Timestamp};

/// Longest name of an event, in bytes.
pub const MAX_EVENT_NAME: usize = 64;
/// Most audiences of one type of event: who is in which is kept as a set of bits.
pub const MAX_AUDIENCES: usize = 64;

/// The audience of everybody, and the list of all fields.
const ALL: &str = "*";

/// Names that the server itself, or every Socket.IO client, gives a meaning.
const RESERVED: [&str; 5] = ["error", "room:joined", "room:left", "newListener", "removeListener"];
const RESERVED_PREFIXES: [&str; 6] =
    ["notification", "connect", "disconnect", "auth:", "server:", "presence:"];

/// Why an application cannot send an event of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEventName {
    #[error("must have 1 to {MAX_EVENT_NAME} characters without control characters")]
    Length,
    #[error("is a name of the server's own; choose another, such as task:update")]
    Reserved,
}

/// Checks the name of an application's event.
pub fn check_event_name(name: &str) -> Result<(), InvalidEventName> {
    if name.is_empty() || name.len() > MAX_EVENT_NAME || name.chars().any(char::is_control) {
        return Err(InvalidEventName::Length);
    }
    let reserved =
        RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if reserved { Err(InvalidEventName::Reserved) } else { Ok(()) }
}

/// What the nodes with somebody in a room have to hear.
#[derive(Debug, Clone)]
pub enum RoomSignal {
    Event(RoomEvent),
    /// The application took these users out: whether they may stay is to be decided again.
    MembershipLost {
        room: RoomName,
        users: Vec<UserId>,
    },
    /// The connections of a user who is, or was, seen in the room on some node.
    Presence {
        room: RoomName,
        record: Arc<Record>,
    },
}

impl RoomSignal {
    pub fn room(&self) -> &RoomName {
        match self {
            Self::Event(event) => &event.room,
            Self::MembershipLost { room, .. } | Self::Presence { room, .. } => room,
        }
    }
}

/// Who does not get an event, though in the room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Except {
    pub users: Vec<UserId>,
    pub sockets: Vec<String>,
}

/// An event for everybody in a room.
#[derive(Debug, Clone)]
pub struct RoomEvent {
    pub room: RoomName,
    pub name: String,
    /// Its one argument, a JSON text.
    pub data: Box<RawValue>,
    /// Who gets which fields of `data`; empty: everybody gets all.
    pub audiences: Arc<[Audience]>,
    pub except: Except,
    /// Not worth waiting for: clients with a backlog are left out.
    pub volatile: bool,
    pub at: Timestamp,
    /// How long the room remembers it.
    pub history: Option<History>,
    /// How long it is kept for clients that come back on another node, if the room does not remember it anyway.
    pub memory: Option<Memory>,
    /// Its place among what the room remembers, given by the bus.
    pub position: Option<Position>,
}

/// An event that is kept for clients that come back on another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Tells it from others, also before it has a position.
    pub id: u64,
    /// For who says it; nobody else needs to know.
    #[serde(skip)]
    pub limits: History,
}

/// Those with a role (`*`: everybody), and the fields that they may see (`*`: all).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    pub role: String,
    pub fields: BTreeSet<String>,
}

impl RoomEvent {
    /// The audiences that somebody with these roles belongs to, as a set of bits. Who has the
    /// same set gets the same text.
    pub fn audience(&self, roles: &[String]) -> u64 {
        let belongs = |audience: &Audience| audience.role == ALL || roles.contains(&audience.role);
        let bits = self.audiences.iter().take(MAX_AUDIENCES).enumerate();
        bits.filter(|(_, audience)| belongs(audience)).fold(0, |set, (n, _)| set | 1 << n)
    }

    /// What a set of audiences may see: the fields of all of them together. `None`: who is in
    /// no audience does not hear of the event.
    pub fn view(&self, audience: u64) -> Option<String> {
        if self.audiences.is_empty() {
            return Some(self.data.get().to_owned());
        }
        let bits = self.audiences.iter().take(MAX_AUDIENCES).enumerate();
        let fields: BTreeSet<&str> = bits
            .filter(|(n, _)| audience & (1 << n) != 0)
            .flat_map(|(_, audience)| audience.fields.iter().map(String::as_str))
            .collect();
        if audience == 0 {
            return None;
        }
        if fields.contains(ALL) {
            return Some(self.data.get().to_owned());
        }
        // What is no object has no fields that somebody could be allowed to see.
        let data: BTreeMap<String, &RawValue> = serde_json::from_str(self.data.get()).ok()?;
        let visible: BTreeMap<_, _> =
            data.into_iter().filter(|(name, _)| fields.contains(name.as_str())).collect();
        serde_json::to_string(&visible).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str, audiences: &[(&str, &[&str])]) -> RoomEvent {
        let audience = |(role, fields): &(&str, &[&str])| Audience {
            role: (*role).to_owned(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        };
        RoomEvent {
            room: RoomName::parse("task:1").unwrap(),
            name: "task:update".to_owned(),
            data: RawValue::from_string(data.to_owned()).unwrap(),
            audiences: audiences.iter().map(audience).collect(),
            except: Except::default(),
            volatile: false,
            at: Timestamp::EPOCH,
            history: None,
            memory: None,
            position: None,
        }
    }

    fn seen(event: &RoomEvent, roles: &[&str]) -> Option<String> {
        let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
        event.view(event.audience(&roles))
    }

    #[test]
    fn roles_see_their_fields_and_several_roles_those_of_all() {
        let data = r#"{"id": 1, "cost": 5, "owner": "x"}"#;
        let event = event(data, &[("lead", &["*"]), ("dev", &["owner"]), ("*", &["id"])]);
        assert_eq!(seen(&event, &["lead"]).as_deref(), Some(data));
        assert_eq!(seen(&event, &["dev"]).as_deref(), Some(r#"{"id":1,"owner":"x"}"#));
        assert_eq!(seen(&event, &["guest"]).as_deref(), Some(r#"{"id":1}"#));
        assert_eq!(seen(&event, &["dev", "lead"]).as_deref(), Some(data));
    }

    #[test]
    fn without_audiences_everybody_sees_all_and_outside_of_them_nobody_anything() {
        assert_eq!(seen(&event("[1]", &[]), &[]).as_deref(), Some("[1]"));
        let closed = event(r#"{"id":1}"#, &[("lead", &["id"])]);
        assert_eq!(seen(&closed, &["dev"]), None);
    }

    #[test]
    fn names_of_the_servers_own_are_reserved() {
        for name in [
            "notification",
            "notification:count",
            "notifications:pending",
            "connect",
            "connect_error",
            "connected",
            "disconnect",
            "disconnecting",
            "error",
            "auth:refresh",
            "server:shutdown",
            "presence:update",
            "room:joined",
            "room:left",
            "newListener",
            "removeListener",
        ] {
            assert_eq!(check_event_name(name), Err(InvalidEventName::Reserved), "{name}");
        }
        for name in ["", "a\nb", &"x".repeat(65)] {
            assert_eq!(check_event_name(name), Err(InvalidEventName::Length), "{name}");
        }
        for name in ["task:update", "comment:added", "errors", "group:activity"] {
            assert_eq!(check_event_name(name), Ok(()), "{name}");
        }
    }
}
