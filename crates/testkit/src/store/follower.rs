//! A client that follows an inbox by changes, some of which it never hears, and by `sync`.

use std::collections::BTreeMap;

use rand::{Rng, rngs::StdRng};
use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    inbox::{ChangeKind, InboxChange, Sync},
    notification::Item,
    ports::Store,
    time::Timestamp,
};

pub(super) struct Follower {
    user: UserId,
    known: Rev,
    read_up_to: Rev,
    items: BTreeMap<NotificationId, Item>,
}

/// What a client shows of an item. It does not know when something was read by a watermark.
fn shown(item: &Item) -> (Rev, bool, bool, bool) {
    (item.seq, item.seen_at.is_some(), item.is_read(), item.archived_at.is_some())
}

impl Follower {
    pub(super) fn new(user: UserId) -> Self {
        Self { user, known: Rev(0), read_up_to: Rev(0), items: BTreeMap::new() }
    }

    /// Applies a change that is the next one; after a gap it asks for what it missed.
    pub(super) async fn hear(&mut self, store: &dyn Store, change: &InboxChange, rng: &mut StdRng) {
        if change.rev <= self.known {
            return;
        }
        if change.rev.0 == self.known.0 + 1 {
            self.known = change.rev;
            self.apply(&change.kind);
        } else {
            self.catch_up(store, rng).await;
            assert!(self.known >= change.rev, "what was told is committed");
        }
    }

    pub(super) async fn catch_up(&mut self, store: &dyn Store, rng: &mut StdRng) {
        loop {
            let limit = [1, 2, 7, 50][rng.random_range(0..4)];
            let mut sync = store.sync(&self.user, self.known, limit).await.unwrap();
            if sync.reset && sync.has_more {
                sync = store.sync(&self.user, self.known, 1_000_000).await.unwrap();
            }
            let more = sync.has_more;
            self.take(sync);
            if !more {
                return;
            }
        }
    }

    fn take(&mut self, sync: Sync) {
        assert!(sync.reset || sync.to >= self.known);
        if sync.reset {
            self.items.clear();
        }
        if sync.read_up_to > self.read_up_to {
            self.read_up_to = sync.read_up_to;
            self.mark_read(sync.read_up_to);
        }
        self.items.extend(sync.items.into_iter().map(|n| (n.item.id, n.item)));
        for id in sync.removed {
            self.items.remove(&id);
        }
        self.known = sync.to;
    }

    fn apply(&mut self, kind: &ChangeKind) {
        match kind {
            ChangeKind::Added { item, .. } => drop(self.items.insert(item.id, item.clone())),
            ChangeKind::Updated(items) => {
                self.items.extend(items.iter().map(|item| (item.id, item.clone())));
            }
            ChangeKind::Removed(ids) => self.items.retain(|id, _| !ids.contains(id)),
            ChangeKind::ReadAll { up_to } => {
                self.read_up_to = self.read_up_to.max(*up_to);
                self.mark_read(*up_to);
            }
            ChangeKind::Cleared { up_to } => self.items.retain(|_, item| item.seq > *up_to),
        }
    }

    fn mark_read(&mut self, up_to: Rev) {
        for item in self.items.values_mut().filter(|item| item.seq <= up_to) {
            item.read_at.get_or_insert(Timestamp::EPOCH);
            item.seen_at.get_or_insert(Timestamp::EPOCH);
        }
    }

    /// A client that had to start over holds no archived items until they change; all else it
    /// must hold exactly.
    pub(super) fn assert_converged(&self, stored: &BTreeMap<NotificationId, Item>, rev: Rev) {
        assert_eq!(self.known, rev, "{}", self.user);
        for (id, item) in &self.items {
            let stored = stored.get(id).map(shown);
            assert_eq!(Some(shown(item)), stored, "{}: {item:?}", self.user);
        }
        for (id, item) in stored.iter().filter(|(_, item)| item.archived_at.is_none()) {
            assert!(self.items.contains_key(id), "{}: {item:?} is missing", self.user);
        }
    }
}
