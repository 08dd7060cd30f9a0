//! Lists and history from a real standby, which may be behind, or gone.
#![allow(clippy::unwrap_used, reason = "tests")]

use tidings_core::{
    connection::ConnectionFilter,
    ids::{NotificationId, UserId},
    inbox::{InboxOp, PageQuery},
    ports::{Accept, Connections as _, Inboxes as _},
};
use tidings_store_postgres::{Options, PostgresStore, migrations};
use tidings_testkit::{
    ManualClock, RecordingSink, message,
    postgres::{Postgres, Settings, Stop},
    user,
};
use tokio::task::block_in_place;

async fn send(store: &PostgresStore, clock: &ManualClock, to: &UserId) -> NotificationId {
    let now = clock.tick();
    let messages = vec![message(now).to(std::slice::from_ref(to)).build()];
    let id = messages[0].message.id;
    store.accept(Accept { messages, idempotency: None, now }).await.unwrap();
    id
}

/// The newest first, each with whether it is read.
async fn list(store: &PostgresStore, user: &UserId) -> Vec<(NotificationId, bool)> {
    let query = PageQuery {
        user: user.clone(),
        limit: 100,
        before: None,
        page: None,
        unread_only: false,
        archived: false,
        kind: None,
        tenant: None,
    };
    let page = store.page(query).await.unwrap();
    page.notifications.iter().map(|one| (one.item.id, one.item.read_at.is_some())).collect()
}

/// Until a replica has answered once more; each time it is the whole list.
async fn from_replica(store: &PostgresStore, user: &UserId, expected: &[(NotificationId, bool)]) {
    let before = store.stats().replica_answers;
    let asked = async {
        while store.stats().replica_answers == before {
            assert_eq!(list(store, user).await, expected);
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), asked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_changes_something_sees_it_however_far_behind_the_replica_is() {
    let primary = Postgres::start(&Settings::default());
    let database = primary.database();
    let standby = block_in_place(|| Postgres::standby_of(&primary));
    let address = database.url().parse().unwrap();
    migrations::up(&address).await.unwrap();
    let replicas = vec![standby.url(database.name()).parse().unwrap()];
    let options = Options { replicas, ..Options::new(address, RecordingSink::new()) };
    let store = PostgresStore::open(options).await.unwrap();
    let (clock, alice) = (ManualClock::default(), user("alice"));
    assert!(list(&store, &alice).await.is_empty(), "no inbox anywhere");
    let first = send(&store, &clock, &alice).await;
    from_replica(&store, &alice, &[(first, false)]).await;
    let history = async || store.connections(ConnectionFilter::default(), None, 10).await.unwrap();
    let before = store.stats().replica_answers;
    assert!(history().await.is_empty());
    assert_eq!(store.stats().replica_answers, before + 1);

    let on_standby = |sql: &str| block_in_place(|| standby.execute("postgres", sql));
    on_standby("SELECT pg_wal_replay_pause()");
    let paused = "SELECT pg_get_wal_replay_pause_state()";
    while on_standby(paused) != "paused" {}
    let second = send(&store, &clock, &alice).await;
    let before = store.stats();
    assert_eq!(list(&store, &alice).await, [(second, false), (first, false)]);
    store.change(&alice, InboxOp::Read(vec![first]), clock.tick()).await.unwrap();
    assert_eq!(list(&store, &alice).await, [(second, false), (first, true)]);
    let after = store.stats();
    assert_eq!(after.replica_answers, before.replica_answers);
    assert_eq!(after.replica_misses, before.replica_misses + 2);
    on_standby("SELECT pg_wal_replay_resume()");
    from_replica(&store, &alice, &[(second, false), (first, true)]).await;

    block_in_place(|| standby.stop(Stop::Immediate));
    for _ in 0..3 {
        assert_eq!(list(&store, &alice).await, [(second, false), (first, true)]);
    }
    assert!(history().await.is_empty());
    store.close().await;
}
