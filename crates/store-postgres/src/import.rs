//! Filling an empty database with the rows of another store: for `tidings store copy`.
//!
//! Each batch is one transaction, with the place in the other store where the next one begins.
//! So a copy that was killed goes on with what was not committed, and nothing comes twice. Until
//! it is finished, no server opens the database.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    copy::{Batch, Checksum, TABLES, Table},
    inbox::InboxChange,
    ports::{ChangeSink, StoreError},
    time::Timestamp,
};

use crate::{
    Address, Options,
    connection::{self, Connection, Use},
    failure::{Class, Failure, Result},
    migrations, months, sql,
};

mod progress;
mod values;

pub(crate) use progress::check_whole;
pub use progress::{Place, Standing};

/// What the server shows of us in `pg_stat_activity`.
const APPLICATION: &str = "tidings store copy";
/// One copy into a database at a time. Held by the session: it ends with the process.
const ALONE: &str = "SET lock_timeout = '10s'; SELECT pg_advisory_lock(8387234661137183604)";
/// Servers add their node's name. Of sessions that end, the last ones may be seen for a moment.
const SERVERS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name <> $2 AND pid <> pg_backend_pid()
        AND (application_name = $1::text OR application_name LIKE $1::text || ' %')";
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Nobody is connected to a server on this database.
struct Nobody;

impl ChangeSink for Nobody {
    fn committed(&self, _changes: Vec<Arc<InboxChange>>) {}
}

/// A database that is being filled.
pub struct Import {
    conn: Connection,
}

impl Import {
    /// Connects, and makes sure that nobody else uses the database. Changes nothing.
    pub async fn open(address: &Address) -> Result<Self, StoreError> {
        Self::start(address).await.map_err(StoreError::from)
    }

    async fn start(address: &Address) -> Result<Self> {
        let mut options = Options::new(address.clone(), Arc::new(Nobody));
        options.application_name = APPLICATION.into();
        let pool = connection::pool(&options, address, Use::Migrate, 1)?;
        let conn = pool.get().await?;
        alone(&conn).await?;
        no_servers(&conn).await?;
        Ok(Self { conn })
    }

    /// What is in the database already.
    pub async fn standing(&self) -> Result<Standing, StoreError> {
        progress::standing(&self.conn).await.map_err(StoreError::from)
    }

    /// Begins a copy of what is in this state into a migrated, empty database, with partitions
    /// for all that was made since `oldest`.
    pub async fn begin(
        &mut self,
        state: &str,
        oldest: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let done = async {
            migrations::check_usable(&self.conn).await?;
            let since = oldest.unwrap_or(Timestamp::from_millis(i64::MAX));
            months::make_all(&self.conn, since).await?;
            progress::begin(&mut self.conn, state).await
        };
        done.await.map_err(StoreError::from)
    }

    /// Empties the tables and forgets the unfinished copy that filled them.
    pub async fn start_over(&mut self) -> Result<(), StoreError> {
        progress::forget(&mut self.conn).await.map_err(StoreError::from)
    }

    /// Stores a batch and where the next one begins.
    pub async fn put(&mut self, table: &Table, batch: &Batch) -> Result<(), StoreError> {
        self.store(table, batch).await.map_err(StoreError::from)
    }

    async fn store(&mut self, table: &Table, batch: &Batch) -> Result<()> {
        let columns = names(table);
        let copy = format!("COPY {} ({columns}) FROM STDIN (FORMAT binary)", table.name);
        let tx = self.conn.transaction().await?;
        if !batch.rows.is_empty() {
            values::write(tx.copy_in(&copy).await?, table, &batch.rows).await?;
        }
        let place =
            Place { cursor: batch.cursor.clone(), rows: batch.rows.len() as u64, done: batch.last };
        progress::advance(&tx, table, &place).await?;
        Ok(tx.commit().await?)
    }

    /// Reads a whole table for its checksum.
    pub async fn checksum(&self, table: &Table) -> Result<Checksum, StoreError> {
        let sql = format!("SELECT {} FROM {}", names(table), table.name);
        values::checksum(&self.conn, &sql, table).await.map_err(StoreError::from)
    }

    /// The next row of a table gets a number above this.
    pub async fn number_from(&self, table: &Table, highest: i64) -> Result<(), StoreError> {
        if highest < 1 {
            return Ok(());
        }
        let sql = "SELECT setval(pg_get_serial_sequence($1, 'number'), $2)";
        let done = sql::row(&self.conn, sql, &[&table.name, &highest]).await;
        done.map(drop).map_err(StoreError::from)
    }

    /// Has the planner look at what is there now, and lets servers in.
    pub async fn finish(&self) -> Result<(), StoreError> {
        let done = async {
            for table in TABLES {
                self.conn.batch_execute(&format!("ANALYZE {}", table.name)).await?;
            }
            progress::finish(&self.conn).await
        };
        done.await.map_err(StoreError::from)
    }
}

fn names(table: &Table) -> String {
    let names: Vec<_> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    names.join(", ")
}

async fn alone(conn: &Connection) -> Result<()> {
    match conn.batch_execute(ALONE).await.map_err(Failure::from) {
        Err(failure) if failure.class() == Class::TimedOut => {
            Err(unavailable("another copy into this database is under way"))
        }
        other => other,
    }
}

async fn no_servers(conn: &Connection) -> Result<()> {
    for _ in 0..TRIES {
        let names: sql::Values<'_> = &[&connection::APPLICATION, &APPLICATION];
        let row = conn.query_one(SERVERS, names).await?;
        if row.get::<_, i64>(0) == 0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(unavailable("a tidings is connected to this database; stop it first"))
}

fn unavailable(why: &str) -> Failure {
    Failure::Store(StoreError::Unavailable(why.into()))
}
