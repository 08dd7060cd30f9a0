//! What changed since a rev.

use std::collections::BTreeSet;

use tidings_core::{
    ids::Rev,
    inbox::{InboxOp, PENDING},
    ports::PruneBefore,
};

use super::{
    StoreHarness,
    world::{HOUR, World, ids, reversed},
};
use crate::user;

pub async fn the_whole_story_from_zero(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 3).await;
    w.change(&w.alice, InboxOp::Read(vec![sent[0]])).await;
    w.change(&w.alice, InboxOp::Delete(vec![sent[1]])).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[2]])).await;
    let sync = w.sync(&w.alice, 0, 100).await;
    assert_eq!(ids(&sync.items), [sent[0], sent[2]], "by their last rev, archived ones too");
    assert_eq!(sync.removed, [sent[1]]);
    assert_eq!((sync.to, sync.unread, sync.has_more, sync.reset), (Rev(6), 0, false, false));
    assert_eq!(sync.items[0].recipient, w.alice);
}

pub async fn only_what_changed_since(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 3).await;
    w.change(&w.alice, InboxOp::Seen(vec![sent[0]])).await;
    let sync = w.sync(&w.alice, 2, 100).await;
    assert_eq!(ids(&sync.items), [sent[2], sent[0]]);
    let sync = w.sync(&w.alice, 4, 100).await;
    assert_eq!((sync.items.len(), sync.removed.len(), sync.to), (0, 0, Rev(4)));
    assert_eq!(sync.unread, 3);
}

pub async fn whole_revs_only(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 6).await;
    // Rev 7 touches two, rev 8 removes two, rev 9 touches one.
    w.change(&w.alice, InboxOp::Read(vec![sent[1], sent[0]])).await;
    w.change(&w.alice, InboxOp::Delete(vec![sent[2], sent[3]])).await;
    w.change(&w.alice, InboxOp::Seen(vec![sent[4]])).await;
    let sync = w.sync(&w.alice, 6, 3).await;
    assert_eq!(ids(&sync.items), [sent[0], sent[1]], "within a rev by id");
    assert_eq!((sync.removed.len(), sync.to, sync.has_more), (0, Rev(7), true));
    let sync = w.sync(&w.alice, 7, 3).await;
    assert_eq!((sync.items.len(), sync.removed.len()), (1, 2));
    assert_eq!((sync.to, sync.has_more), (Rev(9), false), "exactly the limit is not more");
    let sync = w.sync(&w.alice, 6, 4).await;
    assert_eq!((sync.to, sync.has_more), (Rev(8), true));
}

pub async fn a_rev_larger_than_the_limit_comes_whole(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.fill(&w.alice, 30).await;
    w.change(&w.alice, InboxOp::Read(sent[..10].to_vec())).await;
    w.change(&w.alice, InboxOp::Delete(sent[10..20].to_vec())).await;
    let sync = w.sync(&w.alice, 30, 4).await;
    assert_eq!((sync.items.len(), sync.to, sync.has_more), (10, Rev(31), true));
    let sync = w.sync(&w.alice, 31, 4).await;
    assert_eq!((sync.removed.len(), sync.to), (10, Rev(32)));
    let nothing_more = w.sync(&w.alice, 32, 4).await;
    assert_eq!((nothing_more.to, nothing_more.has_more), (Rev(32), false));
}

pub async fn pages_add_up_to_the_inbox(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.fill(&w.alice, 100).await;
    w.change(&w.alice, InboxOp::Delete(sent[5..25].to_vec())).await;
    w.change(&w.alice, InboxOp::Read(sent[40..70].to_vec())).await;
    for limit in [0, 1, 7, 99, 1_000] {
        let (mut since, mut items, mut removed) = (0, Vec::new(), BTreeSet::new());
        loop {
            let sync = w.sync(&w.alice, since, limit).await;
            assert!(!sync.reset);
            assert!(sync.items.iter().all(|n| n.item.rev.0 > since && n.item.rev <= sync.to));
            items.extend(ids(&sync.items));
            removed.extend(sync.removed);
            if !sync.has_more {
                assert_eq!(sync.to, Rev(102));
                break;
            }
            assert!(sync.to.0 > since, "every page gets on");
            since = sync.to.0;
        }
        assert_eq!((items.len(), removed.len()), (80, 20), "limit {limit}");
        assert_eq!(items.iter().collect::<BTreeSet<_>>().len(), 80, "each once");
    }
}

pub async fn beyond_the_counter_starts_over(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, PENDING + 3).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[0]])).await;
    w.change(&w.alice, InboxOp::Delete(vec![sent[1]])).await;
    for since in [1_000, u64::MAX] {
        let sync = w.sync(&w.alice, since, 1_000).await;
        assert!(sync.reset && !sync.has_more);
        assert_eq!(ids(&sync.items), reversed(&sent[2..]), "newest first, none archived");
        assert_eq!((sync.removed.len(), sync.to), (0, w.state(&w.alice).await.rev));
    }
    let sync = w.sync(&w.alice, 1_000, PENDING).await;
    assert!(sync.has_more, "there are older ones");
    assert_eq!(ids(&sync.items), reversed(&sent[3..]));
}

pub async fn below_the_floor_starts_over(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 3).await;
    w.change(&w.alice, InboxOp::Delete(vec![sent[0]])).await;
    let now = w.later(HOUR);
    let before = PruneBefore { tombstones: now, idempotency: now, announcements: now };
    w.store.prune(before, 100).await.unwrap();
    assert_eq!(w.state(&w.alice).await.floor, Rev(4));
    let sync = w.sync(&w.alice, 3, 100).await;
    assert!(sync.reset);
    assert_eq!(ids(&sync.items), [sent[2], sent[1]]);
    assert!(w.sync(&w.alice, 0, 100).await.reset, "a new client too, to the same end");
    assert!(!w.sync(&w.alice, 4, 100).await.reset);
}

pub async fn a_user_without_inbox(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let nobody = user("nobody");
    let sync = w.sync(&nobody, 0, 100).await;
    assert_eq!((sync.items.len(), sync.to, sync.unread, sync.reset), (0, Rev(0), 0, false));
    let sync = w.sync(&nobody, 5, 100).await;
    assert_eq!((sync.to, sync.reset), (Rev(0), true));
}
