//! Many at once.

use std::{collections::BTreeSet, sync::Arc};

use tidings_core::{
    idempotency::IdempotencyClaim,
    ids::{Rev, UserId},
    inbox::{InboxOp, OpenFrom},
    ports::{Accept, StoreError},
};
use tokio::task::JoinSet;

use super::{
    StoreHarness,
    world::{World, added},
};
use crate::{new_id, users};

impl World<'_> {
    /// Spawns one accept of one message for each of `recipients`.
    fn spawn_accepts(&self, tasks: &mut JoinSet<()>, recipients: impl Iterator<Item = UserId>) {
        for user in recipients {
            let store = Arc::clone(&self.store);
            let now = self.clock.tick();
            let messages = vec![crate::message(now).to(&[user]).build()];
            tasks.spawn(async move {
                let accept = Accept { messages, idempotency: None, now };
                assert_eq!(store.accept(accept).await.unwrap().accepted[0].recipients, 1);
            });
        }
    }
}

pub async fn many_accepts_to_one_user_have_contiguous_revs(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let mut tasks = JoinSet::new();
    w.spawn_accepts(&mut tasks, std::iter::repeat_n(w.alice.clone(), 500));
    tasks.join_all().await;
    assert_eq!(w.counters(&w.alice).await, (500, 500));
    let changes = &w.sink.by_user()[&w.alice];
    assert_eq!(changes.len(), 500);
    for (n, change) in changes.iter().enumerate() {
        assert_eq!((added(change).seq, change.unread), (Rev(n as u64 + 1), n as u64 + 1));
    }
}

pub async fn many_accepts_to_many_users(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let people = users("user", 40);
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        w.spawn_accepts(&mut tasks, people.iter().cloned());
    }
    tasks.join_all().await;
    let heard = w.sink.by_user();
    assert_eq!(heard.len(), 40);
    for user in &people {
        assert_eq!(w.counters(user).await, (10, 10));
        let seqs: BTreeSet<_> = heard[user].iter().map(|change| added(change).seq).collect();
        assert_eq!(seqs, (1..=10).map(Rev).collect());
    }
}

pub async fn announcements_and_accepts_interleave(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let people = users("user", 50);
    w.put_users(&people).await;
    let announced = w.accept_one(w.message().to_all()).await.id;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        w.spawn_accepts(&mut tasks, people.iter().cloned());
    }
    // Several nodes may drive one announcement: each batch is served once.
    for _ in 0..4 {
        let (store, clock) = (Arc::clone(&w.store), w.clock.clone());
        tasks.spawn(async move {
            while !store.advance_announcement(announced, 3, clock.tick()).await.unwrap().finished {}
        });
    }
    tasks.join_all().await;
    let heard = w.sink.by_user();
    for user in &people {
        assert_eq!(heard[user].len(), 5);
        assert_eq!(w.counters(user).await, (5, 5));
    }
}

pub async fn a_failing_request_spoils_no_other(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let claim = |n: u8| IdempotencyClaim {
        scope: "app".into(),
        key: "same".into(),
        fingerprint: [n; 32],
        note: String::new(),
    };
    let accept = |n: u8| Accept {
        messages: vec![w.message().to(&[w.alice.clone(), w.bob.clone()]).build()],
        idempotency: Some(claim(n)),
        now: w.clock.tick(),
    };
    w.store.accept(accept(0)).await.unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..200_u8 {
        let store = Arc::clone(&w.store);
        let request = accept(n);
        let plain = Accept { idempotency: None, ..accept(n) };
        tasks.spawn(async move {
            let outcome = store.accept(request).await;
            if n == 0 {
                assert!(outcome.unwrap().replayed);
            } else {
                assert_eq!(outcome.unwrap_err(), StoreError::IdempotencyMismatch);
            }
            store.accept(plain).await.unwrap();
        });
    }
    tasks.join_all().await;
    assert_eq!((w.counters(&w.alice).await, w.counters(&w.bob).await), ((201, 201), (201, 201)));
    w.sink.by_user();
}

/// Whoever reads sees a counter and items that belong together, while both move.
pub async fn an_inbox_is_read_in_one_snapshot(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let ids = w.fill(&w.alice, 20).await;
    let (store, clock, alice) = (Arc::clone(&w.store), w.clock.clone(), w.alice.clone());
    let writer = tokio::spawn(async move {
        for round in 0..100 {
            let id = ids[round % ids.len()];
            for op in [InboxOp::Read(vec![id, new_id()]), InboxOp::Unread(vec![id])] {
                store.change(&alice, op, clock.tick()).await.unwrap();
            }
        }
    });
    while !writer.is_finished() {
        let opening = w.store.open(&w.alice, OpenFrom::Newest).await.unwrap();
        let unread = opening.pending.items.len() as u64;
        assert_eq!((opening.state.unread, opening.pending.unread), (unread, unread));
        // Odd revs (after the 20 that were added) are those with one item read.
        assert_eq!(unread, 20 - opening.state.rev.0 % 2);
        let sync = w.sync(&w.alice, 0, 1_000).await;
        let unread = sync.items.iter().filter(|n| n.item.counts_as_unread()).count() as u64;
        assert_eq!((sync.unread, unread), (20 - sync.to.0 % 2, sync.unread));
    }
    writer.await.unwrap();
}
