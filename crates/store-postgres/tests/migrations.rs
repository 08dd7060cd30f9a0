//! Migrations go up, down and up again, and never touch what a newer version wrote.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use tidings_core::{
    erasure::{ErasureId, NewErasure},
    ids::{NotificationId, Rev},
    ports::{Accept, Erasures as _, Inboxes as _, Maintenance as _, StoreError, Users as _},
};
use tidings_store_postgres::{
    Address, Options, PostgresStore,
    migrations::{self, Down, MigrationError},
};
use tidings_testkit::{
    ManualClock, RecordingSink, message,
    postgres::{Database, Postgres},
    user,
};

fn address(database: &Database<'_>) -> Address {
    database.url().parse().unwrap()
}

async fn open(database: &Database<'_>) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(Options::new(address(database), RecordingSink::new())).await
}

/// Everything in the schema, and what it is made of.
fn schema(database: &Database<'_>) -> String {
    database.execute(
        "SELECT c.relkind, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attidentity, pg_get_expr(d.adbin, d.adrelid), pg_get_indexdef(c.oid)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '^schema_migrations'
        UNION ALL
        SELECT 'f', proname, pg_get_function_identity_arguments(oid), prosrc, NULL, NULL, NULL, NULL
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        ORDER BY 1, 2, 3",
    )
}

async fn applied(address: &Address) -> Vec<bool> {
    migrations::status(address).await.unwrap().iter().map(|status| status.applied).collect()
}

#[tokio::test]
async fn up_down_and_up_again() {
    let database = Postgres::shared().database();
    let address = address(&database);
    assert!(applied(&address).await.iter().all(|applied| !applied));
    let all = migrations::up(&address).await.unwrap();
    assert!(!all.is_empty());
    assert!(applied(&address).await.iter().all(|applied| *applied));
    let first = schema(&database);
    assert!(migrations::up(&address).await.unwrap().is_empty(), "nothing left to do");
    let down = migrations::down(&address, Down::To(0)).await.unwrap();
    assert_eq!(down.iter().rev().cloned().collect::<Vec<_>>(), all);
    assert_eq!(schema(&database), "", "only the table of versions");
    assert_eq!(migrations::up(&address).await.unwrap(), all);
    assert_eq!(schema(&database), first);
}

/// Something of everything that the newest migrations touch.
async fn fill(database: &Database<'_>, clock: &ManualClock) {
    let store = open(database).await.unwrap();
    let alice = user("alice");
    store.see_user(&alice, clock.tick()).await.unwrap();
    let now = clock.tick();
    let messages = vec![
        message(now).actor("bob").build(),
        message(now).keep_for(Duration::from_secs(3_600)).build(),
        message(now).to_all().build(),
    ];
    store.accept(Accept { messages, idempotency: None, now }).await.unwrap();
    let id = ErasureId(NotificationId::new_v7(now, [7; 10]).0);
    let erasure = NewErasure { id, user: user("carol"), requested_at: now, settles_at: now };
    store.begin_erasure(erasure).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn with_rows_they_go_down_and_up_again() {
    let database = Postgres::shared().database();
    let address = address(&database);
    let clock = ManualClock::default();
    let all = migrations::up(&address).await.unwrap();
    // One step at a time, as far as inboxes are there: nothing of them is lost.
    fill(&database, &clock).await;
    for steps in 1..=all.len() as u32 - 2 {
        migrations::down(&address, Down::Steps(steps)).await.unwrap();
        migrations::up(&address).await.unwrap();
        let store = open(&database).await.unwrap();
        let page = store.sync(&user("alice"), Rev(0), 10).await.unwrap();
        assert_eq!((page.items.len(), page.unread), (2, 2), "{steps} down and up");
        // Whether or not one has its own time to go by now.
        let before = clock.advance(Duration::from_secs(7_200));
        while store.retain(before, clock.tick(), 100).await.unwrap() > 0 {}
        let page = store.sync(&user("alice"), Rev(0), 10).await.unwrap();
        assert_eq!((page.items.len(), page.unread), (0, 0));
        store.close().await;
        migrations::down(&address, Down::To(0)).await.unwrap();
        migrations::up(&address).await.unwrap();
        fill(&database, &clock).await;
    }
}

#[tokio::test]
async fn down_goes_as_far_as_it_is_told() {
    let database = Postgres::shared().database();
    let address = address(&database);
    let all = migrations::up(&address).await.unwrap();
    assert!(migrations::down(&address, Down::Steps(0)).await.unwrap().is_empty());
    let last = migrations::down(&address, Down::Steps(1)).await.unwrap();
    assert_eq!(last, all[all.len() - 1..]);
    migrations::up(&address).await.unwrap();
    assert_eq!(migrations::down(&address, Down::Steps(99)).await.unwrap().len(), all.len());
    let bad = migrations::down(&address, Down::To(99)).await.unwrap_err();
    assert!(matches!(bad, MigrationError::NoSuchVersion(99)), "{bad}");
}

#[tokio::test]
async fn nodes_that_start_at_once_migrate_once() {
    let database = Postgres::shared().database();
    let address = address(&database);
    let nodes: Vec<_> = (0..4)
        .map(|_| {
            let address = address.clone();
            tokio::spawn(async move { migrations::up(&address).await.unwrap().len() })
        })
        .collect();
    let mut steps = Vec::new();
    for node in nodes {
        steps.push(node.await.unwrap());
    }
    steps.sort();
    let all = migrations::status(&address).await.unwrap().len();
    assert_eq!(steps, [0, 0, 0, all]);
}

#[tokio::test]
async fn a_newer_schema_that_only_adds_is_used() {
    let database = Postgres::shared().database();
    let address = address(&database);
    let known = migrations::up(&address).await.unwrap().len();
    database.execute(&format!("INSERT INTO schema_migrations VALUES (999, 'future', {known}, 0)"));
    open(&database).await.unwrap().close().await;
    assert!(migrations::up(&address).await.unwrap().is_empty());
    let refused = migrations::down(&address, Down::Steps(1)).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Newer { found: 999, .. }), "{refused}");
}

#[tokio::test]
async fn a_newer_schema_that_took_away_is_refused() {
    let database = Postgres::shared().database();
    let address = address(&database);
    let known = migrations::up(&address).await.unwrap().len();
    let needed = known + 1;
    database.execute(&format!("INSERT INTO schema_migrations VALUES (999, 'future', {needed}, 0)"));
    let before = schema(&database);
    for refused in [
        migrations::up(&address).await.map(drop),
        migrations::down(&address, Down::Steps(1)).await.map(drop),
        migrations::status(&address).await.map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, MigrationError::Newer { found: 999, .. }), "{error}");
    }
    let Err(StoreError::Unavailable(why)) = open(&database).await.map(drop) else {
        panic!("opened")
    };
    assert!(why.contains("999") && why.contains("newer"), "{why}");
    assert_eq!(schema(&database), before);
}

#[tokio::test]
async fn an_old_or_absent_schema_says_what_to_do() {
    let database = Postgres::shared().database();
    for prepare in [false, true] {
        if prepare {
            migrations::up(&address(&database)).await.unwrap();
            migrations::down(&address(&database), Down::To(0)).await.unwrap();
        }
        let Err(StoreError::Unavailable(why)) = open(&database).await.map(drop) else {
            panic!("opened")
        };
        assert!(why.contains("tidings migrate up"), "{why}");
    }
}
