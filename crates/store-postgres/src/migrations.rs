//! The schema's versions: up, down, and up again.
//!
//! Two versions of Tidings share a database while one replaces the other. So a migration first
//! only adds (expand), and a later one takes away what nobody uses any more (contract). Each
//! says which version a binary must know at least to run on its schema, and the database keeps
//! that: an older binary can tell whether a newer schema is one that it may use.

use tokio_postgres::{Client, GenericClient};

use crate::{
    Address,
    connection::{self, Use},
    failure::{Failure, explain},
};

/// The oldest server that has all that the statements use.
const OLDEST_SERVER: i32 = 150_000;

/// Why the schema could not be brought to where it was wanted, or be used.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(
        "the database has schema version {found}, this tidings knows only up to {known}: it was \
         written by a newer one; use that, or migrate down with it first"
    )]
    Newer { found: u32, known: u32 },
    #[error("there is no schema version {0}")]
    NoSuchVersion(u32),
    #[error("migration {version} {name} failed: {why}")]
    Failed { version: u32, name: &'static str, why: String },
    #[error("the database {address} cannot be used: {why}")]
    Database { address: String, why: String },
}

/// One step that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub version: u32,
    pub name: &'static str,
}

/// How far down to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    Steps(u32),
    /// This version stays; 0 is the empty database.
    To(u32),
}

/// One version that this binary knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub version: u32,
    pub name: &'static str,
    pub applied: bool,
}

struct Migration {
    version: u32,
    name: &'static str,
    /// A binary that knows the schema up to here can still run on this one: the version before
    /// if this only adds, its own if it takes away.
    runs_with: u32,
    up: &'static str,
    down: &'static str,
}

/// In order, numbered from 1 without gaps.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        runs_with: 1,
        up: include_str!("../migrations/0001_initial.up.sql"),
        down: include_str!("../migrations/0001_initial.down.sql"),
    },
    Migration {
        version: 2,
        name: "inboxes",
        runs_with: 2,
        up: include_str!("../migrations/0002_inboxes.up.sql"),
        down: include_str!("../migrations/0002_inboxes.down.sql"),
    },
    Migration {
        version: 3,
        name: "outbox",
        runs_with: 2,
        up: include_str!("../migrations/0003_outbox.up.sql"),
        down: include_str!("../migrations/0003_outbox.down.sql"),
    },
    Migration {
        version: 4,
        name: "erasures",
        runs_with: 3,
        up: include_str!("../migrations/0004_erasures.up.sql"),
        down: include_str!("../migrations/0004_erasures.down.sql"),
    },
    Migration {
        version: 5,
        name: "type_retention",
        runs_with: 4,
        up: include_str!("../migrations/0005_type_retention.up.sql"),
        down: include_str!("../migrations/0005_type_retention.down.sql"),
    },
    Migration {
        version: 6,
        name: "outbox_notify",
        runs_with: 5,
        up: include_str!("../migrations/0006_outbox_notify.up.sql"),
        down: include_str!("../migrations/0006_outbox_notify.down.sql"),
    },
];

const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text    NOT NULL,
    -- What a binary must know at least to run on this schema.
    runs_with  integer NOT NULL,
    applied_at bigint  NOT NULL
)";
const HAS_VERSION_TABLE: &str = "SELECT to_regclass('schema_migrations') IS NOT NULL";
const VERSION: &str =
    "SELECT coalesce(max(version), 0), coalesce(max(runs_with), 0) FROM schema_migrations";
const RECORD: &str = "INSERT INTO schema_migrations (version, name, runs_with, applied_at)
    VALUES ($1, $2, $3, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)";
const FORGET: &str = "DELETE FROM schema_migrations WHERE version = $1";
/// Many nodes start at once, one migrates. Waits as long as that takes; ends with the session.
const ALONE: &str = "SET lock_timeout = 0; SELECT pg_advisory_lock(8387234661137183603)";
/// A table that is in use is not waited for so long that everybody queues behind the migration.
const PATIENCE: &str = "SET lock_timeout = '10s'";

/// Brings the database to the newest version; leaves one alone that a newer tidings made and
/// that this one can use.
pub async fn up(address: &Address) -> Result<Vec<Applied>, MigrationError> {
    let mut client = open_alone(address).await?;
    let current = read(&client, address).await?;
    current.check()?;
    let mut applied = Vec::new();
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > current.version) {
        applied.push(step(&mut client, migration, Direction::Up).await?);
    }
    Ok(applied)
}

/// Takes versions back, the newest first, with all the data that only they could hold.
pub async fn down(address: &Address, how_far: Down) -> Result<Vec<Applied>, MigrationError> {
    let mut client = open_alone(address).await?;
    let current = read(&client, address).await?.version;
    if current > latest() {
        return Err(MigrationError::Newer { found: current, known: latest() });
    }
    let target = match how_far {
        Down::Steps(steps) => current.saturating_sub(steps),
        Down::To(version) if version <= latest() => version,
        Down::To(version) => return Err(MigrationError::NoSuchVersion(version)),
    };
    let mut undone = Vec::new();
    for migration in MIGRATIONS.iter().rev() {
        if migration.version > target && migration.version <= current {
            undone.push(step(&mut client, migration, Direction::Down).await?);
        }
    }
    Ok(undone)
}

