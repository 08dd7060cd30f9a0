//! The rev of an inbox at an instant.

use tidings_core::{
    ids::Rev,
    inbox::InboxOp,
    ports::{Clock, PruneBefore},
};

use super::{
    StoreHarness,
    world::{HOUR, SECOND, World, ids},
};
use crate::user;

pub async fn every_change_after_an_instant_is_above_its_rev(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let start = w.clock.now();
    let mut times = vec![start];
    let mut sent = Vec::new();
    for _ in 0..10 {
        w.later(SECOND);
        sent.push(w.send(&w.alice).await);
        times.push(w.clock.now());
    }
    for op in [
        InboxOp::Read(vec![sent[3]]),
        InboxOp::Delete(vec![sent[4]]),
        InboxOp::ReadAll { up_to: None },
        InboxOp::Clear { up_to: Some(Rev(1)) },
    ] {
        w.later(SECOND);
        w.change(&w.alice, op).await;
        times.push(w.clock.now());
    }
    for (rev, time) in times.iter().enumerate() {
        let found = w.store.rev_at(&w.alice, *time).await.unwrap();
        // It may be higher where nothing is left of what the revs between did.
        assert!(found.0 >= rev as u64, "{found} at the time of rev {rev}");
        let (expected, told) =
            (w.sync(&w.alice, rev as u64, 100).await, w.sync(&w.alice, found.0, 100).await);
        assert_eq!(ids(&told.items), ids(&expected.items));
        assert_eq!((told.removed, told.reset), (expected.removed, false));
        let just_before = time.minus(std::time::Duration::from_millis(1));
        let before = w.store.rev_at(&w.alice, just_before).await.unwrap();
        assert!(before <= found, "it rises with the time");
    }
    let last = w.state(&w.alice).await.rev;
    assert_eq!(w.store.rev_at(&w.alice, w.clock.now()).await.unwrap(), last);
    let before_last = w.clock.now().minus(SECOND);
    assert_eq!(w.store.rev_at(&w.alice, before_last).await.unwrap().0, last.0 - 1);
    assert_eq!(w.store.rev_at(&user("nobody"), start).await.unwrap(), Rev(0));
}

pub async fn a_clear_without_tombstones_makes_clients_start_over(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.fill(&w.alice, 1_001).await;
    let heard = w.clock.now();
    w.later(SECOND);
    w.change(&w.alice, InboxOp::Clear { up_to: None }).await;
    w.send(&w.alice).await;
    let since = w.store.rev_at(&w.alice, heard).await.unwrap();
    assert!(w.sync(&w.alice, since.0, 100).await.reset);
    // The same with tombstones that were pruned.
    let heard = w.clock.now();
    w.later(SECOND);
    w.change(&w.alice, InboxOp::Clear { up_to: None }).await;
    w.later(SECOND);
    w.send(&w.alice).await;
    let now = w.later(SECOND);
    let before = PruneBefore { tombstones: now, idempotency: now, announcements: now };
    w.store.prune(before, 100).await.unwrap();
    let since = w.store.rev_at(&w.alice, heard).await.unwrap();
    assert!(w.sync(&w.alice, since.0, 100).await.reset);
    let since = w.store.rev_at(&w.alice, now).await.unwrap();
    assert_eq!(since, w.state(&w.alice).await.rev);
}

pub async fn a_clock_that_goes_back_hides_nothing(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let start = w.clock.now();
    w.later(2 * HOUR);
    let first = w.send(&w.alice).await;
    w.clock.set(start.plus(HOUR));
    w.send(&w.alice).await;
    w.change(&w.alice, InboxOp::Delete(vec![first])).await;
    let since = w.store.rev_at(&w.alice, start).await.unwrap();
    assert_eq!(since, Rev(1), "the record of the first rev is overwritten by its deletion");
    w.later(2 * HOUR);
    w.send(&w.alice).await;
    let heard = w.clock.now();
    assert_eq!(w.store.rev_at(&w.alice, heard).await.unwrap(), Rev(4));
    let since = w.store.rev_at(&w.alice, start.plus(HOUR)).await.unwrap();
    assert!(since <= Rev(1), "what happened after it set back is not hidden");
}
