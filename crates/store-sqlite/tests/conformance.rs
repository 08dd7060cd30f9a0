//! The store passes the conformance suite of its port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tempfile::TempDir;
use tidings_core::ports::{ChangeSink, Store};
use tidings_store_sqlite::{Options, SqliteStore, Synchronous, migrations};
use tidings_testkit::store::StoreHarness;

struct Harness {
    dir: TempDir,
    opened: Mutex<Option<SqliteStore>>,
}

impl Harness {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), opened: Mutex::default() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("tidings.db")
    }
}

#[async_trait]
impl StoreHarness for Harness {
    async fn open(&self, sink: Arc<dyn ChangeSink>) -> Arc<dyn Store> {
        migrations::up(&self.path()).unwrap();
        self.reopen(sink).await
    }

    async fn reopen(&self, sink: Arc<dyn ChangeSink>) -> Arc<dyn Store> {
        let mut opened = self.opened.lock().unwrap();
        if let Some(store) = opened.take() {
            store.close();
        }
        let synchronous = Synchronous::Normal;
        let options = Options { synchronous, ..Options::new(self.path(), sink) };
        let store = SqliteStore::open(options).unwrap();
        *opened = Some(store.clone());
        Arc::new(store)
    }
}

tidings_testkit::store_conformance!(Harness::new());
