//! The hub: who is in which room of a namespace, and how one frame gets to all of them.

mod broadcast;
mod flusher;
mod membership;
mod room;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Config;
use crate::id::Id;
use crate::namespace::Namespace;
use crate::recovery::Past;
use crate::socketio::Socket;
use crate::table::{Keyed, Table};

pub use broadcast::{Emitted, Recipients, Target};
pub(crate) use flusher::Flusher;
pub(crate) use membership::Memberships;
use room::Joined;
pub(crate) use room::Room;

const SHARDS: usize = 16;
/// Sessions of a crowd that are looked at together (`Session::look_ahead`) before their turn.
const AHEAD: usize = 16;

/// One namespace: its behaviour, its sockets and its rooms.
pub(crate) struct Hub {
    pub(crate) name: Box<str>,
    pub(crate) handler: Arc<dyn Namespace>,
    /// What clients that come back are recovered from.
    pub(crate) past: Option<Arc<Past>>,
    /// All connected sockets, as a dense array like any room.
    everyone: Arc<Room>,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// Rooms and sockets share their shards: both are found by a hash of their name.
#[derive(Default)]
struct Shard {
    sockets: Table<Arc<Socket>>,
    rooms: Table<Arc<Room>>,
}

impl Keyed for Arc<Socket> {
    type Key = Id;

    fn with_key<R>(&self, f: impl FnOnce(&Id) -> R) -> R {
        f(&self.key())
    }
}

impl Keyed for Arc<Room> {
    type Key = str;

    fn with_key<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        f(self.name())
    }
}

impl Hub {
    pub(crate) fn new(name: &str, handler: Arc<dyn Namespace>, config: &Config) -> Self {
        Self {
            past: Past::new(config),
            name: name.into(),
            handler,
            everyone: Room::new(""),
            hasher: RandomState::new(),
            shards: Default::default(),
        }
    }

    fn shard(&self, name: &str) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(name) as usize % SHARDS]
    }

    /// Makes a connected socket reachable, by its id and with everyone.
    pub(crate) fn insert(&self, socket: &Arc<Socket>) {
        {
            let mut shard = self.shard(socket.id()).lock();
            // `remove` marks the socket first and looks here afterwards, so one of us sees the other.
            if socket.memberships.is_over() {
                return;
            }
            shard.sockets.insert(socket.clone());
        }
        self.everyone.join(socket);
    }

    /// As `insert`, and nothing happens the second time.
    pub(crate) fn admit(&self, socket: &Arc<Socket>) {
        let known = self.shard(socket.id()).lock().sockets.get(&socket.key()).is_some();
        if !known {
            self.insert(socket);
        }
    }

    /// Takes a socket out of everything, for good.
    pub(crate) fn remove(&self, socket: &Arc<Socket>) {
        socket.memberships.end();
        while let Some(room) = socket.memberships.any() {
            self.leave_room(socket, &room);
        }
        self.shard(socket.id()).lock().sockets.remove(&socket.key());
    }

    pub(crate) fn socket(&self, id: &str) -> Option<Arc<Socket>> {
        let key = Id::parse(id)?;
        self.shard(id).lock().sockets.get(&key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.everyone.len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Socket>> {
        self.everyone.members()
    }

    pub(crate) fn members(&self, room: &str) -> Vec<Arc<Socket>> {
        self.room(room).map(|room| room.members()).unwrap_or_default()
    }

    pub(crate) fn room_len(&self, room: &str) -> usize {
        self.room(room).map_or(0, |room| room.len())
    }

    pub(crate) fn room_count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().rooms.len()).sum()
    }

    /// The names of all rooms that have members, without order.
    pub(crate) fn room_names(&self) -> Vec<String> {
        let names = |shard: &Mutex<Shard>| -> Vec<String> {
            shard.lock().rooms.values().map(|room| room.name().to_owned()).collect()
        };
        self.shards.iter().flat_map(names).collect()
    }

    /// Whether somebody may hear what is said in a room, now or on coming back.
    pub(crate) fn may_reach(&self, room: &str) -> bool {
        self.room(room).is_some()
            || self.socket(room).is_some()
            || self.past.as_ref().is_some_and(|past| past.awaits_anybody())
    }

    fn room(&self, name: &str) -> Option<Arc<Room>> {
        self.shard(name).lock().rooms.get(name).cloned()
    }

    pub(crate) fn join(&self, socket: &Arc<Socket>, name: &str) {
        let Some((past, resume)) = socket.recovery() else {
            return self.enter(socket, name);
        };
        // What the room got before this is not missed by who was not in it.
        let log = past.lock();
        resume.skip_to(log.head().position);
        self.enter(socket, name);
    }

    /// As `join`, for who has the log's lock.
    pub(crate) fn enter(&self, socket: &Arc<Socket>, name: &str) {
        if name.is_empty() || socket.memberships.is_over() || socket.memberships.contains(name) {
            return;
        }
        loop {
            let room = self.room_or_new(name);
            match room.join(socket) {
                Joined::Member => return,
                // It went while we looked; a room that was made for it must not stay behind.
                Joined::Refused => return self.discard(&room),
                // The room was given up between finding and joining it: there is a new one to find.
                Joined::GivenUp => {}
            }
        }
    }

    fn room_or_new(&self, name: &str) -> Arc<Room> {
        let mut shard = self.shard(name).lock();
        if let Some(room) = shard.rooms.get(name) {
            return room.clone();
        }
        let room = Room::new(name);
        shard.rooms.insert(room.clone());
        room
    }

    pub(crate) fn leave(&self, socket: &Arc<Socket>, name: &str) {
        if let Some(room) = socket.memberships.find(name) {
            self.leave_room(socket, &room);
        }
    }

    fn leave_room(&self, socket: &Arc<Socket>, room: &Arc<Room>) {
        if room.leave(socket) && !Arc::ptr_eq(room, &self.everyone) {
            self.discard(room);
        }
    }

    /// Takes a room out if nobody is in it.
    fn discard(&self, room: &Room) {
        let mut shard = self.shard(room.name()).lock();
        // Under the shard's lock nobody can find it any more; under its own, nobody has joined it.
        if room.give_up() {
            shard.rooms.remove(room.name());
        }
    }
}

/// Gives memory back after a crowd has left.
pub(crate) fn shrink<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > 64 && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}
