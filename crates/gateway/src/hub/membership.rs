//! A socket's side of its rooms: which, and at which index it stands in each.

use std::sync::Arc;

use parking_lot::Mutex;

use super::room::Room;

#[derive(Default)]
pub(crate) struct Memberships(Mutex<State>);

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    /// The socket has gone and joins nothing more.
    over: bool,
}

struct Slot {
    room: Arc<Room>,
    index: usize,
}

impl Memberships {
    /// Notes a new membership; `false` if there is one already or the socket has gone.
    pub(super) fn add(&self, room: &Arc<Room>, index: usize) -> bool {
        let mut state = self.0.lock();
        if state.over || state.slots.iter().any(|slot| Arc::ptr_eq(&slot.room, room)) {
            return false;
        }
        // Most sockets are in two or three rooms, and there are many sockets.
        state.slots.reserve_exact(1);
        state.slots.push(Slot { room: room.clone(), index });
        true
    }

    /// Removes a membership and tells the index it was noted with.
    pub(super) fn take(&self, room: &Arc<Room>) -> Option<usize> {
        let mut state = self.0.lock();
        let at = state.slots.iter().position(|slot| Arc::ptr_eq(&slot.room, room))?;
        Some(state.slots.swap_remove(at).index)
    }

    /// The socket was moved to the place of one that left.
    pub(super) fn moved(&self, room: &Arc<Room>, index: usize) {
        let mut state = self.0.lock();
        if let Some(slot) = state.slots.iter_mut().find(|slot| Arc::ptr_eq(&slot.room, room)) {
            slot.index = index;
        }
    }

    pub(super) fn end(&self) {
        self.0.lock().over = true;
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.lock().over
    }

    pub(super) fn any(&self) -> Option<Arc<Room>> {
        self.0.lock().slots.last().map(|slot| slot.room.clone())
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Room>> {
        let state = self.0.lock();
        state
            .slots
            .iter()
            .find(|slot| slot.room.name() == name && !name.is_empty())
            .map(|slot| slot.room.clone())
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let state = self.0.lock();
        let names = state.slots.iter().map(|slot| slot.room.name());
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}
