//! Announcements.

use tidings_core::{
    announcement::AnnouncementState::{Done, Running, Scheduled},
    ids::RoomId,
};

use super::{
    StoreHarness,
    world::{HOUR, World},
};
use crate::{new_id, user, users};

pub async fn all_are_the_users_known_at_acceptance(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let known = users("user", 5);
    w.put_users(&known[..4]).await;
    w.store.see_user(&known[4], w.clock.tick()).await.unwrap();
    // A recipient of notifications alone is not a known user.
    w.send(&w.alice).await;
    let accepted = w.accept_one(w.message().to_all()).await;
    assert_eq!((accepted.recipients, accepted.announced), (5, true));
    w.put_user(&w.bob).await;
    assert_eq!(w.announce(accepted.id, 2).await, 5);
    for user in &known {
        assert_eq!(w.counters(user).await, (1, 1));
    }
    assert!(w.find(&w.bob, accepted.id).await.is_none(), "came too late");
    assert!(w.find(&w.alice, accepted.id).await.is_none());
}

pub async fn batches_go_on_where_the_last_one_ended(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let many = users("user", 1_001);
    let id = w.accept_one(w.message().to(&many)).await.id;
    let read = async || w.store.announcement(id).await.unwrap().unwrap();
    let announcement = read().await;
    assert_eq!((announcement.state, announcement.total), (Running, 1_001));
    for (batch, added, processed) in [(1, 1, 1), (600, 600, 601), (399, 399, 1_000)] {
        let now = w.clock.tick();
        let progress = w.store.advance_announcement(id, batch, now).await.unwrap();
        assert_eq!((progress.added, progress.finished), (added, false));
        let announcement = read().await;
        assert_eq!((announcement.processed, announcement.finished_at), (processed, None));
    }
    assert_eq!(w.sink.all().len(), 1_000);
    let progress = w.store.advance_announcement(id, 1, w.clock.tick()).await.unwrap();
    assert_eq!((progress.added, progress.finished), (1, true));
    let announcement = read().await;
    assert_eq!((announcement.state, announcement.processed), (Done, 1_001));
    assert!(announcement.finished_at.is_some());
    assert!(w.store.due_announcements(w.clock.tick(), 10).await.unwrap().is_empty());
    let progress = w.store.advance_announcement(id, 1, w.clock.tick()).await.unwrap();
    assert_eq!((progress.added, progress.finished), (0, true));
    w.sink.by_user();
    assert_eq!(w.sink.all().len(), 1_001);
}

pub async fn a_restart_repeats_nothing_and_leaves_out_nobody(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    w.put_users(&users("user", 50)).await;
    let id = w.accept_one(w.message().to_all()).await.id;
    w.store.advance_announcement(id, 17, w.clock.tick()).await.unwrap();
    w.reopen().await;
    assert_eq!(w.store.due_announcements(w.clock.tick(), 10).await.unwrap(), [id]);
    assert_eq!(w.announce(id, 10).await, 33);
    assert_eq!(w.sink.by_user().len(), 50);
}

pub async fn a_room_is_its_members_at_acceptance(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let room = RoomId::new("post:1").unwrap();
    w.store.add_members(&room, &[w.alice.clone(), w.bob.clone()], 100).await.unwrap();
    w.store.add_members(&RoomId::new("post:2").unwrap(), &[user("carol")], 100).await.unwrap();
    let accepted = w.accept_one(w.message().to_room(&room)).await;
    assert_eq!((accepted.recipients, accepted.announced), (2, true));
    w.store.add_members(&room, &[user("dave")], 100).await.unwrap();
    assert_eq!(w.announce(accepted.id, 1_000).await, 2);
    assert_eq!(w.sink.by_user().into_keys().collect::<Vec<_>>(), [user("alice"), user("bob")]);
}

pub async fn nothing_is_sent_before_its_time(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let at = w.clock.tick().plus(HOUR);
    let accepted = w.accept_one(w.message().send_at(at)).await;
    assert_eq!((accepted.recipients, accepted.announced), (1, true));
    let announcement = w.store.announcement(accepted.id).await.unwrap().unwrap();
    assert_eq!((announcement.state, announcement.run_at), (Scheduled, at));
    assert!(w.store.due_announcements(w.clock.tick(), 10).await.unwrap().is_empty());
    let early = w.store.advance_announcement(accepted.id, 10, w.clock.tick()).await.unwrap();
    assert_eq!((early.added, early.finished), (0, false));
    w.clock.set(at);
    assert_eq!(w.store.due_announcements(at, 10).await.unwrap(), [accepted.id]);
    assert_eq!(w.announce(accepted.id, 10).await, 1);
    assert_eq!(w.counters(&w.alice).await, (1, 1));
}

pub async fn an_expired_announcement_stops(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.put_users(&users("user", 3)).await;
    let at = w.clock.tick().plus(HOUR);
    let id = w.accept_one(w.message().to_all().expires_at(at)).await.id;
    w.store.advance_announcement(id, 1, w.clock.tick()).await.unwrap();
    w.clock.set(at);
    let progress = w.store.advance_announcement(id, 10, at).await.unwrap();
    assert_eq!((progress.added, progress.finished), (0, true));
    let announcement = w.store.announcement(id).await.unwrap().unwrap();
    assert_eq!((announcement.state, announcement.processed), (Done, 1));
}

pub async fn for_nobody_is_done_at_once(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let room = RoomId::new("post:empty").unwrap();
    let outcome =
        w.accept(vec![w.message().to_all().build(), w.message().to_room(&room).build()]).await;
    for accepted in outcome.accepted {
        assert_eq!((accepted.recipients, accepted.duplicate), (0, false));
        assert_eq!(w.announce(accepted.id, 10).await, 0);
        assert!(!w.store.exists(accepted.id).await.unwrap());
    }
}

pub async fn the_oldest_is_due_first(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.put_user(&w.alice).await;
    let later = w.clock.tick().plus(HOUR);
    let scheduled = w.accept_one(w.message().send_at(later)).await.id;
    let first = w.accept_one(w.message().to_all()).await.id;
    let second = w.accept_one(w.message().to_all()).await.id;
    w.clock.set(later);
    let due = w.store.due_announcements(later, 10).await.unwrap();
    assert_eq!(due, [first, second, scheduled]);
    assert_eq!(w.store.due_announcements(later, 2).await.unwrap(), [first, second]);
}

pub async fn an_unknown_announcement(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    assert!(w.store.announcement(new_id()).await.unwrap().is_none());
    let progress = w.store.advance_announcement(new_id(), 10, w.clock.tick()).await.unwrap();
    assert_eq!((progress.added, progress.finished), (0, true));
    let plain = w.send(&w.alice).await;
    assert!(w.store.announcement(plain).await.unwrap().is_none());
}
