//! Idempotency keys.

use std::sync::Arc;

use tidings_core::{
    idempotency::{IdempotencyClaim, KEPT},
    ports::{Accept, AcceptOutcome, StoreError},
};

use super::{StoreHarness, world::World};

fn claim(scope: &str, fingerprint: u8) -> IdempotencyClaim {
    IdempotencyClaim {
        scope: scope.into(),
        key: "key".into(),
        fingerprint: [fingerprint; 32],
        note: format!("note of {fingerprint}"),
    }
}

impl World<'_> {
    async fn claimed(&self, claim: IdempotencyClaim) -> Result<AcceptOutcome, StoreError> {
        let messages = vec![self.message().build(), self.message().build()];
        let now = self.clock.tick();
        self.store.accept(Accept { messages, idempotency: Some(claim), now }).await
    }
}

pub async fn a_request_that_is_sent_twice_is_carried_out_once(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let first = w.claimed(claim("app", 1)).await.unwrap();
    assert!(!first.replayed);
    let again = w.claimed(claim("app", 1)).await.unwrap();
    assert_eq!((again.accepted, again.replayed), (first.accepted.clone(), true));
    assert_eq!(w.counters(&w.alice).await, (2, 2));
    w.reopen().await;
    let after_restart = w.claimed(claim("app", 1)).await.unwrap();
    assert_eq!((after_restart.accepted, after_restart.replayed), (first.accepted, true));
    assert_eq!(w.sink.all().len(), 2);
}

pub async fn the_first_outcome_can_be_asked_for_with_its_note(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let now = w.clock.tick();
    assert_eq!(w.store.replay(&claim("app", 1), now).await.unwrap(), None);
    let first = w.claimed(claim("app", 1)).await.unwrap();
    assert_eq!(first.note, "note of 1");
    let again = w.store.replay(&claim("app", 1), now).await.unwrap().unwrap();
    assert_eq!(again, AcceptOutcome { replayed: true, ..first });
    let other = w.store.replay(&claim("app", 2), now).await;
    assert_eq!(other.unwrap_err(), StoreError::IdempotencyMismatch);
}

pub async fn another_request_with_the_same_key_is_refused_and_stores_nothing(
    harness: &dyn StoreHarness,
) {
    let w = World::new(harness).await;
    w.claimed(claim("app", 1)).await.unwrap();
    let refused = w.claimed(claim("app", 2)).await;
    assert_eq!(refused.unwrap_err(), StoreError::IdempotencyMismatch);
    assert_eq!(w.counters(&w.alice).await, (2, 2));
    assert!(w.claimed(claim("app", 1)).await.unwrap().replayed, "the first one stands");
}

pub async fn keys_of_two_scopes_never_meet(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    assert!(!w.claimed(claim("app", 1)).await.unwrap().replayed);
    assert!(!w.claimed(claim("other", 2)).await.unwrap().replayed);
    assert_eq!(w.counters(&w.alice).await, (4, 4));
}

pub async fn a_key_counts_for_24_hours(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.claimed(claim("app", 1)).await.unwrap();
    w.later(KEPT - std::time::Duration::from_secs(1));
    assert!(w.claimed(claim("app", 1)).await.unwrap().replayed);
    w.later(std::time::Duration::from_secs(2));
    assert!(!w.claimed(claim("app", 2)).await.unwrap().replayed, "the old one is forgotten");
    assert!(w.claimed(claim("app", 2)).await.unwrap().replayed, "the new one counts");
    assert_eq!(w.counters(&w.alice).await, (4, 4));
}

pub async fn a_hundred_copies_of_a_request_at_once_are_one(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let store = Arc::clone(&w.store);
        let now = w.clock.tick();
        let messages = vec![w.message().build()];
        let request = Accept { messages, idempotency: Some(claim("app", 1)), now };
        tasks.spawn(async move { store.accept(request).await.unwrap() });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| !outcome.replayed).count(), 1);
    assert!(outcomes.iter().all(|outcome| outcome.accepted == outcomes[0].accepted));
    assert_eq!(w.counters(&w.alice).await, (1, 1));
}

pub async fn requests_in_order_are_carried_out_together_and_once(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    w.claimed(claim("known", 1)).await.unwrap();
    let request = |claim: IdempotencyClaim| {
        let messages = vec![w.message().to(&[w.alice.clone(), w.bob.clone()]).build()];
        Accept { messages, idempotency: Some(claim), now: w.clock.tick() }
    };
    let mut requests: Vec<_> = (0..20).map(|n| request(claim(&format!("s{n}"), 1))).collect();
    requests.insert(5, request(claim("known", 1)));
    requests.insert(9, request(claim("known", 2)));
    requests.insert(12, request(claim("s0", 1)));
    let sent: Vec<_> = requests.iter().map(|request| request.messages[0].message.id).collect();
    let outcomes = w.store.accept_in_order(requests.clone()).await.unwrap();
    assert_eq!(outcomes.len(), requests.len());
    let mut stored = Vec::new();
    for (n, outcome) in outcomes.iter().enumerate() {
        match n {
            9 => assert_eq!(outcome, &Err(StoreError::IdempotencyMismatch)),
            5 | 12 => assert!(outcome.as_ref().unwrap().replayed),
            _ => {
                let outcome = outcome.as_ref().unwrap();
                assert_eq!((outcome.replayed, outcome.accepted[0].id), (false, sent[n]));
                stored.push(sent[n]);
            }
        }
    }
    let first = outcomes[0].as_ref().unwrap();
    assert_eq!(outcomes[12].as_ref().unwrap().accepted, first.accepted);
    let in_order = |sync: tidings_core::inbox::Sync| -> Vec<_> {
        sync.items.iter().map(|one| one.item.id).collect()
    };
    assert_eq!(in_order(w.sync(&w.bob, 0, 100).await), stored);
    assert_eq!(in_order(w.sync(&w.alice, 2, 100).await), stored);
    w.reopen().await;
    let again = w.store.accept_in_order(requests).await.unwrap();
    assert!(again.iter().enumerate().all(|(n, outcome)| match outcome {
        Ok(outcome) => outcome.replayed,
        Err(error) => n == 9 && *error == StoreError::IdempotencyMismatch,
    }));
    assert_eq!(w.counters(&w.bob).await, (20, 20));
    assert_eq!(w.counters(&w.alice).await, (22, 22));
}
