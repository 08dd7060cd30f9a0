//! API keys.

use tidings_core::{
    api_key::{ApiKey, Scope, hash_key},
    time::Timestamp,
};

use super::{StoreHarness, world::World};

fn key(id: &str, created_at: Timestamp) -> ApiKey {
    ApiKey {
        id: id.into(),
        name: format!("key {id}"),
        hash: hash_key(id),
        scopes: vec![Scope::NotificationsWrite, Scope::UsersWrite],
        created_at,
        revoked_at: None,
    }
}

pub async fn a_key_is_found_by_its_hash_until_revoked(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let first = key("first", w.clock.tick());
    w.store.create_api_key(first.clone()).await.unwrap();
    w.reopen().await;
    assert_eq!(w.store.api_key(&first.hash).await.unwrap(), Some(first.clone()));
    assert_eq!(w.store.api_key(&hash_key("other")).await.unwrap(), None);
    let now = w.clock.tick();
    assert!(w.store.revoke_api_key("first", now).await.unwrap());
    assert_eq!(w.store.api_key(&first.hash).await.unwrap(), None);
    assert!(!w.store.revoke_api_key("first", w.clock.tick()).await.unwrap());
    assert!(!w.store.revoke_api_key("other", now).await.unwrap());
    let revoked = ApiKey { revoked_at: Some(now), ..first };
    assert_eq!(w.store.api_keys().await.unwrap(), [revoked], "still listed, since then");
}

pub async fn keys_are_listed_the_oldest_first(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    assert!(w.store.api_keys().await.unwrap().is_empty());
    let keys = ["z", "a", "m"].map(|id| key(id, w.clock.tick()));
    for key in keys.iter().rev() {
        w.store.create_api_key(key.clone()).await.unwrap();
    }
    assert_eq!(w.store.api_keys().await.unwrap(), keys);
    let none = ApiKey { scopes: vec![], ..key("none", w.clock.tick()) };
    w.store.create_api_key(none.clone()).await.unwrap();
    assert_eq!(w.store.api_key(&none.hash).await.unwrap(), Some(none));
}

pub async fn an_id_is_used_once(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let first = key("first", w.clock.tick());
    w.store.create_api_key(first.clone()).await.unwrap();
    let second = ApiKey { hash: hash_key("second"), ..first.clone() };
    assert!(w.store.create_api_key(second).await.is_err());
    assert_eq!(w.store.api_keys().await.unwrap(), [first]);
}
