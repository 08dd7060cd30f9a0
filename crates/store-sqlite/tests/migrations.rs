//! Migrations go up, down and up again, and never touch what a newer version wrote.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::Connection;
use tempfile::TempDir;
use tidings_core::ports::{Accept, Inboxes, StoreError, Users};
use tidings_store_sqlite::{
    Options, SqliteStore,
    migrations::{self, Down, MigrationError},
};
use tidings_testkit::{ManualClock, RecordingSink, message, user};

fn database() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tidings.db");
    (dir, path)
}

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(Options::new(path, RecordingSink::new()))
}

/// Everything in the schema but the version table's rows.
fn schema(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let names = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema
        WHERE name NOT LIKE 'sqlite_%' ORDER BY 1";
    let mut statement = conn.prepare(names).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn applied(path: &Path) -> Vec<bool> {
    migrations::status(path).unwrap().iter().map(|status| status.applied).collect()
}

async fn fill(path: &Path) {
    let store = open(path).unwrap();
    let clock = ManualClock::default();
    store.see_user(&user("alice"), clock.tick()).await.unwrap();
    let now = clock.tick();
    let messages = vec![message(now).build(), message(now).to_all().build()];
    store.accept(Accept { messages, idempotency: None, now }).await.unwrap();
    assert_eq!(store.state(&user("alice")).await.unwrap().rev.0, 1);
    store.close();
}

#[tokio::test]
async fn up_down_and_up_again() {
    let (_dir, path) = database();
    assert!(applied(&path).iter().all(|applied| !applied));
    let all = migrations::up(&path).unwrap();
    assert!(!all.is_empty());
    assert!(applied(&path).iter().all(|applied| *applied));
    let first = schema(&path);
    assert!(migrations::up(&path).unwrap().is_empty(), "nothing left to do");
    for filled in [false, true] {
        if filled {
            fill(&path).await;
        }
        let down = migrations::down(&path, Down::To(0)).unwrap();
        assert_eq!(down.iter().rev().cloned().collect::<Vec<_>>(), all);
        let left = schema(&path);
        assert_eq!(left.len(), 1, "only the table of versions: {left:?}");
        assert_eq!(migrations::up(&path).unwrap(), all);
        assert_eq!(schema(&path), first);
    }
    fill(&path).await;
}

#[test]
fn down_goes_as_far_as_it_is_told() {
    let (_dir, path) = database();
    let all = migrations::up(&path).unwrap();
    assert!(migrations::down(&path, Down::Steps(0)).unwrap().is_empty());
    assert_eq!(migrations::down(&path, Down::Steps(1)).unwrap(), all[all.len() - 1..]);
    migrations::up(&path).unwrap();
    assert_eq!(migrations::down(&path, Down::Steps(99)).unwrap().len(), all.len());
    let bad = migrations::down(&path, Down::To(99)).unwrap_err();
    assert!(matches!(bad, MigrationError::NoSuchVersion(99)), "{bad}");
}

#[test]
fn a_newer_schema_is_refused() {
    let (_dir, path) = database();
    migrations::up(&path).unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute("INSERT INTO schema_migrations VALUES (999, 'future', 0)", []).unwrap();
    let before = schema(&path);
    for refused in [
        migrations::up(&path).map(drop),
        migrations::down(&path, Down::Steps(1)).map(drop),
        migrations::status(&path).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, MigrationError::Newer { found: 999, .. }), "{error}");
        assert!(error.to_string().contains("newer"), "{error}");
    }
    let Err(StoreError::Unavailable(why)) = open(&path).map(drop) else { panic!("opened") };
    assert!(why.contains("999") && why.contains("newer"), "{why}");
    assert_eq!(schema(&path), before);
}

#[test]
fn an_old_or_absent_schema_says_what_to_do() {
    let (dir, path) = database();
    for prepare in [false, true] {
        if prepare {
            migrations::up(&path).unwrap();
            migrations::down(&path, Down::To(0)).unwrap();
        }
        let Err(StoreError::Unavailable(why)) = open(&path).map(drop) else { panic!("opened") };
        assert!(why.contains("tidings migrate up"), "{why}");
    }
    assert!(migrations::down(&dir.path().join("absent.db"), Down::To(0)).is_err());
    assert!(!dir.path().join("absent.db").exists(), "looking makes nothing");
}

#[test]
fn what_is_no_database_is_said_to_be_none() {
    let (_dir, path) = database();
    std::fs::write(&path, "this is not a database, and it is long enough to be seen as none")
        .unwrap();
    assert!(migrations::up(&path).is_err());
    assert!(open(&path).is_err());
}

#[test]
fn the_store_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<SqliteStore>();
    fn whole(store: SqliteStore) -> Arc<dyn tidings_core::ports::Store> {
        Arc::new(store)
    }
    let _ = whole;
}
