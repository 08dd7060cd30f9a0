//! The store passes the conformance suite of its port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use async_trait::async_trait;
use tidings_core::ports::{ChangeSink, Store};
use tidings_store_postgres::{Options, PostgresStore, migrations};
use tidings_testkit::{
    postgres::{Database, Postgres},
    store::StoreHarness,
};
use tokio::sync::Mutex;

#[derive(Default)]
struct Harness {
    opened: Mutex<Option<(Database<'static>, PostgresStore)>>,
}

async fn open(url: &str, sink: Arc<dyn ChangeSink>) -> PostgresStore {
    PostgresStore::open(Options::new(url.parse().unwrap(), sink)).await.unwrap()
}

async fn migrate(url: String) {
    migrations::up(&url.parse().unwrap()).await.unwrap();
}

#[async_trait]
impl StoreHarness for Harness {
    async fn open(&self, sink: Arc<dyn ChangeSink>) -> Arc<dyn Store> {
        let database = Postgres::shared().database_prepared(migrate).await;
        let store = open(&database.url(), sink).await;
        *self.opened.lock().await = Some((database, store.clone()));
        Arc::new(store)
    }

    async fn reopen(&self, sink: Arc<dyn ChangeSink>) -> Arc<dyn Store> {
        let mut opened = self.opened.lock().await;
        let (database, store) = opened.as_mut().expect("opened before");
        store.close().await;
        *store = open(&database.url(), sink).await;
        Arc::new(store.clone())
    }
}

tidings_testkit::store_conformance!(Harness::default());
