//! The connections of one user.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::Incarnation;
use crate::{
    ids::UserId,
    presence::{Details, Socket, Status},
    room::RoomName,
    time::Timestamp,
};

/// A connection as other nodes know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    #[serde(rename = "n")]
    pub at: Incarnation,
    /// Its public id.
    #[serde(rename = "s")]
    pub socket: Socket,
    #[serde(rename = "o", with = "millis")]
    pub opened_at: Timestamp,
    /// When its client last said something of its presence.
    #[serde(rename = "t", with = "millis::option", default, skip_serializing_if = "is_none")]
    pub said_at: Option<Timestamp>,
    #[serde(rename = "p", default = "online", skip_serializing_if = "is_online")]
    pub status: Status,
    #[serde(rename = "i", default, skip_serializing_if = "std::ops::Not::not")]
    pub invisible: bool,
    #[serde(rename = "d", default = "Details::none", skip_serializing_if = "is_nothing")]
    pub details: Arc<Details>,
    /// Silent for too long, since then.
    #[serde(rename = "l", with = "millis::option", default, skip_serializing_if = "is_none")]
    pub lapsed: Option<Timestamp>,
    /// It ended then, and counts on for the time of grace.
    #[serde(rename = "g", with = "millis::option", default, skip_serializing_if = "is_none")]
    pub gone: Option<Timestamp>,
    /// The rooms in which it is seen.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<RoomName>,
}

fn online() -> Status {
    Status::Online
}

fn is_online(status: &Status) -> bool {
    *status == Status::Online
}

fn is_none(at: &Option<Timestamp>) -> bool {
    at.is_none()
}

fn is_nothing(details: &Arc<Details>) -> bool {
    **details == Details::default()
}

impl Connection {
    /// Of which nothing is known but that it is there.
    pub fn new(at: Incarnation, socket: Socket, opened_at: Timestamp) -> Self {
        Self {
            at,
            socket,
            opened_at,
            said_at: None,
            status: Status::Online,
            invisible: false,
            details: Details::none(),
            lapsed: None,
            gone: None,
            rooms: Vec::new(),
        }
    }
}

/// All connections of a user, on whatever node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    #[serde(rename = "u")]
    pub user: UserId,
    /// Grows with each change.
    #[serde(rename = "v")]
    pub version: u64,
    #[serde(rename = "c")]
    pub connections: Vec<Connection>,
}

impl Record {
    /// Of a user without connections.
    pub fn nothing(user: UserId, version: u64) -> Self {
        Self { user, version, connections: Vec::new() }
    }

    /// The rooms in which the user is seen.
    pub fn rooms(&self) -> BTreeSet<RoomName> {
        self.connections.iter().flat_map(|one| one.rooms.iter().cloned()).collect()
    }

    /// Whether somebody of a node other than this has a part in it.
    pub fn is_shared(&self, me: Incarnation) -> bool {
        self.connections.iter().any(|one| one.at != me)
    }

    /// Whether others see the user here: some connection counts, and none hides.
    pub fn is_seen(&self) -> bool {
        let counts = |one: &Connection| {
            one.gone.is_none() && one.lapsed.is_none() && one.status != Status::Offline
        };
        self.connections.iter().any(counts) && !self.connections.iter().any(|one| one.invisible)
    }

    /// As much of it as a room is told: not where else the user is, nor what only those get who ask.
    #[must_use]
    pub fn as_told_to(&self, room: &RoomName) -> Self {
        let told = |one: &Connection| {
            let rooms = one.rooms.iter().filter(|other| *other == room).cloned().collect();
            let details = match one.details.metadata {
                None => Arc::clone(&one.details),
                Some(_) => Arc::new(Details { metadata: None, ..Details::clone(&one.details) }),
            };
            Connection { rooms, details, ..one.clone() }
        };
        Self { connections: self.connections.iter().map(told).collect(), ..self.clone() }
    }

    /// The connections that have to go if a user may have `most`: the oldest, on whatever node.
    pub fn surplus(&self, most: usize, lives: impl Fn(Incarnation) -> bool) -> Vec<&Connection> {
        let mut there: Vec<&Connection> =
            self.connections.iter().filter(|one| one.gone.is_none() && lives(one.at)).collect();
        there.sort_by(|a, b| (a.opened_at, &a.socket).cmp(&(b.opened_at, &b.socket)));
        there.truncate(there.len().saturating_sub(most));
        there
    }
}

/// Instants as bare numbers: there are many, and only nodes read them.
mod millis {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::Timestamp;

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.as_millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp::from_millis)
    }

    pub(super) mod option {
        use serde::{Deserialize, Deserializer, Serializer};

        use crate::time::Timestamp;

        pub(in super::super) fn serialize<S: Serializer>(
            at: &Option<Timestamp>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => to.serialize_some(&at.as_millis()),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Timestamp>, D::Error> {
            Ok(Option::<i64>::deserialize(from)?.map(Timestamp::from_millis))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(at: u64, socket: &str, opened: i64) -> Connection {
        Connection::new(Incarnation(at), socket.into(), Timestamp::from_millis(opened))
    }

    fn record(connections: Vec<Connection>) -> Record {
        Record { user: UserId::new("alice").unwrap(), version: 1, connections }
    }

    #[test]
    fn the_oldest_are_too_many_wherever_they_are_and_only_those_that_are_there() {
        let gone = Connection { gone: Some(Timestamp::EPOCH), ..connection(1, "gone", 0) };
        let all = record(vec![
            connection(1, "d", 4),
            connection(2, "b", 2),
            gone,
            connection(3, "dead", 1),
            connection(1, "c", 2),
        ]);
        let surplus = |most| {
            let found = all.surplus(most, |at| at != Incarnation(3));
            found.iter().map(|one| one.socket.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(surplus(3), [""; 0]);
        assert_eq!(surplus(1), ["b", "c"]);
    }

    #[test]
    fn what_is_as_most_are_takes_few_bytes_and_everything_comes_back() {
        let plain = connection(1, "x", 5);
        let text = serde_json::to_string(&plain).unwrap();
        assert_eq!(text, r#"{"n":1,"s":"x","o":5}"#);
        assert_eq!(serde_json::from_str::<Connection>(&text).unwrap(), plain);
        let details = Details {
            current_feature: Some("editor".into()),
            metadata: serde_json::value::RawValue::from_string("{\"a\":1}".into()).ok(),
            ..Details::default()
        };
        let full = Connection {
            said_at: Some(Timestamp::from_millis(6)),
            status: Status::Busy,
            invisible: true,
            details: Arc::new(details),
            lapsed: Some(Timestamp::from_millis(7)),
            gone: Some(Timestamp::from_millis(8)),
            rooms: vec![RoomName::parse("post:1").unwrap(), RoomName::parse("post:2").unwrap()],
            ..plain
        };
        let text = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<Connection>(&text).unwrap(), full);
        let told = record(vec![full]).as_told_to(&RoomName::parse("post:2").unwrap());
        let told = &told.connections[0];
        assert_eq!((told.rooms.len(), told.details.metadata.is_none()), (1, true));
        assert_eq!(told.details.current_feature.as_deref(), Some("editor"));
    }
}
