//! The rooms of one connection.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tidings_core::room::{EventFilter, Grant, RoomName};

use super::{lens::Viewer, subscription::Subscription};

/// The rooms that a connection joined, and on what ground. Its user's own room, which it never
/// leaves, is not among them.
#[derive(Default)]
pub struct JoinedRooms {
    /// Held while it is decided what the connection may join or keep: a membership that is lost
    /// meanwhile is looked at afterwards, so that neither misses the other.
    turn: tokio::sync::Mutex<()>,
    rooms: Mutex<BTreeMap<RoomName, Joined>>,
    own: Mutex<Option<Arc<Subscription>>>,
    /// What its roles let it see, if that makes a difference.
    viewer: Mutex<Option<Viewer>>,
}

struct Joined {
    grant: Grant,
    subscription: Arc<Subscription>,
}

/// Whether others know whether it still holds.
pub(super) fn is_asked(grant: Grant) -> bool {
    matches!(grant, Grant::Membership | Grant::Application)
}

impl JoinedRooms {
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(super) fn len(&self) -> usize {
        self.rooms.lock().len()
    }

    pub(crate) fn contains(&self, room: &RoomName) -> bool {
        self.rooms.lock().contains_key(room)
    }

    pub(crate) fn all(&self) -> Vec<(RoomName, Grant)> {
        self.rooms.lock().iter().map(|(room, joined)| (room.clone(), joined.grant)).collect()
    }

    /// Whether some room was joined because the store or the application said so.
    pub(crate) fn has_asked(&self) -> bool {
        self.rooms.lock().values().any(|joined| is_asked(joined.grant))
    }

    pub(super) fn put(&self, room: RoomName, grant: Grant, subscription: Arc<Subscription>) {
        self.rooms.lock().insert(room, Joined { grant, subscription });
    }

    /// It listens to a room in another way than before.
    pub(super) fn listen_by(&self, room: &RoomName, subscription: Arc<Subscription>) {
        if let Some(joined) = self.rooms.lock().get_mut(room) {
            joined.subscription = subscription;
        }
    }

    /// It is in the room on another ground than before.
    pub(super) fn ground(&self, room: &RoomName, grant: Grant) {
        if let Some(joined) = self.rooms.lock().get_mut(room) {
            joined.grant = grant;
        }
    }

    /// Listens to the user's own room to the end.
    pub(super) fn own(&self, subscription: Option<Arc<Subscription>>) {
        *self.own.lock() = subscription;
    }

    /// What keeps this node listening to them.
    pub(super) fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let rooms = self.rooms.lock();
        let joined = rooms.values().map(|joined| &joined.subscription);
        joined.chain(self.own.lock().iter()).cloned().collect()
    }

    /// What it listened by, if it was in the room.
    pub(super) fn take(&self, room: &RoomName) -> Option<Arc<Subscription>> {
        self.rooms.lock().remove(room).map(|joined| joined.subscription)
    }

    /// The events that it wants of a room that it is in; `None`: all.
    pub(super) fn filter(&self, room: &RoomName) -> Option<EventFilter> {
        self.rooms.lock().get(room)?.subscription.filter().cloned()
    }

    pub(super) fn viewer(&self) -> Option<Viewer> {
        self.viewer.lock().clone()
    }

    /// Gives the one before.
    pub(super) fn see_as(&self, viewer: Option<Viewer>) -> Option<Viewer> {
        std::mem::replace(&mut *self.viewer.lock(), viewer)
    }
}
