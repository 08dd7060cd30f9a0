//! What users do to single notifications, and clearing.

use tidings_core::{
    ids::Rev,
    inbox::{ChangeKind, InboxOp},
};

use super::{
    StoreHarness,
    world::{World, ids, removed, updated},
};
use crate::new_id;

pub async fn reading_marks_as_seen_and_counts_down(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 2).await;
    w.sink.take();
    let outcome = w.change(&w.alice, InboxOp::Read(vec![sent[0]])).await;
    assert_eq!((outcome.changed, outcome.missing), (1, 0));
    assert_eq!((outcome.state.rev, outcome.state.unread), (Rev(3), 1));
    assert_eq!(outcome.state, w.state(&w.alice).await);
    let item = w.item(&w.alice, sent[0]).await;
    assert!(item.read_at.is_some() && item.read_at == item.seen_at);
    assert_eq!((item.seq, item.rev), (Rev(1), Rev(3)));
    let change = w.only_change();
    assert_eq!((change.rev, change.unread), (Rev(3), 1));
    assert_eq!(updated(&change), [item]);
}

pub async fn unread_again_stays_seen_and_counts_up(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let id = w.send(&w.alice).await;
    w.change(&w.alice, InboxOp::Seen(vec![id])).await;
    let seen_at = w.item(&w.alice, id).await.seen_at;
    w.change(&w.alice, InboxOp::Read(vec![id])).await;
    assert_eq!(w.item(&w.alice, id).await.seen_at, seen_at, "seen once, at the first time");
    w.change(&w.alice, InboxOp::Unread(vec![id])).await;
    let item = w.item(&w.alice, id).await;
    assert_eq!((item.read_at, item.seen_at, item.rev), (None, seen_at, Rev(4)));
    assert_eq!(w.counters(&w.alice).await, (4, 1));
}

pub async fn seen_leaves_the_count_alone(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let id = w.send(&w.alice).await;
    let outcome = w.change(&w.alice, InboxOp::Seen(vec![id])).await;
    assert_eq!((outcome.state.rev, outcome.state.unread, outcome.changed), (Rev(2), 1, 1));
    let item = w.item(&w.alice, id).await;
    assert!(item.seen_at.is_some() && item.read_at.is_none());
}

pub async fn archived_items_do_not_count(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 2).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[0]])).await;
    assert_eq!(w.counters(&w.alice).await, (3, 1));
    assert!(w.item(&w.alice, sent[0]).await.archived_at.is_some());
    // Read or not makes no difference while it is archived.
    w.change(&w.alice, InboxOp::Read(vec![sent[0]])).await;
    w.change(&w.alice, InboxOp::Unread(vec![sent[0]])).await;
    assert_eq!(w.counters(&w.alice).await, (5, 1));
    w.change(&w.alice, InboxOp::Unarchive(vec![sent[0]])).await;
    assert_eq!(w.counters(&w.alice).await, (6, 2));
    assert!(w.item(&w.alice, sent[0]).await.archived_at.is_none());
    // A read one counts neither before nor after.
    w.change(&w.alice, InboxOp::Read(vec![sent[1]])).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[1]])).await;
    w.change(&w.alice, InboxOp::Unarchive(vec![sent[1]])).await;
    assert_eq!(w.counters(&w.alice).await, (9, 1));
}

pub async fn several_items_take_one_rev(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 5).await;
    w.change(&w.alice, InboxOp::Read(vec![sent[2]])).await;
    w.sink.take();
    // One is read already, one is named twice.
    let mut named = sent.clone();
    named.push(sent[0]);
    let outcome = w.change(&w.alice, InboxOp::Read(named)).await;
    assert_eq!((outcome.changed, outcome.state.rev, outcome.state.unread), (4, Rev(7), 0));
    let change = w.only_change();
    assert_eq!(updated(&change).len(), 4);
    assert!(updated(&change).iter().all(|item| item.rev == Rev(7)));
    assert_eq!(w.item(&w.alice, sent[2]).await.rev, Rev(6), "untouched");
}

pub async fn what_changes_nothing_takes_no_rev(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let id = w.send(&w.alice).await;
    w.change(&w.alice, InboxOp::Read(vec![id])).await;
    w.change(&w.alice, InboxOp::Archive(vec![id])).await;
    let before = w.item(&w.alice, id).await;
    w.sink.take();
    for op in [
        InboxOp::Read(vec![id]),
        InboxOp::Seen(vec![id]),
        InboxOp::Archive(vec![id]),
        InboxOp::Read(vec![]),
        InboxOp::Delete(vec![]),
    ] {
        let outcome = w.change(&w.alice, op).await;
        assert_eq!((outcome.changed, outcome.missing, outcome.state.rev), (0, 0, Rev(3)));
    }
    assert_eq!(w.item(&w.alice, id).await, before);
    w.change(&w.alice, InboxOp::Unarchive(vec![id])).await;
    w.change(&w.alice, InboxOp::Unread(vec![id])).await;
    w.sink.take();
    for op in [InboxOp::Unread(vec![id]), InboxOp::Unarchive(vec![id])] {
        assert_eq!(w.change(&w.alice, op).await.changed, 0);
    }
    assert_eq!(w.counters(&w.alice).await, (5, 1));
    assert!(w.sink.take().is_empty(), "and tells nobody");
}

