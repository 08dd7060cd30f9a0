//! Expiry and retention.

use tidings_core::{
    announcement::AnnouncementState::Done, ids::Rev, inbox::InboxOp, ports::Clock, time::Timestamp,
};

use super::{
    StoreHarness,
    world::{HOUR, World, ids, removed},
};
use crate::{user, users};

impl World<'_> {
    /// Runs one of the loops to its end; returns how many rows went in each call.
    async fn expire_all(&self, limit: usize) -> Vec<u64> {
        let mut steps = Vec::new();
        loop {
            let removed = self.store.expire(self.clock.tick(), limit).await.unwrap();
            if removed == 0 {
                return steps;
            }
            steps.push(removed);
        }
    }

    async fn retain_all(&self, before: Timestamp, limit: usize) -> Vec<u64> {
        let mut steps = Vec::new();
        loop {
            let now = self.clock.tick();
            let removed = self.store.retain(before, now, limit).await.unwrap();
            if removed == 0 {
                return steps;
            }
            steps.push(removed);
        }
    }
}

pub async fn expired_notifications_are_removed_by_one_rev(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let at = w.clock.tick().plus(HOUR);
    let first = w.accept_one(w.message().expires_at(at)).await.id;
    let kept = w.send(&w.alice).await;
    let both = [w.alice.clone(), w.bob.clone()];
    let second = w.accept_one(w.message().to(&both).expires_at(at)).await.id;
    w.change(&w.alice, InboxOp::Read(vec![first])).await;
    w.sink.take();
    w.clock.set(at);
    assert_eq!(w.store.expire(at, 100).await.unwrap(), 3);
    let changes = w.sink.take();
    assert_eq!(changes.len(), 2, "one change for each user");
    for change in &changes {
        let mut gone = removed(change).to_vec();
        gone.sort();
        let expected = if change.user == w.alice { vec![first, second] } else { vec![second] };
        assert_eq!(gone, expected);
    }
    assert_eq!((w.counters(&w.alice).await, w.counters(&w.bob).await), ((5, 1), (2, 0)));
    let sync = w.sync(&w.alice, 4, 100).await;
    assert_eq!((sync.removed.len(), sync.items.len()), (2, 0));
    assert_eq!(w.list(w.query(&w.alice)).await, [kept]);
    assert_eq!(w.store.expire(w.clock.tick(), 100).await.unwrap(), 0);
}

pub async fn expiry_goes_on_in_batches(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let at = w.clock.tick().plus(HOUR);
    for _ in 0..3 {
        w.accept_one(w.message().to(&users("user", 7)).expires_at(at)).await;
    }
    w.clock.set(at);
    let steps = w.expire_all(10).await;
    assert!(steps.iter().all(|rows| *rows <= 10), "{steps:?}");
    assert!(steps.iter().sum::<u64>() >= 21, "{steps:?}");
    for changes in w.sink.by_user().values() {
        assert_eq!(changes.last().unwrap().unread, 0);
    }
    assert_eq!(w.store.expire(w.clock.tick(), 0).await.unwrap(), 0);
}

pub async fn nothing_expires_before_its_time(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let at = w.clock.tick().plus(HOUR);
    w.accept_one(w.message().expires_at(at)).await;
    w.send(&w.alice).await;
    assert!(w.expire_all(100).await.is_empty());
    // What readers see depends on stored state, not on the clock: past its time and before
    // the loop it is still there.
    w.clock.set(at.plus(HOUR));
    assert_eq!(w.list(w.query(&w.alice)).await.len(), 2);
    assert_eq!(w.expire_all(100).await, [1]);
    assert_eq!(w.list(w.query(&w.alice)).await.len(), 1);
}

pub async fn an_expired_announcement_is_done(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.put_users(&users("user", 3)).await;
    let at = w.clock.tick().plus(HOUR);
    let id = w.accept_one(w.message().to_all().expires_at(at)).await.id;
    w.store.advance_announcement(id, 2, w.clock.tick()).await.unwrap();
    w.clock.set(at);
    w.expire_all(100).await;
    let announcement = w.store.announcement(id).await.unwrap().unwrap();
    assert_eq!((announcement.state, announcement.processed), (Done, 2));
    assert_eq!(w.announce(id, 100).await, 0);
    assert!(!w.store.exists(id).await.unwrap());
}

