//! Users.

use tidings_core::{ports::Clock, user::User};

use super::{
    StoreHarness,
    world::{SECOND, World},
};

pub async fn a_user_is_created_and_replaced(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    assert!(w.store.user(&w.alice).await.unwrap().is_none());
    let created_at = w.clock.tick();
    let user = User {
        id: w.alice.clone(),
        name: Some("Alice Ünïcode".into()),
        avatar_url: Some("https://a.example/a.png".into()),
        created_at,
    };
    w.store.put_user(user.clone()).await.unwrap();
    w.reopen().await;
    assert_eq!(w.store.user(&w.alice).await.unwrap(), Some(user.clone()));
    let replaced = User { avatar_url: None, created_at: w.later(SECOND), ..user };
    w.store.put_user(replaced.clone()).await.unwrap();
    // Replaced but for the time: it is the same user.
    let expected = User { created_at, ..replaced };
    assert_eq!(w.store.user(&w.alice).await.unwrap(), Some(expected));
    assert!(w.store.user(&w.bob).await.unwrap().is_none());
}

pub async fn a_user_who_is_seen_has_a_row(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let now = w.clock.now();
    w.store.see_user(&w.alice, now).await.unwrap();
    w.store.see_user(&w.alice, w.later(SECOND)).await.unwrap();
    let expected = User { id: w.alice.clone(), name: None, avatar_url: None, created_at: now };
    assert_eq!(w.store.user(&w.alice).await.unwrap(), Some(expected));
    assert_eq!(w.accept_one(w.message().to_all()).await.recipients, 1);
}

pub async fn seeing_a_user_leaves_what_is_known(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let created_at = w.clock.tick();
    let name = Some("Alice".into());
    let user = User { id: w.alice.clone(), name, avatar_url: None, created_at };
    w.store.put_user(user.clone()).await.unwrap();
    w.store.see_user(&w.alice, w.later(SECOND)).await.unwrap();
    assert_eq!(w.store.user(&w.alice).await.unwrap(), Some(user));
}

pub async fn when_users_were_last_seen_only_moves_forward(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let early = w.clock.tick();
    let late = w.later(SECOND);
    w.store.see_user(&w.alice, early).await.unwrap();
    let asked = [w.alice.clone(), w.bob.clone()];
    assert_eq!(w.store.last_seen(&asked).await.unwrap(), []);
    // Nobody knows of Bob, who gets no row by it.
    w.store.saw_users(&[(w.alice.clone(), late), (w.bob.clone(), late)]).await.unwrap();
    w.store.saw_users(&[(w.alice.clone(), early)]).await.unwrap();
    w.reopen().await;
    assert_eq!(w.store.last_seen(&asked).await.unwrap(), [(w.alice.clone(), late)]);
    assert!(w.store.user(&w.bob).await.unwrap().is_none());
}
