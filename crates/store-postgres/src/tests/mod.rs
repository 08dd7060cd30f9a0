//! What the conformance suite cannot see: plans, locks, months, lost connections.

mod crash;
mod import;
mod locks;
mod lost;
mod months;
mod outbox;
mod plans;

use std::sync::Arc;

use tidings_core::{
    ids::UserId,
    ports::{Accept, ChangeSink},
    time::Timestamp,
};
use tidings_testkit::{
    RecordingSink, message,
    postgres::{Database, Postgres},
};
use tokio_postgres::Client;

use crate::{
    Address, Options, PostgresStore,
    connection::{self, Use},
    migrations,
};

async fn migrate(url: String) {
    migrations::up(&url.parse().unwrap()).await.unwrap();
}

/// A store on a fresh database.
struct Bench {
    store: PostgresStore,
    sink: Arc<RecordingSink>,
    database: Database<'static>,
}

impl Bench {
    async fn new() -> Self {
        let database = Postgres::shared().database_prepared(migrate).await;
        let sink = RecordingSink::new();
        let store = open(&database, sink.clone()).await;
        Self { store, sink, database }
    }

    fn address(&self) -> Address {
        self.database.url().parse().unwrap()
    }

    /// A connection beside the store's.
    async fn connect(&self) -> Client {
        connection::connect(&self.address(), Use::Migrate).await.unwrap()
    }

    async fn count(&self, query: &str) -> i64 {
        self.connect().await.query_one(query, &[]).await.unwrap().get(0)
    }
}

/// One more node on the same database.
async fn open(database: &Database<'_>, sink: Arc<dyn ChangeSink>) -> PostgresStore {
    PostgresStore::open(Options::new(database.url().parse().unwrap(), sink)).await.unwrap()
}

fn to(users: &[UserId], now: Timestamp) -> Accept {
    Accept { messages: vec![message(now).to(users).build()], idempotency: None, now }
}
