//! The rooms of one connection.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tidings_core::room::{Grant, RoomName};

/// The rooms that a connection joined, and on what ground. Its user's own room, which it never
/// leaves, is not among them.
#[derive(Default)]
pub struct JoinedRooms {
    /// Held while it is decided what the connection may join or keep: a membership that is lost
    /// meanwhile is looked at afterwards, so that neither misses the other.
    turn: tokio::sync::Mutex<()>,
    rooms: Mutex<BTreeMap<RoomName, Grant>>,
}

impl JoinedRooms {
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(super) fn len(&self) -> usize {
        self.rooms.lock().len()
    }

    pub(super) fn contains(&self, room: &RoomName) -> bool {
        self.rooms.lock().contains_key(room)
    }

    pub(super) fn all(&self) -> Vec<(RoomName, Grant)> {
        self.rooms.lock().iter().map(|(room, grant)| (room.clone(), *grant)).collect()
    }

    /// Whether some room was joined by a membership.
    pub(crate) fn has_memberships(&self) -> bool {
        self.rooms.lock().values().any(|grant| *grant == Grant::Membership)
    }

    /// Also where it was in the room on another ground.
    pub(super) fn put(&self, room: RoomName, grant: Grant) {
        self.rooms.lock().insert(room, grant);
    }

    /// Whether it was in the room.
    pub(super) fn take(&self, room: &RoomName) -> bool {
        self.rooms.lock().remove(room).is_some()
    }
}
