//! SQLite and PostgreSQL answer the same to the same operations. `TIDINGS_SEED` repeats a run
//! that failed, `TIDINGS_STEPS` (10,000) makes a longer one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use tempfile::TempDir;
use tidings_store_postgres::{PostgresStore, migrations as postgres_migrations};
use tidings_store_sqlite::{SqliteStore, Synchronous, migrations as sqlite_migrations};
use tidings_testkit::{
    RecordingSink,
    postgres::{Database, Postgres},
    twins::{Twin, assert_alike},
};

const STEPS: u64 = 10_000;

fn number_from(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().expect("a number"))
}

fn on_sqlite(dir: &TempDir) -> Twin {
    let path = dir.path().join("tidings.db");
    sqlite_migrations::up(&path).unwrap();
    let sink = RecordingSink::new();
    let options = tidings_store_sqlite::Options {
        synchronous: Synchronous::Normal,
        ..tidings_store_sqlite::Options::new(path, sink.clone())
    };
    let store = SqliteStore::open(options).unwrap();
    Twin { name: "SQLite", store: std::sync::Arc::new(store), sink }
}

async fn on_postgres(database: &Database<'_>) -> Twin {
    let sink = RecordingSink::new();
    let address = database.url().parse().unwrap();
    let options = tidings_store_postgres::Options::new(address, sink.clone());
    let store = PostgresStore::open(options).await.unwrap();
    Twin { name: "PostgreSQL", store: std::sync::Arc::new(store), sink }
}

async fn migrate(url: String) {
    postgres_migrations::up(&url.parse().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_stores_do_the_same() {
    let seed = number_from("TIDINGS_SEED").unwrap_or_else(rand::random);
    let steps = number_from("TIDINGS_STEPS").unwrap_or(STEPS);
    let dir = TempDir::new().unwrap();
    let database = Postgres::shared().database_prepared(migrate).await;
    assert_alike(on_sqlite(&dir), on_postgres(&database).await, seed, steps).await;
}