/// What is applied of what this binary knows.
pub async fn status(address: &Address) -> Result<Vec<Status>, MigrationError> {
    let client = open(address, Use::Read).await?;
    let current = read(&client, address).await?;
    current.check()?;
    Ok(MIGRATIONS
        .iter()
        .map(|m| Status { version: m.version, name: m.name, applied: m.version <= current.version })
        .collect())
}

/// Says why the store must not be used with this server or this schema.
pub(crate) async fn check_usable(client: &Client) -> Result<(), Failure> {
    let unavailable = |why| Failure::Store(tidings_core::ports::StoreError::Unavailable(why));
    check_server(client).await.map_err(unavailable)?;
    let current = version(client).await?;
    current.check().map_err(|error| unavailable(error.to_string()))?;
    if current.version < latest() {
        return Err(unavailable(format!(
            "the database has schema version {}, this tidings needs {}: run `tidings migrate up`",
            current.version,
            latest()
        )));
    }
    Ok(())
}

fn latest() -> u32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// What the database says of itself.
struct Current {
    version: u32,
    runs_with: u32,
}

impl Current {
    fn check(&self) -> Result<(), MigrationError> {
        if self.runs_with > latest() {
            return Err(MigrationError::Newer { found: self.version, known: latest() });
        }
        Ok(())
    }
}

async fn open_alone(address: &Address) -> Result<Client, MigrationError> {
    let client = open(address, Use::Migrate).await?;
    let sql = format!("{ALONE}; {PATIENCE}");
    client.batch_execute(&sql).await.map_err(|error| unusable(address, explain(&error)))?;
    Ok(client)
}

async fn open(address: &Address, usage: Use) -> Result<Client, MigrationError> {
    let client =
        connection::connect(address, usage).await.map_err(|error| unusable(address, error))?;
    check_server(&client).await.map_err(|why| unusable(address, why))?;
    Ok(client)
}

fn unusable(address: &Address, why: impl std::fmt::Display) -> MigrationError {
    MigrationError::Database { address: address.to_string(), why: why.to_string() }
}

async fn check_server(client: &Client) -> Result<(), String> {
    let sql =
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'),
        current_setting('server_encoding')";
    let row = client.query_one(sql, &[]).await.map_err(|error| explain(&error))?;
    let (number, name, encoding): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
    if number < OLDEST_SERVER {
        return Err(format!("the server is PostgreSQL {name}; 15 or newer is needed"));
    }
    if encoding != "UTF8" {
        return Err(format!("the database is encoded in {encoding}; UTF8 is needed"));
    }
    Ok(())
}

async fn read(client: &Client, address: &Address) -> Result<Current, MigrationError> {
    version(client).await.map_err(|error| unusable(address, explain(&error)))
}

async fn version(client: &impl GenericClient) -> Result<Current, tokio_postgres::Error> {
    if !client.query_one(HAS_VERSION_TABLE, &[]).await?.get::<_, bool>(0) {
        return Ok(Current { version: 0, runs_with: 0 });
    }
    let row = client.query_one(VERSION, &[]).await?;
    let number = |column| u32::try_from(row.get::<_, i32>(column)).unwrap_or(0);
    Ok(Current { version: number(0), runs_with: number(1) })
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// One migration and its record, in one transaction: a crash leaves a whole version.
async fn step(
    client: &mut Client,
    migration: &Migration,
    direction: Direction,
) -> Result<Applied, MigrationError> {
    let Migration { version, name, .. } = *migration;
    let failed = |error| MigrationError::Failed { version, name, why: explain(&error) };
    run(client, migration, direction).await.map_err(failed)?;
    tracing::info!(
        event = "store_migrated",
        version,
        name,
        up = matches!(direction, Direction::Up)
    );
    Ok(Applied { version, name })
}

async fn run(
    client: &mut Client,
    migration: &Migration,
    direction: Direction,
) -> Result<(), tokio_postgres::Error> {
    // Versions are small: the list is written by hand.
    let (version, runs_with) = (migration.version as i32, migration.runs_with as i32);
    let tx = client.transaction().await?;
    match direction {
        Direction::Up => {
            tx.batch_execute(VERSION_TABLE).await?;
            tx.batch_execute(migration.up).await?;
            tx.execute(RECORD, &[&version, &migration.name, &runs_with]).await?;
        }
        Direction::Down => {
            tx.batch_execute(migration.down).await?;
            tx.execute(FORGET, &[&version]).await?;
        }
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbered_from_one_without_gaps() {
        for (n, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, n, "{}", migration.name);
            assert!(migration.runs_with <= n, "{}", migration.name);
            assert!(migration.runs_with + 1 >= n, "{}: older ones are refused", migration.name);
        }
    }
}
