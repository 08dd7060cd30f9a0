//! Read all: one watermark instead of many changes.

use tidings_core::{
    ids::Rev,
    inbox::{ChangeKind, InboxOp},
};

use super::{StoreHarness, world::World};

const ALL: InboxOp = InboxOp::ReadAll { up_to: None };

fn up_to(rev: u64) -> InboxOp {
    InboxOp::ReadAll { up_to: Some(Rev(rev)) }
}

pub async fn everything_so_far_is_read_by_one_rev(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 3).await;
    w.sink.take();
    let outcome = w.change(&w.alice, ALL).await;
    assert_eq!((outcome.changed, outcome.state.rev), (3, Rev(4)));
    assert_eq!((outcome.state.unread, outcome.state.read_up_to), (0, Rev(3)));
    let change = w.only_change();
    assert!(matches!(change.kind, ChangeKind::ReadAll { up_to: Rev(3) }), "{change:?}");
    assert_eq!((change.rev, change.unread), (Rev(4), 0));
    for (n, id) in sent.iter().enumerate() {
        let item = w.item(&w.alice, *id).await;
        assert!(item.read_at.is_some() && item.seen_at.is_some());
        assert_eq!(item.rev, Rev(n as u64 + 1), "the watermark tells it, not the items");
    }
    let sync = w.sync(&w.alice, 3, 100).await;
    assert_eq!((sync.items.len(), sync.read_up_to, sync.to), (0, Rev(3), Rev(4)));
    // What comes later is unread.
    w.send(&w.alice).await;
    assert_eq!(w.counters(&w.alice).await, (5, 1));
}

pub async fn only_up_to_a_seq(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 3).await;
    let outcome = w.change(&w.alice, up_to(2)).await;
    assert_eq!((outcome.changed, outcome.state.unread), (2, 1));
    assert_eq!(outcome.state.read_up_to, Rev(2));
    assert!(w.item(&w.alice, sent[2]).await.read_at.is_none());
}

pub async fn beyond_the_counter_is_the_counter(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.send_many(&w.alice, 2).await;
    let outcome = w.change(&w.alice, up_to(u64::MAX)).await;
    assert_eq!((outcome.state.read_up_to, outcome.state.unread), (Rev(2), 0));
    w.send(&w.alice).await;
    assert_eq!(w.counters(&w.alice).await, (4, 1));
}

pub async fn archived_items_are_read_too(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 2).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[0]])).await;
    let outcome = w.change(&w.alice, ALL).await;
    assert_eq!((outcome.changed, outcome.state.unread), (2, 0));
    assert!(w.item(&w.alice, sent[0]).await.read_at.is_some());
    w.change(&w.alice, InboxOp::Unarchive(vec![sent[0]])).await;
    assert_eq!(w.counters(&w.alice).await, (5, 0));
}

pub async fn nothing_to_read_takes_no_rev(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.send_many(&w.alice, 3).await;
    w.change(&w.alice, up_to(3)).await;
    w.sink.take();
    for rev in [0, 1, 3] {
        let outcome = w.change(&w.alice, up_to(rev)).await;
        assert_eq!((outcome.changed, outcome.state.rev), (0, Rev(4)));
    }
    assert!(w.sink.take().is_empty());
    // A watermark that grows is a change, even over items that were read one by one.
    let id = w.send(&w.alice).await;
    w.change(&w.alice, InboxOp::Read(vec![id])).await;
    let outcome = w.change(&w.alice, up_to(5)).await;
    assert_eq!((outcome.changed, outcome.state.read_up_to), (0, Rev(5)));
    assert_eq!(outcome.state.rev, Rev(7));
}

/// A client that missed the change must find it by `sync`, and a watermark that it knows
/// already tells it nothing.
pub async fn below_the_watermark_items_tell_by_their_rev(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 3).await;
    w.change(&w.alice, up_to(3)).await;
    w.change(&w.alice, InboxOp::Unread(vec![sent[0]])).await;
    assert_eq!(w.counters(&w.alice).await, (5, 1));
    w.sink.take();
    let outcome = w.change(&w.alice, up_to(2)).await;
    assert_eq!((outcome.changed, outcome.state.rev, outcome.state.unread), (1, Rev(6), 0));
    assert_eq!(outcome.state.read_up_to, Rev(3), "it never goes back");
    // Connected devices hold that watermark too, so they are told of the items themselves.
    let change = w.only_change();
    let ChangeKind::Updated(items) = &change.kind else { panic!("{change:?}") };
    assert!(matches!(items.as_slice(), [item] if item.id == sent[0] && item.is_read()));
    let sync = w.sync(&w.alice, 5, 100).await;
    assert_eq!(sync.items.len(), 1);
    assert!(sync.items[0].item.is_read());
    assert_eq!(sync.items[0].item.rev, Rev(6));
}
