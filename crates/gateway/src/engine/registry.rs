//! All sessions by their id, in shards so that connecting clients do not queue for one lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::id::Id;
use crate::table::{Keyed, Table};

use super::session::Session;

const SHARDS: usize = 16;

pub(crate) struct Registry {
    hasher: RandomState,
    shards: [Mutex<Table<Arc<Session>>>; SHARDS],
}

impl Keyed for Arc<Session> {
    type Key = Id;

    fn with_key<R>(&self, f: impl FnOnce(&Id) -> R) -> R {
        f(&self.id)
    }
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::new(), shards: Default::default() }
    }

    fn shard(&self, id: &Id) -> &Mutex<Table<Arc<Session>>> {
        &self.shards[self.hasher.hash_one(id) as usize % SHARDS]
    }

    pub(crate) fn insert(&self, session: &Arc<Session>) {
        self.shard(&session.id).lock().insert(session.clone());
    }

    pub(crate) fn get(&self, id: &Id) -> Option<Arc<Session>> {
        self.shard(id).lock().get(id).cloned()
    }

    pub(crate) fn remove(&self, id: &Id) {
        self.shard(id).lock().remove(id);
    }

    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// The session with the most bytes waiting.
    pub(crate) fn largest(&self) -> Option<(usize, Arc<Session>)> {
        let sized = self.all().into_iter().map(|session| (session.send_queue_bytes(), session));
        sized.max_by_key(|(bytes, _)| *bytes)
    }
}
