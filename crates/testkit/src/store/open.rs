//! What a client gets when it connects.

use tidings_core::{
    ids::{DeviceId, Rev},
    inbox::{InboxOp, InboxState, OpenFrom, PENDING, SYNC_PAGE},
};

use super::{
    StoreHarness,
    world::{World, ids},
};
use crate::user;

pub async fn the_newest_unread_oldest_first(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.fill(&w.alice, PENDING + 2).await;
    let opening = w.store.open(&w.alice, OpenFrom::Newest).await.unwrap();
    assert_eq!(opening.state, w.state(&w.alice).await);
    assert_eq!(ids(&opening.pending.items), sent[2..]);
    let pending = &opening.pending;
    assert_eq!((pending.to, pending.has_more, pending.reset), (opening.state.rev, true, false));
    w.change(&w.alice, InboxOp::Read(vec![sent[9]])).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[8]])).await;
    let opening = w.store.open(&w.alice, OpenFrom::Newest).await.unwrap();
    assert_eq!(opening.pending.items.len(), PENDING);
    assert!(!opening.pending.has_more, "fifty unread are all there is");
    assert_eq!(ids(&opening.pending.items[..8]), sent[..8]);
    assert_eq!(opening.pending.unread, PENDING as u64);
}

pub async fn since_a_rev_is_a_sync(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.fill(&w.alice, SYNC_PAGE + 3).await;
    w.change(&w.alice, InboxOp::Delete(vec![sent[0]])).await;
    let since = |rev| OpenFrom::Since(Rev(rev));
    let opening = w.store.open(&w.alice, since(SYNC_PAGE as u64)).await.unwrap();
    assert_eq!(ids(&opening.pending.items), sent[SYNC_PAGE..]);
    assert_eq!(opening.pending.removed, [sent[0]]);
    assert!(!opening.pending.has_more);
    let opening = w.store.open(&w.alice, since(0)).await.unwrap();
    assert!(opening.pending.has_more);
    assert!(opening.pending.to < opening.state.rev);
    let opening = w.store.open(&w.alice, since(10_000)).await.unwrap();
    assert!(opening.pending.reset);
}

pub async fn a_device_goes_on_from_its_cursor(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let sent = w.fill(&w.alice.clone(), 5).await;
    let phone = DeviceId::new("phone").unwrap();
    let now = w.clock.tick();
    w.store.acknowledge(&w.alice, Some(&phone), Rev(3), now).await.unwrap();
    w.change(&w.alice, InboxOp::Read(vec![sent[0]])).await;
    w.reopen().await;
    let opening = w.store.open(&w.alice, OpenFrom::Device(phone)).await.unwrap();
    assert_eq!(ids(&opening.pending.items), [sent[3], sent[4], sent[0]]);
}

pub async fn an_unknown_device_gets_the_newest(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.fill(&w.alice, 3).await;
    w.change(&w.alice, InboxOp::Read(vec![sent[1]])).await;
    let from = OpenFrom::Device(DeviceId::new("new").unwrap());
    let opening = w.store.open(&w.alice, from).await.unwrap();
    assert_eq!(ids(&opening.pending.items), [sent[0], sent[2]]);
    assert_eq!(opening.pending.to, Rev(4));
}

pub async fn a_user_without_inbox(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let nobody = user("nobody");
    let device = OpenFrom::Device(DeviceId::new("d").unwrap());
    for from in [OpenFrom::Newest, device, OpenFrom::Since(Rev(0))] {
        let opening = w.store.open(&nobody, from).await.unwrap();
        assert_eq!(opening.state, InboxState::default());
        assert!(opening.pending.items.is_empty() && !opening.pending.reset);
    }
    let opening = w.store.open(&nobody, OpenFrom::Since(Rev(7))).await.unwrap();
    assert!(opening.pending.reset, "a rev from another life of the database");
}
