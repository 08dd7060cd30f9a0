//! Many nodes on one database wait for each other, never in a circle.

use std::sync::Arc;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use tidings_core::{
    idempotency::IdempotencyClaim,
    inbox::InboxOp,
    ports::{Accept, Announcements as _, Inboxes as _, Maintenance as _},
};
use tidings_testkit::{ManualClock, RecordingSink, message, users};
use tokio::task::JoinSet;

use super::{Bench, open};
use crate::PostgresStore;

const NODES: usize = 4;
const TASKS: u64 = 6;
const ROUNDS: u32 = 25;

/// What one application does: messages to overlapping users in any order, with keys that others
/// use as well, changes, and everything that upkeep does.
async fn act(store: PostgresStore, clock: ManualClock, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut people = users("user", 30);
    for _ in 0..ROUNDS {
        people.shuffle(&mut rng);
        let now = clock.tick();
        let size = rng.random_range(1..20);
        let messages: Vec<_> = (0..rng.random_range(1..4))
            .map(|n| {
                let message = message(now).to(&people[n..n + size]);
                let message =
                    if rng.random_bool(0.3) { message.dedupe(["a", "b"][n % 2]) } else { message };
                let expires = now.plus(std::time::Duration::from_millis(rng.random_range(1..200)));
                if rng.random_bool(0.3) { message.expires_at(expires) } else { message }.build()
            })
            .collect();
        let ids: Vec<_> = messages.iter().map(|new| new.message.id).collect();
        let idempotency = rng.random_bool(0.3).then(|| IdempotencyClaim {
            scope: "app".into(),
            key: format!("key-{}", rng.random_range(0..50)),
            fingerprint: [0; 32],
            note: String::new(),
        });
        let accept = Accept { messages, idempotency, now };
        store.accept(accept).await.unwrap();
        let user = people[0].clone();
        match rng.random_range(0..7) {
            0 => drop(store.change(&user, InboxOp::ReadAll { up_to: None }, now).await.unwrap()),
            1 => drop(store.change(&user, InboxOp::Clear { up_to: None }, now).await.unwrap()),
            2 => drop(store.retract(ids[0], 100, now).await.unwrap()),
            3 => drop(store.expire(now, 50).await.unwrap()),
            4 => drop(store.change(&user, InboxOp::Delete(ids), now).await.unwrap()),
            5 => {
                let all = message(now).to_all().build();
                let id = all.message.id;
                let accept = Accept { messages: vec![all], idempotency: None, now };
                store.accept(accept).await.unwrap();
                while !store.advance_announcement(id, 7, clock.tick()).await.unwrap().finished {}
            }
            _ => drop(
                store
                    .retain(now.minus(std::time::Duration::from_millis(300)), now, 50)
                    .await
                    .unwrap(),
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_writes_of_many_nodes_never_deadlock() {
    let bench = Bench::new().await;
    let clock = ManualClock::default();
    for user in users("user", 30) {
        tidings_core::ports::Users::see_user(&bench.store, &user, clock.tick()).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for node in 0..NODES {
        let store = open(&bench.database, RecordingSink::new()).await;
        for task in 0..TASKS {
            let seed = node as u64 * TASKS + task;
            tasks.spawn(act(store.clone(), clock.clone(), seed));
        }
    }
    tasks.join_all().await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(bench.count(deadlocks).await, 0);
    // Each counter is what a recount gives.
    let wrong =
        "SELECT count(*) FROM inboxes b WHERE b.unread <> (SELECT count(*) FROM inbox_items i
        WHERE i.inbox = b.number AND i.read_at IS NULL AND i.archived_at IS NULL)";
    assert_eq!(bench.count(wrong).await, 0);
    drop(Arc::new(bench));
}
