//! Taking messages back.

use tidings_core::{
    announcement::AnnouncementState::Cancelled, ids::Rev, inbox::InboxOp, ports::Retracted,
};

use super::{
    StoreHarness,
    world::{World, removed},
};
use crate::{new_id, users};

pub async fn a_message_is_taken_out_of_every_inbox(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let to = [w.alice.clone(), w.bob.clone()];
    let id = w.accept_one(w.message().to(&to)).await.id;
    let other = w.send(&w.alice).await;
    w.change(&w.bob, InboxOp::Read(vec![id])).await;
    w.sink.take();
    let retracted = w.store.retract(id, 100, w.clock.tick()).await.unwrap();
    assert_eq!(retracted, Some(Retracted { removed: 2, more: false }));
    assert_eq!((w.counters(&w.alice).await, w.counters(&w.bob).await), ((3, 1), (3, 0)));
    let changes = w.sink.take();
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().all(|change| removed(change) == [id] && change.rev == Rev(3)));
    assert_eq!(w.sync(&w.alice, 2, 100).await.removed, [id]);
    assert!(w.find(&w.alice, id).await.is_none());
    assert!(w.find(&w.alice, other).await.is_some());
    assert!(!w.store.exists(id).await.unwrap());
    assert!(w.store.due_retractions(10).await.unwrap().is_empty());
}

pub async fn large_ones_go_on_in_batches(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let id = w.accept_one(w.message().to(&users("user", 25))).await.id;
    let now = w.clock.tick();
    let retracted = w.store.retract(id, 10, now).await.unwrap();
    assert_eq!(retracted, Some(Retracted { removed: 10, more: true }));
    w.reopen().await;
    assert_eq!(w.store.due_retractions(10).await.unwrap(), [id]);
    assert!(w.store.exists(id).await.unwrap());
    for (removed, more) in [(10, true), (5, false), (0, false)] {
        let step = w.store.advance_retraction(id, 10, w.clock.tick()).await.unwrap();
        assert_eq!(step, Retracted { removed, more });
    }
    assert!(w.store.due_retractions(10).await.unwrap().is_empty());
    for changes in w.sink.by_user().values() {
        assert_eq!((changes.len(), changes[1].unread), (2, 0));
    }
}

pub async fn an_announcement_is_cancelled(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.put_users(&users("user", 10)).await;
    let id = w.accept_one(w.message().to_all()).await.id;
    w.store.advance_announcement(id, 4, w.clock.tick()).await.unwrap();
    let retracted = w.store.retract(id, 100, w.clock.tick()).await.unwrap();
    assert_eq!(retracted, Some(Retracted { removed: 4, more: false }));
    assert_eq!(w.announce(id, 100).await, 0, "nobody else gets it");
    let announcement = w.store.announcement(id).await.unwrap().unwrap();
    assert_eq!((announcement.state, announcement.processed), (Cancelled, 4));
    assert!(w.store.due_announcements(w.clock.tick(), 10).await.unwrap().is_empty());
    // One that did not even begin.
    let id = w.accept_one(w.message().to_all()).await.id;
    let retracted = w.store.retract(id, 100, w.clock.tick()).await.unwrap();
    assert_eq!(retracted, Some(Retracted { removed: 0, more: false }));
    assert_eq!(w.announce(id, 100).await, 0);
    assert!(!w.store.exists(id).await.unwrap());
}

pub async fn an_unknown_message(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    assert_eq!(w.store.retract(new_id(), 10, w.clock.tick()).await.unwrap(), None);
    let step = w.store.advance_retraction(new_id(), 10, w.clock.tick()).await.unwrap();
    assert_eq!(step, Retracted { removed: 0, more: false });
    // A message that nobody took back is not touched.
    let id = w.send(&w.alice).await;
    let step = w.store.advance_retraction(id, 10, w.clock.tick()).await.unwrap();
    assert_eq!(step, Retracted { removed: 0, more: false });
    assert!(w.find(&w.alice, id).await.is_some());
}
