//! `make bench-store`: what the two stores do, end to end and alone, beside the same statements
//! in a bare loop.

mod alone;
mod announce;
mod bare;
mod end_to_end;
mod listeners;
mod pages;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tidings_core::{
    inbox::InboxChange,
    ports::{ChangeSink, Store},
};
use tidings_store_postgres::PostgresStore;
use tidings_store_sqlite::SqliteStore;
use tidings_testkit::postgres::{Postgres, Settings};

use crate::{gateway::Measured, options::Scenario, process::Stage, results::Results};

/// Who publishes at the same time.
const PUBLISHERS: usize = 64;
/// Notifications in a request.
const BATCHES: [usize; 2] = [100, 1];

/// How much is done.
pub struct Sizes {
    pub each: Duration,
    pub announced: usize,
    /// In the largest inbox.
    pub inbox: usize,
    /// In all inboxes.
    pub rows: usize,
}

impl Sizes {
    pub fn new(quick: bool, rows: usize) -> Self {
        if quick {
            let each = Duration::from_millis(500);
            return Self { each, announced: 2_000, inbox: 10_000, rows: 20_000 };
        }
        Self { each: Duration::from_secs(5), announced: 100_000, inbox: rows.min(1_000_000), rows }
    }
}

/// A store of this process and what it writes to.
struct Subject {
    name: &'static str,
    store: Arc<dyn Store>,
    place: Place,
}

enum Place {
    Sqlite { path: std::path::PathBuf, store: SqliteStore },
    Postgres { url: String, store: PostgresStore },
}

impl Subject {
    fn sqlite(stage: &Stage) -> anyhow::Result<Self> {
        let path = stage.dir.join("store.db");
        tidings_store_sqlite::migrations::up(&path)?;
        let options = tidings_store_sqlite::Options::new(path.clone(), Counting::new());
        let store = SqliteStore::open(options)?;
        Ok(Self {
            name: "SQLite",
            store: Arc::new(store.clone()),
            place: Place::Sqlite { path, store },
        })
    }

    async fn postgres(url: String) -> anyhow::Result<Self> {
        tidings_store_postgres::migrations::up(&url.parse()?).await?;
        let options = tidings_store_postgres::Options::new(url.parse()?, Counting::new());
        let store = PostgresStore::open(options).await?;
        Ok(Self {
            name: "PostgreSQL",
            store: Arc::new(store.clone()),
            place: Place::Postgres { url, store },
        })
    }

    /// Requests that were carried out, and the transactions that they shared.
    fn work(&self) -> (u64, u64) {
        match &self.place {
            Place::Sqlite { store, .. } => (store.stats().writes, store.stats().batches),
            Place::Postgres { store, .. } => (store.stats().writes, store.stats().batches),
        }
    }

    async fn close(self) {
        drop(self.store);
        match self.place {
            Place::Sqlite { store, .. } => store.close(),
            Place::Postgres { store, .. } => store.close().await,
        }
    }
}

/// Hears of changes and does nothing.
struct Counting(AtomicU64);

impl Counting {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(0)))
    }
}

impl ChangeSink for Counting {
    fn committed(&self, changes: Vec<Arc<InboxChange>>) {
        self.0.fetch_add(changes.len() as u64, Relaxed);
    }
}

pub async fn run(stage: &Stage, sizes: &Sizes, results: &mut Results) -> anyhow::Result<()> {
    let server = Postgres::start(&Settings { fsync: true, ..Settings::default() });
    let (ends, alone) = (server.database(), server.database());
    print_all(results, end_to_end::measure(stage, sizes, &ends.tcp_url()).await?);
    let subjects = [Subject::sqlite(stage)?, Subject::postgres(alone.url()).await?];
    print_all(results, alone::measure(&subjects, sizes).await?);
    print_all(results, announce::measure(&subjects, sizes).await?);
    print_all(results, pages::measure(&subjects, sizes).await?);
    for subject in subjects {
        subject.close().await;
    }
    Ok(())
}

fn print_all(results: &mut Results, (scenario, measured): (Scenario, Measured)) {
    print!("{}", results.add(scenario, measured, f64::NAN));
}
