//! Counters, and whether a notification exists.

use tidings_core::inbox::{InboxOp, InboxState};

use super::{
    StoreHarness,
    world::{HOUR, World},
};
use crate::{new_id, user};

pub async fn states_of_many_users(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.send_many(&w.alice, 2).await;
    w.change(&w.alice, InboxOp::ReadAll { up_to: None }).await;
    w.send(&w.bob).await;
    let asked = [w.bob.clone(), user("nobody"), w.alice.clone()];
    let states = w.store.states(&asked).await.unwrap();
    assert_eq!(states.iter().map(|(user, _)| user.clone()).collect::<Vec<_>>(), asked);
    assert_eq!(states[0].1, w.state(&w.bob).await);
    assert_eq!(states[1].1, InboxState::default());
    assert_eq!(states[2].1, w.state(&w.alice).await);
    assert!(w.store.states(&[]).await.unwrap().is_empty());
}

pub async fn exists_tells_a_strangers_notification_from_none(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let id = w.send(&w.alice).await;
    assert!(w.find(&w.bob, id).await.is_none());
    assert!(w.store.exists(id).await.unwrap());
    assert!(!w.store.exists(new_id()).await.unwrap());
    w.change(&w.alice, InboxOp::Delete(vec![id])).await;
    assert!(!w.store.exists(id).await.unwrap(), "nobody has it any more");
    let later = w.clock.tick().plus(HOUR);
    let scheduled = w.accept_one(w.message().send_at(later)).await.id;
    assert!(w.store.exists(scheduled).await.unwrap(), "somebody will have it");
}
