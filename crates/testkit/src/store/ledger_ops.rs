//! Random operations on a store, written down in a ledger as they are answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tidings_core::{
    ids::{DeviceId, NotificationId, Rev, UserId},
    inbox::{InboxOp, OpOutcome},
    ports::{Accept, PruneBefore, Store},
    time::Timestamp,
};

use crate::{ManualClock, message, new_id};

/// An operation that was answered, with what it said.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) op: InboxOp,
    pub(super) now: Timestamp,
    pub(super) outcome: OpOutcome,
}

#[derive(Default)]
pub(super) struct Ledger {
    /// Operations that changed something, by user and the rev they took.
    pub(super) changes: BTreeMap<(UserId, Rev), Entry>,
    /// Who was to get each message.
    pub(super) sent: BTreeMap<NotificationId, BTreeSet<UserId>>,
    /// How many of them did, by the answer.
    pub(super) recipients: BTreeMap<NotificationId, u64>,
    /// Messages that may have been taken away by a retraction, expiry or retention.
    pub(super) doomed: BTreeSet<NotificationId>,
    pub(super) announced: BTreeSet<NotificationId>,
    /// The highest acknowledgement of each user.
    pub(super) acknowledged: BTreeMap<UserId, Rev>,
    ids: Vec<NotificationId>,
}

/// One task that does things.
pub(super) struct Actor {
    pub(super) store: Arc<dyn Store>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) clock: ManualClock,
    pub(super) users: Vec<UserId>,
    rng: StdRng,
}

impl Actor {
    pub(super) fn new(
        store: Arc<dyn Store>,
        ledger: Arc<Mutex<Ledger>>,
        clock: ManualClock,
        users: Vec<UserId>,
        seed: u64,
    ) -> Self {
        Self { store, ledger, clock, users, rng: StdRng::seed_from_u64(seed) }
    }

    pub(super) async fn act(mut self, steps: u64) {
        for _ in 0..steps {
            match self.rng.random_range(0..100) {
                0..40 => self.accept().await,
                40..80 => self.change().await,
                80..87 => self.acknowledge().await,
                87..90 => self.announce().await,
                90..93 => self.retract().await,
                93..98 => self.expire_or_retain().await,
                _ => self.prune().await,
            }
        }
    }

    fn user(&mut self) -> UserId {
        self.users.choose(&mut self.rng).unwrap().clone()
    }

    /// Known ids, mostly of recent messages, and now and then one that nobody knows.
    fn ids(&mut self, most: usize) -> Vec<NotificationId> {
        let count = self.rng.random_range(1..=most);
        let ledger = self.ledger.lock().unwrap();
        let recent = ledger.ids.len().saturating_sub(60);
        let rng = &mut self.rng;
        let mut pick = |_| match rng.random_range(0..20) {
            0 => new_id(),
            1..5 => ledger.ids.choose(rng).copied().unwrap_or_else(new_id),
            _ => ledger.ids[recent..].choose(rng).copied().unwrap_or_else(new_id),
        };
        (0..count).map(&mut pick).collect()
    }

    async fn accept(&mut self) {
        let now = self.clock.tick();
        let mut messages = Vec::new();
        for _ in 0..self.rng.random_range(1..=2) {
            let count = self.rng.random_range(1..=self.users.len());
            let to: Vec<_> = self.users.choose_multiple(&mut self.rng, count).cloned().collect();
            let mut new = message(now).to(&to);
            if self.rng.random_bool(0.2) {
                new = new.dedupe(&format!("key-{}", self.rng.random_range(0..20)));
            }
            if self.rng.random_bool(0.1) {
                let ms = self.rng.random_range(1..500);
                new = new.expires_at(now.plus(Duration::from_millis(ms)));
            }
            let new = new.build();
            let id = new.message.id;
            self.ledger.lock().unwrap().sent.insert(id, to.into_iter().collect());
            messages.push(new);
        }
        let expire = messages.iter().filter(|new| new.message.expires_at.is_some());
        let expire: Vec<_> = expire.map(|new| new.message.id).collect();
        self.ledger.lock().unwrap().doomed.extend(expire);
        let sent: Vec<_> = messages.iter().map(|new| new.message.id).collect();
        let accept = Accept { messages, idempotency: None, now };
        let accepted = self.store.accept(accept).await.unwrap().accepted;
        let mut ledger = self.ledger.lock().unwrap();
        for (id, accepted) in sent.into_iter().zip(accepted) {
            assert_eq!(accepted.id != id, accepted.duplicate);
            ledger.recipients.insert(id, accepted.recipients);
            if !accepted.duplicate {
                ledger.ids.push(id);
            }
        }
    }

