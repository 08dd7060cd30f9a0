//! The store of this process: the one that the configuration asks for.

mod metrics;
pub mod migrations;

use std::sync::Arc;

use anyhow::Context as _;
use tidings_core::ports::{ChangeSink, Store};
use tidings_store_postgres::{Address, PostgresStore, Timeouts};
use tidings_store_sqlite::SqliteStore;

use crate::{
    config::{Config, Place, Synchronous},
    metrics::Metrics,
};

/// A store that this process opened, and closes.
pub enum OwnStore {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl OwnStore {
    /// Brings the schema up to date, unless that is for somebody else to do, and opens it.
    pub async fn open(config: &Config, sink: Arc<dyn ChangeSink>) -> anyhow::Result<Self> {
        let place = config.place().map_err(|problem| anyhow::anyhow!("database_url: {problem}"))?;
        match place {
            Place::Sqlite(path) => {
                migrations::up(&Place::Sqlite(path.clone())).await?;
                Ok(Self::Sqlite(SqliteStore::open(sqlite_options(config, path, sink))?))
            }
            Place::Postgres(address) => {
                if config.database.migrate {
                    migrations::up(&Place::Postgres(address.clone())).await?;
                }
                let shown = address.to_string();
                let options = postgres_options(config, *address, sink);
                let opening = PostgresStore::open(options).await;
                Ok(Self::Postgres(opening.with_context(|| format!("the database {shown}"))?))
            }
        }
    }

    pub fn shared(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    /// What it does now shows in the metrics from here on.
    pub fn measure(&self, metrics: &Metrics) {
        match self {
            Self::Sqlite(store) => metrics.watch(Box::new(metrics::Sqlite(store.clone()))),
            Self::Postgres(store) => metrics.watch(Box::new(metrics::Postgres(store.clone()))),
        }
    }

    /// Carries out every write that waits and lets go of the database.
    pub async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(store) => Ok(tokio::task::spawn_blocking(move || store.close()).await?),
            Self::Postgres(store) => {
                store.close().await;
                Ok(())
            }
        }
    }
}

impl Place {
    /// The kind, as health names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

fn sqlite_options(
    config: &Config,
    path: std::path::PathBuf,
    sink: Arc<dyn ChangeSink>,
) -> tidings_store_sqlite::Options {
    tidings_store_sqlite::Options {
        path,
        readers: config.store.readers,
        queue: config.store.queue,
        sink,
        synchronous: match config.store.synchronous {
            Synchronous::Full => tidings_store_sqlite::Synchronous::Full,
            Synchronous::Normal => tidings_store_sqlite::Synchronous::Normal,
        },
    }
}

fn postgres_options(
    config: &Config,
    address: Address,
    sink: Arc<dyn ChangeSink>,
) -> tidings_store_postgres::Options {
    let database = &config.database;
    let node = config.node_id.as_deref().unwrap_or_default();
    tidings_store_postgres::Options {
        replicas: config.replicas(),
        readers: database.readers,
        lanes: database.lanes,
        writers: database.writers,
        queue: config.store.queue,
        timeouts: Timeouts {
            statement: database.statement_timeout,
            lock: database.lock_timeout,
            connect: database.connect_timeout,
            acquire: database.acquire_timeout,
        },
        application_name: format!("tidings {node}").trim_end().to_owned(),
        whole_months: database.whole_months,
        ..tidings_store_postgres::Options::new(address, sink)
    }
}
