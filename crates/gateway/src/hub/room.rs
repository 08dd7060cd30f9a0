//! A room: a dense array of direct handles, so that a broadcast walks memory instead of hashing.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::socketio::Socket;

/// What came of joining.
pub(super) enum Joined {
    Member,
    /// The socket has gone, or is in the room already.
    Refused,
    GivenUp,
}

/// Locks are taken in this order: shard, room, a socket's memberships; a room's lock covers the
/// positions of its members, wherever they are noted.
pub(crate) struct Room {
    name: Box<str>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    members: Vec<Arc<Socket>>,
    /// Taken out of the hub: whoever still holds it must look for the new one.
    given_up: bool,
}

impl Room {
    pub(super) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), state: Mutex::default() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn join(self: &Arc<Self>, socket: &Arc<Socket>) -> Joined {
        let mut state = self.state.lock();
        if state.given_up {
            return Joined::GivenUp;
        }
        if !socket.memberships.add(self, state.members.len()) {
            return Joined::Refused;
        }
        if state.members.capacity() == 0 {
            // Many rooms have one member for ever, and there are many.
            state.members.reserve_exact(1);
        }
        state.members.push(socket.clone());
        Joined::Member
    }

    /// Takes a socket out; whether the room is empty then.
    pub(super) fn leave(self: &Arc<Self>, socket: &Arc<Socket>) -> bool {
        let mut state = self.state.lock();
        if let Some(index) = socket.memberships.take(self) {
            state.members.swap_remove(index);
            if let Some(moved) = state.members.get(index) {
                moved.memberships.moved(self, index);
            }
            if state.members.len() < state.members.capacity() / 4 {
                let room = state.members.len() * 2;
                state.members.shrink_to(room);
            }
        }
        state.members.is_empty()
    }

    /// Marks an empty room as taken out; `false` if somebody is in it.
    pub(super) fn give_up(&self) -> bool {
        let mut state = self.state.lock();
        let first = state.members.is_empty() && !state.given_up;
        state.given_up |= first;
        first
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().members.len()
    }

    pub(super) fn members(&self) -> Vec<Arc<Socket>> {
        self.state.lock().members.clone()
    }

    /// The members, held in place: all broadcasts to a room happen one after another, so its members
    /// see them in one order.
    pub(super) fn lock(&self) -> Members<'_> {
        Members(self.state.lock())
    }
}

pub(super) struct Members<'a>(MutexGuard<'a, State>);

impl std::ops::Deref for Members<'_> {
    type Target = [Arc<Socket>];

    fn deref(&self) -> &Self::Target {
        &self.0.members
    }
}