pub async fn what_is_not_in_the_inbox_is_missing(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let (of_alice, of_bob) = (w.send(&w.alice).await, w.send(&w.bob).await);
    let unknown = new_id();
    let ids = vec![of_alice, of_bob, unknown, unknown];
    let outcome = w.change(&w.alice, InboxOp::Read(ids.clone())).await;
    assert_eq!((outcome.changed, outcome.missing), (1, 2));
    assert!(w.item(&w.bob, of_bob).await.read_at.is_none(), "bob's is bob's");
    assert_eq!(w.counters(&w.bob).await, (1, 1));
    // Somebody without an inbox.
    let nobody = crate::user("nobody");
    let outcome = w.change(&nobody, InboxOp::Delete(ids)).await;
    assert_eq!((outcome.changed, outcome.missing, outcome.state.rev), (0, 3, Rev(0)));
    for op in [InboxOp::ReadAll { up_to: None }, InboxOp::Clear { up_to: Some(Rev(9)) }] {
        assert_eq!(w.change(&nobody, op).await.state.rev, Rev(0));
    }
    assert!(w.sink.of(&nobody).is_empty());
}

pub async fn a_deleted_item_is_gone_and_told(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 4).await;
    w.change(&w.alice, InboxOp::Read(vec![sent[0]])).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[1]])).await;
    w.sink.take();
    let doomed = vec![sent[0], sent[1], sent[2]];
    let outcome = w.change(&w.alice, InboxOp::Delete(doomed.clone())).await;
    assert_eq!((outcome.changed, outcome.missing), (3, 0));
    assert_eq!((outcome.state.rev, outcome.state.unread), (Rev(7), 1));
    let change = w.only_change();
    assert_eq!((removed(&change), change.rev), (&doomed[..], Rev(7)));
    for id in &doomed {
        assert!(w.find(&w.alice, *id).await.is_none());
    }
    let sync = w.sync(&w.alice, 6, 100).await;
    assert_eq!((sync.removed, sync.items.len()), (doomed.clone(), 0));
    let again = w.change(&w.alice, InboxOp::Delete(doomed)).await;
    assert_eq!((again.changed, again.missing), (0, 3));
}

pub async fn clearing_leaves_tombstones(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 4).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[0]])).await;
    w.sink.take();
    let outcome = w.change(&w.alice, InboxOp::Clear { up_to: Some(Rev(3)) }).await;
    assert_eq!((outcome.changed, outcome.state.rev, outcome.state.unread), (3, Rev(6), 1));
    assert_eq!(outcome.state.floor, Rev(0));
    let change = w.only_change();
    assert!(matches!(change.kind, ChangeKind::Cleared { up_to: Rev(3) }), "{change:?}");
    let sync = w.sync(&w.alice, 5, 100).await;
    assert_eq!((sync.removed, sync.to, sync.reset), (sent[..3].to_vec(), Rev(6), false));
    // All that is left, and once more for nothing.
    let outcome = w.change(&w.alice, InboxOp::Clear { up_to: None }).await;
    assert_eq!((outcome.changed, outcome.state.unread), (1, 0));
    w.sink.take();
    assert_eq!(w.change(&w.alice, InboxOp::Clear { up_to: None }).await.changed, 0);
    assert!(w.sink.take().is_empty());
    assert_eq!(w.counters(&w.alice).await, (7, 0));
}

pub async fn clearing_very_many_makes_clients_start_over(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.fill(&w.alice, 1_001).await;
    let last = w.send(&w.alice).await;
    w.sink.take();
    let outcome = w.change(&w.alice, InboxOp::Clear { up_to: Some(Rev(1_001)) }).await;
    assert_eq!((outcome.changed, outcome.state.unread), (1_001, 1));
    assert_eq!((outcome.state.rev, outcome.state.floor), (Rev(1_003), Rev(1_003)));
    assert!(matches!(w.only_change().kind, ChangeKind::Cleared { up_to: Rev(1_001) }));
    let sync = w.sync(&w.alice, 1_002, 100).await;
    assert!(sync.reset && sync.removed.is_empty() && !sync.has_more);
    assert_eq!((ids(&sync.items), sync.to), (vec![last], Rev(1_003)));
    assert!(!w.sync(&w.alice, 1_003, 100).await.reset, "who heard of it goes on");
}
