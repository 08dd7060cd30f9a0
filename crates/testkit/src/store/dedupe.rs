//! Dedupe keys.

use tidings_core::idempotency::KEPT;

use super::{
    StoreHarness,
    world::{SECOND, World},
};
use crate::{new_id, user};

pub async fn a_user_gets_one_notification_for_one_key(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let first = w.accept_one(w.message().dedupe("like:1")).await;
    assert!(!first.duplicate);
    let second = w.accept_one(w.message().dedupe("like:1")).await;
    assert_eq!((second.id, second.recipients, second.duplicate), (first.id, 0, true));
    assert!(!w.accept_one(w.message().dedupe("like:2")).await.duplicate);
    assert!(!w.accept_one(w.message()).await.duplicate);
    assert_eq!(w.counters(&w.alice).await, (3, 3));
    // Two in one request are the same case.
    let pair = (0..2).map(|_| w.message().dedupe("pair").build()).collect();
    let pair = w.accept(pair).await.accepted;
    assert_eq!((pair[1].id, pair[1].duplicate), (pair[0].id, true));
}

pub async fn only_those_who_have_the_key_are_left_out(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let carol = user("carol");
    let first = w.accept_one(w.message().dedupe("k")).await;
    let everybody = [w.alice.clone(), w.bob.clone(), carol.clone()];
    let second = w.accept_one(w.message().to(&everybody).dedupe("k")).await;
    assert_eq!((second.recipients, second.duplicate), (2, false));
    assert!(w.find(&w.alice, second.id).await.is_none());
    assert!(w.find(&w.bob, second.id).await.is_some());
    let unwanted = new_id();
    let third = w.accept_one(w.message().id(unwanted).to(&everybody).dedupe("k")).await;
    assert_eq!((third.id, third.recipients, third.duplicate), (first.id, 0, true));
    assert!(!w.store.exists(unwanted).await.unwrap(), "it is not even stored");
    assert_eq!(w.counters(&carol).await, (1, 1));
}

pub async fn a_dedupe_key_counts_for_24_hours(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.accept_one(w.message().dedupe("k")).await;
    w.later(KEPT - SECOND);
    assert!(w.accept_one(w.message().dedupe("k")).await.duplicate);
    w.later(2 * SECOND);
    let again = w.accept_one(w.message().dedupe("k")).await;
    assert!(!again.duplicate, "a duplicate does not prolong the first");
    assert_eq!(w.accept_one(w.message().dedupe("k")).await.id, again.id);
    assert_eq!(w.counters(&w.alice).await, (2, 2));
}

pub async fn an_announcement_leaves_out_those_who_have_the_key(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.put_users(&[w.alice.clone(), w.bob.clone()]).await;
    w.accept_one(w.message().dedupe("k")).await;
    for expected in [1, 0] {
        let announced = w.accept_one(w.message().to_all().dedupe("k")).await;
        assert_eq!(w.announce(announced.id, 10).await, expected);
        let done = w.store.announcement(announced.id).await.unwrap().unwrap();
        assert_eq!((done.total, done.processed), (2, 2));
    }
    assert_eq!((w.counters(&w.alice).await, w.counters(&w.bob).await), ((1, 1), (1, 1)));
}
