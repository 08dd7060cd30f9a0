//! The server dies under load: what was accepted is there, once.

use std::{collections::BTreeMap, sync::Arc};

use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    ports::{Inboxes as _, StoreError},
};
use tidings_testkit::{
    ManualClock, RecordingSink,
    postgres::{Postgres, Settings, Stop},
    users,
};
use tokio::{sync::Mutex, task::JoinSet};

use super::{migrate, open, to};
use crate::PostgresStore;

const CYCLES: usize = 3;
const PUBLISHERS: usize = 8;
/// Accepted by all publishers together before each crash.
const BEFORE_CRASH: usize = 150;

type Accepted = Arc<Mutex<Vec<(NotificationId, UserId)>>>;

/// Sends one message after the other; what is refused is sent again with the same id.
async fn publish(store: PostgresStore, clock: ManualClock, user: UserId, accepted: Accepted) {
    loop {
        let request = to(std::slice::from_ref(&user), clock.tick());
        let id = request.messages[0].message.id;
        loop {
            match store.accept(request.clone()).await {
                Ok(outcome) => break assert_eq!(outcome.accepted[0].recipients, 1),
                Err(StoreError::Unavailable(_) | StoreError::Busy) => {
                    tokio::task::yield_now().await
                }
                Err(error) => panic!("{error}"),
            }
        }
        accepted.lock().await.push((id, user.clone()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_crashes_of_the_database_once() {
    let server = Postgres::start(&Settings::default());
    let database = server.database_prepared(migrate).await;
    let sink = RecordingSink::new();
    let store = open(&database, sink.clone()).await;
    let (clock, accepted) = (ManualClock::default(), Accepted::default());
    let people = users("user", PUBLISHERS);
    let mut tasks = JoinSet::new();
    for user in &people {
        tasks.spawn(publish(store.clone(), clock.clone(), user.clone(), accepted.clone()));
    }
    for cycle in 1..=CYCLES {
        while accepted.lock().await.len() < cycle * BEFORE_CRASH {
            assert!(tasks.try_join_next().is_none(), "a publisher ended");
            tokio::task::yield_now().await;
        }
        tokio::task::block_in_place(|| {
            server.stop(Stop::Immediate);
            server.start_again();
        });
    }
    let all = (CYCLES + 1) * BEFORE_CRASH;
    while accepted.lock().await.len() < all {
        tokio::task::yield_now().await;
    }
    tasks.shutdown().await;
    // What the publishers left behind is done before this returns.
    store.close().await;
    let store = open(&database, RecordingSink::new()).await;
    let mut by_user = BTreeMap::<_, Vec<_>>::new();
    for (id, user) in accepted.lock().await.iter() {
        by_user.entry(user.clone()).or_default().push(*id);
    }
    for (user, ids) in by_user {
        let state = store.state(&user).await.unwrap();
        let sync = store.sync(&user, Rev(0), usize::MAX >> 1).await.unwrap();
        let stored: Vec<_> = sync.items.iter().map(|item| item.item.id).collect();
        assert_eq!(state.rev.0, stored.len() as u64, "one rev for each");
        assert_eq!(state.unread, stored.len() as u64);
        assert!(stored.starts_with(&ids), "{user}: in order, each once");
        assert!(stored.len() <= ids.len() + 1, "{user}: at most the one that was under way");
    }
}
