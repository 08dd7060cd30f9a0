//! Acknowledgements and the cursors of devices.

use tidings_core::{
    ids::{DeviceId, Rev, UserId},
    inbox::{InboxOp, OpenFrom},
};

use super::{
    StoreHarness,
    world::{SECOND, World},
};
use crate::user;

impl World<'_> {
    async fn acknowledge(&self, user: &UserId, device: Option<&str>, up_to: u64) {
        let device = device.map(|id| DeviceId::new(id).unwrap());
        let now = self.clock.tick();
        self.store.acknowledge(user, device.as_ref(), Rev(up_to), now).await.unwrap();
    }

    /// Where a device goes on: the seqs of what it is told of a whole inbox of new items.
    async fn goes_on_at(&self, user: &UserId, device: &str) -> Vec<u64> {
        let from = OpenFrom::Device(DeviceId::new(device).unwrap());
        let opening = self.store.open(user, from).await.unwrap();
        opening.pending.items.iter().map(|n| n.item.seq.0).collect()
    }
}

pub async fn items_are_delivered_once_and_take_no_rev(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let sent = w.send_many(&w.alice, 4).await;
    w.change(&w.alice, InboxOp::Archive(vec![sent[0]])).await;
    w.sink.take();
    w.acknowledge(&w.alice, None, 2).await;
    let first = w.item(&w.alice, sent[0]).await.delivered_at;
    assert!(first.is_some());
    w.later(SECOND);
    w.acknowledge(&w.alice, None, 1).await;
    w.acknowledge(&w.alice, Some("phone"), 3).await;
    assert_eq!(w.item(&w.alice, sent[0]).await.delivered_at, first, "the first time counts");
    assert!(w.item(&w.alice, sent[2]).await.delivered_at > first);
    assert!(w.item(&w.alice, sent[3]).await.delivered_at.is_none());
    assert_eq!(w.counters(&w.alice).await, (5, 3));
    assert!(w.sink.take().is_empty());
    // Nor do they make anybody read or see anything.
    let item = w.item(&w.alice, sent[2]).await;
    assert_eq!((item.seen_at, item.read_at, item.rev), (None, None, Rev(3)));
    w.acknowledge(&user("nobody"), Some("phone"), 5).await;
    assert_eq!(w.counters(&user("nobody")).await, (0, 0));
}

pub async fn a_cursor_never_goes_back_nor_beyond_the_counter(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.send_many(&w.alice, 5).await;
    w.acknowledge(&w.alice, Some("phone"), 4).await;
    w.acknowledge(&w.alice, Some("phone"), 2).await;
    assert_eq!(w.goes_on_at(&w.alice, "phone").await, [5]);
    w.acknowledge(&w.alice, Some("phone"), u64::MAX).await;
    w.send(&w.alice).await;
    assert_eq!(w.goes_on_at(&w.alice, "phone").await, [6]);
    // Another device starts where it says, even where the items are delivered already.
    w.acknowledge(&w.alice, Some("desk"), 1).await;
    assert_eq!(w.goes_on_at(&w.alice, "desk").await, [2, 3, 4, 5, 6]);
}

pub async fn the_devices_of_two_users_are_apart(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.send_many(&w.alice, 2).await;
    w.send_many(&w.bob, 2).await;
    w.acknowledge(&w.alice, Some("phone"), 2).await;
    assert_eq!(w.goes_on_at(&w.bob, "phone").await, [1, 2]);
}

pub async fn the_21st_device_replaces_the_least_recently_used(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.send_many(&w.alice, 3).await;
    for n in 0..20 {
        w.acknowledge(&w.alice, Some(&format!("device-{n}")), 1).await;
    }
    w.acknowledge(&w.alice, Some("device-0"), 2).await;
    w.acknowledge(&w.alice, Some("new"), 3).await;
    let newest_unread = [1, 2, 3];
    assert_eq!(w.goes_on_at(&w.alice, "device-1").await, newest_unread, "forgotten");
    assert_eq!(w.goes_on_at(&w.alice, "device-0").await, [3], "it was used since");
    assert_eq!(w.goes_on_at(&w.alice, "device-2").await, [2, 3]);
    assert!(w.goes_on_at(&w.alice, "new").await.is_empty());
}

pub async fn the_devices_of_a_user_are_listed(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    assert!(w.store.devices(&w.alice).await.unwrap().is_empty());
    for to in [w.alice.clone(), w.bob.clone()] {
        w.send_many(&to, 3).await;
    }
    w.acknowledge(&w.alice, Some("phone"), 2).await;
    w.acknowledge(&w.alice, Some("laptop"), 3).await;
    w.acknowledge(&w.bob, Some("tablet"), 1).await;
    let devices = w.store.devices(&w.alice).await.unwrap();
    let told: Vec<_> = devices.iter().map(|d| (d.id.as_str(), d.cursor.0)).collect();
    assert_eq!(told, [("laptop", 3), ("phone", 2)]);
    assert!(devices[0].used_at > devices[1].used_at);
}
