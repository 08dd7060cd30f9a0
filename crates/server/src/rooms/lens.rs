//! Not everybody in a room sees the same.
//!
//! A client may have asked for some events only, and of an event with audiences its roles decide which fields it gets. Both are
//! known before anything is said, so whoever sees alike shares a room of the gateway, beside that of everybody: an event is
//! encoded once for each of these rooms, whatever their size, and clients that come back are recovered from them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tidings_core::room::{EventFilter, RoomEvent, RoomName};

/// Different filters in one room: each event is compared with all of them.
const MAX_FILTERS: usize = 64;
/// Sets of roles that are told apart. Tokens make them, and tokens are the application's.
const MAX_VIEWERS: usize = 4_096;

/// The roles of a connection, as far as some audience is about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Viewer {
    key: Arc<str>,
}

/// The room of the gateway for those of a room who see alike.
pub(super) fn room_of_viewer(room: &str, viewer: &Viewer) -> String {
    format!("{room}#{}", viewer.key)
}

pub(super) fn room_of_filter(room: &str, filter: &EventFilter) -> String {
    format!("{room}?{}", short_hash(&filter.key()))
}

fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// Every set of roles that some connection of this node has had.
pub(super) struct Viewers {
    /// Roles that audiences are declared for; empty: nobody sees less than others.
    known: BTreeSet<String>,
    seen: Mutex<HashMap<Arc<str>, Vec<String>>>,
}

impl Viewers {
    pub(super) fn new(known: BTreeSet<String>) -> Self {
        Self { known, seen: Mutex::default() }
    }

    /// `None` if no audience is declared.
    pub(super) fn of(&self, roles: &[String]) -> Option<Viewer> {
        if self.known.is_empty() {
            return None;
        }
        let roles: BTreeSet<&String> =
            roles.iter().filter(|role| self.known.contains(*role)).collect();
        let mut roles: Vec<String> = roles.into_iter().cloned().collect();
        let mut seen = self.seen.lock();
        let mut key: Arc<str> = short_hash(&roles.join("\n")).into();
        if !seen.contains_key(&key) && seen.len() >= MAX_VIEWERS {
            tracing::error!(
                "tokens have too many combinations of roles; this connection sees as if it had none"
            );
            roles.clear();
            key = short_hash("").into();
        }
        seen.entry(Arc::clone(&key)).or_insert(roles);
        Some(Viewer { key })
    }

    /// The rooms of the gateway for each view that somebody may have of an event.
    pub(super) fn views(&self, event: &RoomEvent) -> Vec<(u64, Vec<String>)> {
        let mut views: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (key, roles) in self.seen.lock().iter() {
            let viewer = Viewer { key: Arc::clone(key) };
            let room = room_of_viewer(event.room.as_str(), &viewer);
            views.entry(event.audience(roles)).or_default().push(room);
        }
        views.into_iter().collect()
    }
}

/// The filters that somebody in a room has, or had before its connection broke.
#[derive(Default)]
pub(super) struct Filters(Mutex<HashMap<RoomName, BTreeMap<EventFilter, usize>>>);

/// There are as many different filters in the room as can be.
pub(super) struct TooManyFilters;

impl Filters {
    pub(super) fn add(&self, room: &RoomName, filter: &EventFilter) -> Result<(), TooManyFilters> {
        let mut rooms = self.0.lock();
        let filters = rooms.entry(room.clone()).or_default();
        if filters.len() >= MAX_FILTERS && !filters.contains_key(filter) {
            return Err(TooManyFilters);
        }
        *filters.entry(filter.clone()).or_default() += 1;
        Ok(())
    }

    pub(super) fn remove(&self, room: &RoomName, filter: &EventFilter) {
        let mut rooms = self.0.lock();
        let Some(filters) = rooms.get_mut(room) else { return };
        if let Some(count) = filters.get_mut(filter) {
            *count -= 1;
            if *count == 0 {
                filters.remove(filter);
            }
        }
        if filters.is_empty() {
            rooms.remove(room);
        }
    }

    /// The rooms of the gateway for those who do not want an event.
    pub(super) fn deaf_to(&self, room: &RoomName, name: &str) -> Vec<String> {
        let rooms = self.0.lock();
        let filters = rooms.get(room).into_iter().flat_map(BTreeMap::keys);
        let deaf = filters.filter(|filter| !filter.matches(name));
        deaf.map(|filter| room_of_filter(room.as_str(), filter)).collect()
    }
}
