//! What need not be read from the file again: what a client that connects asks for when nothing waits for it, which users
//! there are, and the API keys in use.
//!
//! Only this process writes the file, and all writes go through one thread, which knows what it has changed: after the commit, and before
//! anybody hears of it, it takes that out of here. A reader may keep what it read only if nothing was taken out
//! meanwhile; so what is here is what a snapshot taken now would show.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tidings_core::{
    api_key::ApiKey,
    ids::UserId,
    inbox::{InboxState, OpenFrom, Opening},
};

use crate::sync;

const SHARDS: usize = 64;
/// Users in one shard, about 150 bytes each.
const MAX_USERS: usize = 2_048;
const MAX_KEYS: usize = 1_024;

pub(crate) struct Cache {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Shard {
    generation: u64,
    users: HashMap<UserId, Known>,
}

#[derive(Default)]
struct Known {
    /// There is a row for the user.
    seen: bool,
    /// The state of the inbox is known.
    known: bool,
    /// `None`: nothing ever came. A map of many users has a pointer for it, not the room.
    inbox: Option<Box<InboxState>>,
}

impl Known {
    fn learn(&mut self, state: InboxState) {
        self.known = true;
        self.inbox = (state != InboxState::default()).then(|| Box::new(state));
    }

    fn forget(&mut self) {
        self.known = false;
        self.inbox = None;
    }

    fn inbox(&self) -> Option<InboxState> {
        self.known.then(|| self.inbox.as_deref().copied().unwrap_or_default())
    }
}

#[derive(Default)]
struct Keys {
    generation: u64,
    by_hash: HashMap<[u8; 32], ApiKey>,
}

/// When a read began.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u64);

/// What a batch of writes has changed.
#[derive(Default)]
pub(crate) struct Touched {
    pub(crate) keys: bool,
    /// Inboxes, nobody knows which.
    pub(crate) inboxes: bool,
    /// Users of whom nothing is left.
    pub(crate) users: Vec<UserId>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            keys: Mutex::default(),
        }
    }

    fn shard(&self, user: &UserId) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(user);
        // In range by the remainder; the vector has exactly SHARDS entries.
        lock(&self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)])
    }

    /// Taken before the read begins.
    pub(crate) fn ticket(&self, user: &UserId) -> Ticket {
        Ticket(self.shard(user).generation)
    }

    /// Keeps a state that was read after `ticket` was taken.
    pub(crate) fn learn(&self, user: &UserId, ticket: Ticket, state: InboxState) {
        let mut shard = self.shard(user);
        if shard.generation == ticket.0 {
            shard.of(user).learn(state);
        }
    }

    /// Notes that there was a row after `ticket` was taken.
    pub(crate) fn learn_seen(&self, user: &UserId, ticket: Ticket) {
        let mut shard = self.shard(user);
        if shard.generation == ticket.0 {
            shard.of(user).seen = true;
        }
    }

    pub(crate) fn is_seen(&self, user: &UserId) -> bool {
        self.shard(user).users.get(user).is_some_and(|known| known.seen)
    }

    /// The answer for a client for which nothing waits.
    pub(crate) fn opening(&self, user: &UserId, from: &OpenFrom) -> Option<Opening> {
        let state = self.shard(user).users.get(user)?.inbox()?;
        let since = match from {
            OpenFrom::Since(rev) if *rev == state.rev => Some(*rev),
            OpenFrom::Newest if state.unread == 0 => None,
            _ => return None,
        };
        Some(Opening { state, pending: sync::nothing(state), since })
    }

    /// These users' inboxes have changed.
    pub(crate) fn forget<'a>(&self, users: impl Iterator<Item = &'a UserId>) {
        for user in users {
            let mut shard = self.shard(user);
            shard.generation += 1;
            if let Some(known) = shard.users.get_mut(user) {
                known.forget();
            }
        }
    }

    pub(crate) fn forget_touched(&self, touched: &Touched) {
        if touched.inboxes {
            for shard in &self.shards {
                let mut shard = lock(shard);
                shard.generation += 1;
                shard.users.values_mut().for_each(Known::forget);
            }
        }
        for user in &touched.users {
            let mut shard = self.shard(user);
            shard.generation += 1;
            shard.users.remove(user);
        }
        if touched.keys {
            let mut keys = lock(&self.keys);
            keys.generation += 1;
            keys.by_hash.clear();
        }
    }

    pub(crate) fn key(&self, hash: &[u8; 32]) -> Option<ApiKey> {
        lock(&self.keys).by_hash.get(hash).cloned()
    }

    pub(crate) fn key_ticket(&self) -> Ticket {
        Ticket(lock(&self.keys).generation)
    }

    pub(crate) fn learn_key(&self, ticket: Ticket, key: &ApiKey) {
        let mut keys = lock(&self.keys);
        if keys.generation == ticket.0 && keys.by_hash.len() < MAX_KEYS {
            keys.by_hash.insert(key.hash, key.clone());
        }
    }
}

impl Shard {
    fn of(&mut self, user: &UserId) -> &mut Known {
        if self.users.len() >= MAX_USERS && !self.users.contains_key(user) {
            // Any will do: the map has no order, so this is a random eighth of them.
            let mut n = 0;
            self.users.retain(|_, _| {
                n += 1;
                n % 8 != 0
            });
        }
        self.users.entry(user.clone()).or_default()
    }
}

/// A map is whole after any panic, at worst without an entry.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tidings_core::ids::Rev;

    use super::*;

    fn user(n: usize) -> UserId {
        UserId::new(format!("u{n}")).unwrap()
    }

    fn state(rev: u64, unread: u64) -> InboxState {
        InboxState { rev: Rev(rev), unread, ..InboxState::default() }
    }

    #[test]
    fn it_answers_only_when_nothing_waits() {
        let cache = Cache::new();
        let alice = user(1);
        assert!(cache.opening(&alice, &OpenFrom::Newest).is_none());
        cache.learn(&alice, cache.ticket(&alice), state(5, 2));
        assert!(cache.opening(&alice, &OpenFrom::Newest).is_none(), "two are unread");
        assert!(cache.opening(&alice, &OpenFrom::Since(Rev(4))).is_none());
        assert!(cache.opening(&alice, &OpenFrom::Since(Rev(6))).is_none());
        let opening = cache.opening(&alice, &OpenFrom::Since(Rev(5))).unwrap();
        assert_eq!((opening.state, opening.pending.to), (state(5, 2), Rev(5)));
        cache.forget([&alice].into_iter());
        assert!(cache.opening(&alice, &OpenFrom::Since(Rev(5))).is_none());
        cache.learn(&alice, cache.ticket(&alice), state(6, 0));
        assert!(cache.opening(&alice, &OpenFrom::Newest).is_some());
        cache.forget_touched(&Touched { inboxes: true, ..Touched::default() });
        assert!(cache.opening(&alice, &OpenFrom::Newest).is_none());
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let cache = Cache::new();
        let alice = user(1);
        let ticket = cache.ticket(&alice);
        cache.forget([&alice].into_iter());
        cache.learn(&alice, ticket, state(5, 0));
        assert!(cache.opening(&alice, &OpenFrom::Newest).is_none());
    }

    #[test]
    fn it_is_bounded() {
        let cache = Cache::new();
        for n in 0..SHARDS * MAX_USERS * 2 {
            cache.learn_seen(&user(n), cache.ticket(&user(n)));
        }
        assert!(cache.shards.iter().all(|shard| lock(shard).users.len() <= MAX_USERS));
        assert!(cache.is_seen(&user(SHARDS * MAX_USERS * 2 - 1)));
    }
}
