//! Rooms: who listens to what. A room is `kind:id`, for example `post:42`; its kind says who
//! may join, how many, and whether it remembers what was said.

mod access;
mod catalog;
mod event;
mod filter;
mod glob;
mod history;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use access::{AccessClaims, Grant, Refusal, Verdict, decide};
pub use catalog::{History, RoomCatalog, RoomKind, Rule, WhenDown};
pub use event::{
    Audience, Except, InvalidEventName, MAX_AUDIENCES, MAX_EVENT_NAME, Memory, RoomEvent,
    RoomSignal, check_event_name,
};
pub use filter::{EventFilter, InvalidFilter};
pub use glob::matches as glob_matches;
pub use history::{Epoch, Histories, Past, Position};

use crate::ids::{InvalidId, RoomId, UserId};

/// Rooms that one connection may be in, unless configured otherwise.
pub const MAX_JOINED: usize = 128;

/// Why a text is not the name of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoom {
    #[error("{0}")]
    Id(#[from] InvalidId),
    #[error("must be a kind and an id, such as post:42")]
    NoKind,
    #[error("has nothing behind its kind")]
    NoId,
}

/// The checked name of a room.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(RoomId);

impl RoomName {
    /// Reads `kind:id`. The alphabet of ids leaves no room for globs, spaces or paths.
    pub fn parse(text: &str) -> Result<Self, InvalidRoom> {
        let colon = text.find(':').ok_or(InvalidRoom::NoKind);
        let id = RoomId::new(text)?;
        let colon = colon?;
        if colon == 0 {
            return Err(InvalidRoom::NoKind);
        }
        if colon + 1 == text.len() {
            return Err(InvalidRoom::NoId);
        }
        Ok(Self(id))
    }

    /// The room that every user has for themselves.
    pub fn of_user(user: &UserId) -> Result<Self, InvalidRoom> {
        Self::parse(&format!("user:{user}"))
    }

    pub fn kind(&self) -> &str {
        self.parts().0
    }

    /// What stands behind the kind.
    pub fn local(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        // Every one has a colon, as `parse` saw to it; where it is would take as much memory as the name.
        self.as_str().split_once(':').unwrap_or_default()
    }

    pub fn id(&self) -> &RoomId {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<'de> Deserialize<'de> for RoomName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for RoomName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_kind_and_an_id() {
        let room = RoomName::parse("post:a:b").unwrap();
        assert_eq!((room.kind(), room.local()), ("post", "a:b"));
        for bad in ["", "post", "post:", ":42", "post:*", "post:a b", "post:../x", "post:é"] {
            assert!(RoomName::parse(bad).is_err(), "{bad}");
        }
        assert!(RoomName::parse(&format!("post:{}", "x".repeat(1_000))).is_err());
    }
}