pub async fn an_expired_announcement_may_be_sent_again(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.put_user(&w.bob).await;
    let at = w.clock.tick().plus(HOUR);
    let first = w.message().to_all().expires_at(at).build();
    w.accept(vec![first.clone()]).await;
    w.announce(first.message.id, 10).await;
    w.clock.set(at);
    w.expire_all(100).await;
    let id = first.message.id;
    let accepted = w.accept_one(w.message().id(id).to_all()).await;
    assert_eq!((accepted.recipients, accepted.announced), (1, true));
    assert_eq!(w.announce(id, 10).await, 1);
    assert_eq!(w.list(w.query(&w.bob)).await, [id]);
}

pub async fn old_notifications_are_removed_with_their_announcements(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.put_user(&w.bob).await;
    let old = w.send_many(&w.alice, 3).await;
    let announced = w.accept_one(w.message().to_all()).await.id;
    w.announce(announced, 10).await;
    let before = w.later(HOUR);
    let new = w.send(&w.alice).await;
    w.sink.take();
    assert_eq!(w.retain_all(before, 100).await, [4]);
    assert_eq!(w.list(w.query(&w.alice)).await, [new]);
    assert_eq!((w.counters(&w.alice).await, w.counters(&w.bob).await), ((5, 1), (2, 0)));
    let change = w.sink.of(&w.alice).pop().unwrap();
    assert_eq!((removed(&change), change.rev), (&old[..], Rev(5)));
    assert!(w.store.announcement(announced).await.unwrap().is_none());
    assert!(!w.store.exists(old[0]).await.unwrap());
}

pub async fn retention_counts_from_when_it_was_sent(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let send_at = w.clock.tick().plus(1_000 * HOUR);
    let id = w.accept_one(w.message().send_at(send_at)).await.id;
    // Written long ago, not sent yet: it must not go.
    let before = w.later(999 * HOUR);
    assert!(w.retain_all(before, 100).await.is_empty());
    w.clock.set(send_at);
    assert_eq!(w.announce(id, 10).await, 1);
    assert!(w.retain_all(send_at, 100).await.is_empty());
    let later = w.later(HOUR);
    assert_eq!(w.retain_all(later, 100).await, [1]);
}

pub async fn a_type_may_have_a_retention_of_its_own(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let ordinary = w.send(&w.alice).await;
    let short = w.accept_one(w.message().keep_for(HOUR)).await.id;
    let long = w.accept_one(w.message().keep_for(1_000 * HOUR)).await.id;
    let send_at = w.clock.now().plus(10 * HOUR);
    let later = w.accept_one(w.message().keep_for(HOUR).send_at(send_at)).await.id;
    let kept = 100 * HOUR;
    let retain = async || {
        let before = w.clock.now().minus(kept);
        w.retain_all(before, 100).await.iter().sum::<u64>()
    };
    assert_eq!(retain().await, 0);
    w.later(2 * HOUR);
    w.sink.take();
    assert_eq!(retain().await, 1);
    assert_eq!(removed(&w.only_change()), [short]);
    assert_eq!(w.list(w.query(&w.alice)).await, [long, ordinary]);
    w.clock.set(send_at);
    assert_eq!(w.announce(later, 10).await, 1);
    assert_eq!(retain().await, 0, "it counts from when it was sent");
    w.later(HOUR);
    assert_eq!(retain().await, 1);
    assert!(w.store.announcement(later).await.unwrap().is_none());
    w.later(kept);
    assert_eq!(retain().await, 1);
    assert_eq!(w.list(w.query(&w.alice)).await, [long]);
    w.later(1_000 * HOUR);
    assert_eq!(retain().await, 1);
    assert!(w.list(w.query(&w.alice)).await.is_empty());
}

pub async fn bodies_without_items_go_too(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 5).await;
    w.change(&w.alice, InboxOp::Delete(sent)).await;
    let kept = w.send(&w.bob).await;
    let before = w.clock.now();
    w.sink.take();
    let steps = w.retain_all(before, 2).await;
    assert!(steps.iter().all(|rows| *rows <= 2));
    assert!(w.sink.take().is_empty(), "nobody had them");
    assert_eq!(ids(&w.sync(&w.bob, 0, 10).await.items), [kept]);
    assert_eq!(w.counters(&user("alice")).await, (6, 0));
}

pub async fn a_store_that_works_answers_a_ping(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.store.ping().await.unwrap();
}