    async fn change(&mut self) {
        let user = self.user();
        let up_to = match self.rng.random_range(0..4) {
            0 => None,
            _ => Some(Rev(self.rng.random_range(0..400))),
        };
        let op = match self.rng.random_range(0..40) {
            0..10 => InboxOp::Read(self.ids(4)),
            10..16 => InboxOp::Unread(self.ids(4)),
            16..20 => InboxOp::Seen(self.ids(4)),
            20..25 => InboxOp::Archive(self.ids(4)),
            25..29 => InboxOp::Unarchive(self.ids(4)),
            29..34 => InboxOp::Delete(self.ids(4)),
            34..39 => InboxOp::ReadAll { up_to },
            _ => InboxOp::Clear { up_to: up_to.map(|rev| Rev(rev.0 / 2)) },
        };
        let now = self.clock.tick();
        let outcome = self.store.change(&user, op.clone(), now).await.unwrap();
        if outcome.changed > 0 {
            let entry = Entry { op, now, outcome };
            let known =
                self.ledger.lock().unwrap().changes.insert((user, outcome.state.rev), entry);
            assert!(known.is_none(), "two operations took one rev");
        }
    }

    async fn acknowledge(&mut self) {
        let user = self.user();
        // Only what is there: what a later item is must not depend on who came first.
        let last = self.store.state(&user).await.unwrap().rev.0;
        let up_to = Rev(self.rng.random_range(0..=last));
        let device = DeviceId::new(format!("device-{}", self.rng.random_range(0..30))).unwrap();
        let device = self.rng.random_bool(0.7).then_some(device);
        let now = self.clock.tick();
        self.store.acknowledge(&user, device.as_ref(), up_to, now).await.unwrap();
        let mut ledger = self.ledger.lock().unwrap();
        let highest = ledger.acknowledged.entry(user).or_default();
        *highest = (*highest).max(up_to);
    }

    /// Makes an announcement, or takes those that are there a step further.
    async fn announce(&mut self) {
        let now = self.clock.tick();
        if self.rng.random_bool(0.3) {
            let new = message(now).to_all().build();
            let id = new.message.id;
            {
                let mut ledger = self.ledger.lock().unwrap();
                ledger.sent.insert(id, self.users.iter().cloned().collect());
                ledger.announced.insert(id);
                ledger.ids.push(id);
            }
            let accept = Accept { messages: vec![new], idempotency: None, now };
            self.store.accept(accept).await.unwrap();
        }
        for id in self.store.due_announcements(now, 3).await.unwrap() {
            let batch = self.rng.random_range(1..4);
            self.store.advance_announcement(id, batch, self.clock.tick()).await.unwrap();
        }
    }

    async fn retract(&mut self) {
        let id = self.ids(1)[0];
        self.ledger.lock().unwrap().doomed.insert(id);
        let batch = self.rng.random_range(1..4);
        self.store.retract(id, batch, self.clock.tick()).await.unwrap();
        for id in self.store.due_retractions(3).await.unwrap() {
            self.store.advance_retraction(id, batch, self.clock.tick()).await.unwrap();
        }
    }

    async fn expire_or_retain(&mut self) {
        let limit = self.rng.random_range(1..20);
        let now = self.clock.tick();
        if self.rng.random_bool(0.7) {
            self.store.expire(now, limit).await.unwrap();
            return;
        }
        let before = now.minus(Duration::from_millis(1_500));
        {
            let mut ledger = self.ledger.lock().unwrap();
            let Ledger { ids, doomed, .. } = &mut *ledger;
            doomed.extend(ids.iter());
        }
        self.store.retain(before, now, limit).await.unwrap();
    }

    async fn prune(&mut self) {
        let now = self.clock.tick();
        let before = PruneBefore {
            tombstones: now.minus(Duration::from_millis(self.rng.random_range(100..1_000))),
            idempotency: Timestamp::EPOCH,
            announcements: Timestamp::EPOCH,
        };
        self.store.prune(before, self.rng.random_range(1..10)).await.unwrap();
    }
}
