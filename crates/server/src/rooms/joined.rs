//! The rooms of one connection.

use std::{collections::BTreeMap, sync::Arc};

use once_cell::race::OnceBox;
use parking_lot::{Mutex, MutexGuard};
use tidings_core::room::{EventFilter, Grant, RoomName};

use super::{lens::Viewer, resume::LeftRoom, subscription::Subscription};

/// The rooms that a connection joined, and on what ground. Its user's own room, which it never
/// leaves, is not among them.
#[derive(Default)]
pub struct JoinedRooms {
    /// Nothing until the first is joined: many connections never join one.
    others: OnceBox<Others>,
    own: Mutex<Own>,
}

#[derive(Default)]
struct Others {
    /// Held while it is decided what the connection may join or keep: a membership that is lost
    /// meanwhile is looked at afterwards, so that neither misses the other.
    turn: tokio::sync::Mutex<()>,
    rooms: Mutex<BTreeMap<RoomName, Joined>>,
}

#[derive(Default)]
struct Own {
    subscription: Option<Arc<Subscription>>,
    /// What its roles let it see, if that makes a difference.
    viewer: Option<Box<Viewer>>,
}

struct Joined {
    grant: Grant,
    subscription: Arc<Subscription>,
    /// The position of the gateway's log at which it joined.
    since: u64,
}

/// Whether others know whether it still holds.
pub(super) fn is_asked(grant: Grant) -> bool {
    matches!(grant, Grant::Membership | Grant::Application)
}

impl JoinedRooms {
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.others().turn.lock().await
    }

    fn others(&self) -> &Others {
        self.others.get_or_init(Box::default)
    }

    /// `None`: it has never been in one.
    fn rooms(&self) -> Option<MutexGuard<'_, BTreeMap<RoomName, Joined>>> {
        self.others.get().map(|others| others.rooms.lock())
    }

    pub(super) fn len(&self) -> usize {
        self.rooms().map_or(0, |rooms| rooms.len())
    }

    pub(crate) fn contains(&self, room: &RoomName) -> bool {
        self.rooms().is_some_and(|rooms| rooms.contains_key(room))
    }

    pub(crate) fn all(&self) -> Vec<(RoomName, Grant)> {
        let Some(rooms) = self.rooms() else { return Vec::new() };
        rooms.iter().map(|(room, joined)| (room.clone(), joined.grant)).collect()
    }

    /// Whether some room was joined because the store or the application said so.
    pub(crate) fn has_asked(&self) -> bool {
        self.rooms().is_some_and(|rooms| rooms.values().any(|joined| is_asked(joined.grant)))
    }

    pub(super) fn put(
        &self,
        room: RoomName,
        grant: Grant,
        (subscription, since): (Arc<Subscription>, u64),
    ) {
        self.others().rooms.lock().insert(room, Joined { grant, subscription, since });
    }

    /// All rooms, with the events that it wants of them and where in the log it joined.
    pub(super) fn as_left(&self) -> Vec<LeftRoom> {
        let Some(rooms) = self.rooms() else { return Vec::new() };
        let left = rooms.iter().map(|(room, joined)| LeftRoom {
            room: room.clone(),
            filter: joined.subscription.filter().cloned(),
            since: joined.since,
        });
        left.collect()
    }

    /// It listens to a room in another way than before.
    pub(super) fn listen_by(&self, room: &RoomName, subscription: Arc<Subscription>) {
        if let Some(joined) = self.rooms().as_mut().and_then(|rooms| rooms.get_mut(room)) {
            joined.subscription = subscription;
        }
    }

    /// It is in the room on another ground than before.
    pub(super) fn ground(&self, room: &RoomName, grant: Grant) {
        if let Some(joined) = self.rooms().as_mut().and_then(|rooms| rooms.get_mut(room)) {
            joined.grant = grant;
        }
    }

    /// Listens to the user's own room to the end.
    pub(super) fn own(&self, subscription: Option<Arc<Subscription>>) {
        // Dropped when the lock is released: it tells the bus.
        let _before = std::mem::replace(&mut self.own.lock().subscription, subscription);
    }

    /// What keeps this node listening to them.
    pub(super) fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let rooms = self.rooms();
        let joined =
            rooms.iter().flat_map(|rooms| rooms.values().map(|joined| &joined.subscription));
        joined.chain(&self.own.lock().subscription).cloned().collect()
    }

    /// What it listened by, if it was in the room.
    pub(super) fn take(&self, room: &RoomName) -> Option<Arc<Subscription>> {
        self.rooms()?.remove(room).map(|joined| joined.subscription)
    }

    /// The events that it wants of a room that it is in; `None`: all.
    pub(super) fn filter(&self, room: &RoomName) -> Option<EventFilter> {
        self.rooms()?.get(room)?.subscription.filter().cloned()
    }

    pub(super) fn viewer(&self) -> Option<Viewer> {
        self.own.lock().viewer.as_deref().cloned()
    }

    /// Gives the one before.
    pub(super) fn see_as(&self, viewer: Option<Viewer>) -> Option<Viewer> {
        std::mem::replace(&mut self.own.lock().viewer, viewer.map(Box::new)).map(|before| *before)
    }
}
