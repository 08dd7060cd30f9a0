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
    /// `None`: taken out of the hub, and whoever still holds it must look for the new one.
    members: Mutex<Option<Vec<Arc<Socket>>>>,
}

impl Room {
    pub(super) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), members: Mutex::new(Some(Vec::new())) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn join(self: &Arc<Self>, socket: &Arc<Socket>) -> Joined {
        let mut members = self.members.lock();
        let Some(members) = &mut *members else { return Joined::GivenUp };
        if !socket.memberships.add(self, members.len()) {
            return Joined::Refused;
        }
        if members.capacity() == 0 {
            // Many rooms have one member for ever, and there are many.
            members.reserve_exact(1);
        }
        members.push(socket.clone());
        Joined::Member
    }

    /// Takes a socket out; whether the room is empty then.
    pub(super) fn leave(self: &Arc<Self>, socket: &Arc<Socket>) -> bool {
        let mut members = self.members.lock();
        let Some(members) = &mut *members else { return true };
        if let Some(index) = socket.memberships.take(self) {
            members.swap_remove(index);
            if let Some(moved) = members.get(index) {
                moved.memberships.moved(self, index);
            }
            if members.len() < members.capacity() / 4 {
                let room = members.len() * 2;
                members.shrink_to(room);
            }
        }
        members.is_empty()
    }

    /// Marks an empty room as taken out; `false` if somebody is in it.
    pub(super) fn give_up(&self) -> bool {
        self.members.lock().take_if(|members| members.is_empty()).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.members.lock().as_ref().map_or(0, Vec::len)
    }

    pub(super) fn members(&self) -> Vec<Arc<Socket>> {
        self.members.lock().clone().unwrap_or_default()
    }

    /// The members, held in place: all broadcasts to a room happen one after another, so its members
    /// see them in one order.
    pub(super) fn lock(&self) -> Members<'_> {
        Members(self.members.lock())
    }
}

pub(super) struct Members<'a>(MutexGuard<'a, Option<Vec<Arc<Socket>>>>);

impl std::ops::Deref for Members<'_> {
    type Target = [Arc<Socket>];

    fn deref(&self) -> &Self::Target {
        self.0.as_deref().unwrap_or_default()
    }
}
