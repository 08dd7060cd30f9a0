//! Presence: who is here, and what others may know of it.
//!
//! A user is what the user's devices add up to. The [`Board`] keeps them by room and says, once
//! per tick and room, what changed; so what is sent grows with those who hear it, and not with
//! how many come and go at the same time. It holds what this node's connections say, and of those
//! of other nodes what is to be told here (`elsewhere.rs`).

mod board;
mod elsewhere;
mod person;
mod place;
mod round;
#[cfg(test)]
mod tests;
mod typing;
mod update;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use board::{Board, DeviceId, Own};
pub use elsewhere::{Here, Scope};
pub use round::{Coming, Going, News, RoomUpdate, Round};
pub use typing::{TooManyTyping, Typists};
pub use update::{InvalidUpdate, Update};

use crate::{ids::UserId, time::Timestamp};

/// Most users that an update of a large room names on each side.
pub const MAX_NAMED: usize = 20;
/// Most users of a room whose coming or going is announced one by one in one tick; of a crowd
/// the room's own update tells.
pub const MAX_ANNOUNCED: usize = 20;

/// What a user says of a device, and what the devices add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    // In the order in which one wins over those before it: who is busy anywhere is not to be
    // disturbed.
    Offline,
    Away,
    Online,
    Busy,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// How long somebody whose last connection ended is still taken to be here.
    pub grace: Duration,
    /// From more users than this on, a room gets counts instead of everybody's state.
    pub large_room: usize,
    /// Between two updates of such a room.
    pub large_pause: Duration,
    /// There are other nodes: how long a room that is new here waits, at most, to be told until
    /// it is known who is there on those.
    pub hold: Option<Duration>,
}

/// What a device says of itself beside its status.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Details {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_feature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The kind of device, such as `web`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Whatever the application likes: an object. Not sent to rooms; who asks gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
}

/// All that a client said of its presence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Card {
    pub status: Status,
    /// Others see the user offline, whatever the devices say.
    pub invisible: bool,
    pub details: Arc<Details>,
}

impl Default for Card {
    fn default() -> Self {
        Self { status: Status::Online, invisible: false, details: Details::none() }
    }
}

impl Details {
    /// One for all who say nothing of themselves, and they are most.
    pub(crate) fn none() -> Arc<Self> {
        static NONE: LazyLock<Arc<Details>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }
}

impl PartialEq for Details {
    fn eq(&self, other: &Self) -> bool {
        let text = |details: &Self| details.metadata.as_ref().map(|data| data.get().to_owned());
        self.current_feature == other.current_feature
            && self.role == other.role
            && self.device == other.device
            && text(self) == text(other)
    }
}

/// What others are told of a user.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub user_id: UserId,
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_feature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Since when the user is here without a break.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<Timestamp>,
    /// When others last saw the user here, of one who is offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
}

impl Entry {
    /// Of somebody who is here and has said nothing more.
    pub fn online(user_id: UserId, since: Timestamp) -> Self {
        let offline = Self::offline(user_id, None);
        Self { status: Status::Online, connected_at: Some(since), ..offline }
    }

    /// Of somebody of whom no more is known than when others last saw them. Who is invisible
    /// looks exactly so too.
    pub fn offline(user_id: UserId, last_seen: Option<Timestamp>) -> Self {
        Self {
            user_id,
            status: Status::Offline,
            current_feature: None,
            role: None,
            device: None,
            connected_at: None,
            last_seen,
            metadata: None,
        }
    }
}

/// The public id of a connection, to address it alone.
pub type Socket = Arc<str>;
