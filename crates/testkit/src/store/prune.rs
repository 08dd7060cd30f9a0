//! Forgetting tombstones, keys and announcements.

use tidings_core::{
    announcement::AnnouncementState::Scheduled,
    idempotency::IdempotencyClaim,
    ids::Rev,
    inbox::InboxOp,
    ports::{Accept, Clock, PruneBefore},
    time::Timestamp,
};

use super::{
    StoreHarness,
    world::{HOUR, SECOND, World},
};
use crate::users;

fn only_tombstones(before: Timestamp) -> PruneBefore {
    let never = Timestamp::EPOCH;
    PruneBefore { tombstones: before, idempotency: never, announcements: never }
}

fn all(before: Timestamp) -> PruneBefore {
    PruneBefore { tombstones: before, idempotency: before, announcements: before }
}

impl World<'_> {
    async fn prune_all(&self, before: PruneBefore, limit: usize) -> Vec<u64> {
        let mut steps = Vec::new();
        loop {
            match self.store.prune(before, limit).await.unwrap() {
                0 => return steps,
                rows => steps.push(rows),
            }
        }
    }
}

pub async fn without_their_tombstones_clients_start_over(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 4).await;
    w.change(&w.alice, InboxOp::Delete(vec![sent[0], sent[1]])).await;
    let between = w.later(HOUR);
    w.change(&w.alice, InboxOp::Delete(vec![sent[2]])).await;
    w.sink.take();
    assert_eq!(w.prune_all(only_tombstones(between), 100).await, [2]);
    let state = w.state(&w.alice).await;
    assert_eq!((state.floor, state.rev, state.unread), (Rev(5), Rev(6), 1));
    assert!(w.sink.take().is_empty(), "it is no change");
    assert!(w.sync(&w.alice, 4, 100).await.reset);
    let sync = w.sync(&w.alice, 5, 100).await;
    assert_eq!((sync.reset, sync.removed), (false, vec![sent[2]]), "this one is kept");
}

pub async fn only_inboxes_that_lost_tombstones_start_over(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let id = w.send(&w.alice).await;
    w.send(&w.bob).await;
    w.change(&w.alice, InboxOp::Delete(vec![id])).await;
    let now = w.later(SECOND);
    w.prune_all(only_tombstones(now), 100).await;
    assert_eq!(w.state(&w.alice).await.floor, Rev(2));
    assert_eq!(w.state(&w.bob).await.floor, Rev(0));
    assert!(!w.sync(&w.bob, 0, 10).await.reset);
}

pub async fn in_batches_until_nothing_is_left(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    for user in users("user", 3) {
        let sent = w.fill(&user, 10).await;
        w.change(&user, InboxOp::Delete(sent)).await;
    }
    let claim = IdempotencyClaim {
        scope: "a".into(),
        key: "k".into(),
        fingerprint: [1; 32],
        note: String::new(),
    };
    let accept = Accept {
        messages: vec![w.message().dedupe("d").build()],
        idempotency: Some(claim),
        now: w.clock.tick(),
    };
    w.store.accept(accept.clone()).await.unwrap();
    let now = w.later(SECOND);
    let steps = w.prune_all(all(now), 7).await;
    assert!(steps.iter().all(|rows| *rows <= 7), "{steps:?}");
    assert_eq!(steps.iter().sum::<u64>(), 32, "30 tombstones and two keys");
    for user in users("user", 3) {
        assert_eq!(w.state(&user).await.floor, Rev(11));
    }
    assert!(!w.store.accept(accept).await.unwrap().replayed, "the key is forgotten");
    assert!(!w.accept_one(w.message().dedupe("d")).await.duplicate);
}

pub async fn only_finished_announcements_are_forgotten(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.put_user(&w.alice).await;
    let done = w.accept_one(w.message().to_all()).await.id;
    w.announce(done, 10).await;
    let later = w.clock.now().plus(1_000 * HOUR);
    let cancelled = w.accept_one(w.message().to(&users("user", 30)).send_at(later)).await.id;
    w.store.retract(cancelled, 10, w.clock.tick()).await.unwrap();
    let scheduled = w.accept_one(w.message().send_at(later)).await.id;
    let now = w.later(HOUR);
    let steps = w.prune_all(all(now), 10).await;
    assert!(steps.iter().all(|rows| *rows <= 10), "{steps:?}");
    assert!(w.store.announcement(done).await.unwrap().is_none());
    assert!(w.store.announcement(cancelled).await.unwrap().is_none());
    let announcement = w.store.announcement(scheduled).await.unwrap().unwrap();
    assert_eq!(announcement.state, Scheduled);
    assert!(w.find(&w.alice, done).await.is_some(), "the notification itself stays");
}
