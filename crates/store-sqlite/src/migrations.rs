//! The schema's versions: up, down, and up again.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::failure::{Failure, from_sql};

/// Why the schema could not be brought to where it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(
        "the database has schema version {found}, this tidings knows only up to {known}: it was \
         written by a newer one; use that, or migrate down with it first"
    )]
    Newer { found: u32, known: u32 },
    #[error("there is no schema version {0}")]
    NoSuchVersion(u32),
    #[error("migration {version} {name} failed: {source}")]
    Failed { version: u32, name: &'static str, source: rusqlite::Error },
    #[error("the database cannot be used: {0}")]
    Database(#[from] rusqlite::Error),
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
    up: &'static str,
    down: &'static str,
}

/// In order, numbered from 1 without gaps.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        up: include_str!("../migrations/0001_initial.up.sql"),
        down: include_str!("../migrations/0001_initial.down.sql"),
    },
    Migration {
        version: 2,
        name: "audit",
        up: include_str!("../migrations/0002_audit.up.sql"),
        down: include_str!("../migrations/0002_audit.down.sql"),
    },
    Migration {
        version: 3,
        name: "last_seen",
        up: include_str!("../migrations/0003_last_seen.up.sql"),
        down: include_str!("../migrations/0003_last_seen.down.sql"),
    },
    Migration {
        version: 4,
        name: "revocations",
        up: include_str!("../migrations/0004_revocations.up.sql"),
        down: include_str!("../migrations/0004_revocations.down.sql"),
    },
    Migration {
        version: 5,
        name: "connections",
        up: include_str!("../migrations/0005_connections.up.sql"),
        down: include_str!("../migrations/0005_connections.down.sql"),
    },
    Migration {
        version: 6,
        name: "erasures",
        up: include_str!("../migrations/0006_erasures.up.sql"),
        down: include_str!("../migrations/0006_erasures.down.sql"),
    },
    Migration {
        version: 7,
        name: "type_retention",
        up: include_str!("../migrations/0007_type_retention.up.sql"),
        down: include_str!("../migrations/0007_type_retention.down.sql"),
    },
];

const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT";
const HAS_VERSION_TABLE: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations')";
const VERSION: &str = "SELECT coalesce(max(version), 0) FROM schema_migrations";
const RECORD: &str = "INSERT INTO schema_migrations (version, name, applied_at)
    VALUES (?1, ?2, 1000 * unixepoch())";
const FORGET: &str = "DELETE FROM schema_migrations WHERE version = ?1";

/// Makes the database if there is none, and brings it to the newest version.
pub fn up(path: &Path) -> Result<Vec<Applied>, MigrationError> {
    let mut conn = open(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    let current = known_version(&conn)?;
    MIGRATIONS
        .iter()
        .filter(|migration| migration.version > current)
        .map(|migration| step(&mut conn, migration, Direction::Up))
        .collect()
}

/// Takes versions back, the newest first, with all the data that only they could hold.
pub fn down(path: &Path, how_far: Down) -> Result<Vec<Applied>, MigrationError> {
    let mut conn = open(path, OpenFlags::empty())?;
    let current = known_version(&conn)?;
    let target = match how_far {
        Down::Steps(steps) => current.saturating_sub(steps),
        Down::To(version) if version <= latest() => version,
        Down::To(version) => return Err(MigrationError::NoSuchVersion(version)),
    };
    MIGRATIONS
        .iter()
        .rev()
        .filter(|migration| migration.version > target && migration.version <= current)
        .map(|migration| step(&mut conn, migration, Direction::Down))
        .collect()
}

/// What is applied; a database that does not exist has nothing.
pub fn status(path: &Path) -> Result<Vec<Status>, MigrationError> {
    let current = if path.exists() { known_version(&open_for_reading(path)?)? } else { 0 };
    Ok(MIGRATIONS
        .iter()
        .map(|m| Status { version: m.version, name: m.name, applied: m.version <= current })
        .collect())
}

/// Says why the store must not be used with this schema.
pub(crate) fn check_current(conn: &Connection) -> Result<(), Failure> {
    let unavailable = |message| tidings_core::ports::StoreError::Unavailable(message);
    let current = known_version(conn).map_err(|error| match error {
        MigrationError::Database(error) => from_sql(&error),
        other => unavailable(other.to_string()),
    })?;
    if current == latest() {
        return Ok(());
    }
    Err(Failure::Store(unavailable(format!(
        "the database has schema version {current}, this tidings needs {}: run `tidings migrate up`",
        latest()
    ))))
}

fn latest() -> u32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

fn open(path: &Path, create: OpenFlags) -> Result<Connection, MigrationError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", false)?;
    Ok(conn)
}

fn open_for_reading(path: &Path) -> Result<Connection, MigrationError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// The version of the database; an error if this binary does not know it.
fn known_version(conn: &Connection) -> Result<u32, MigrationError> {
    let has_table: bool = conn.query_row(HAS_VERSION_TABLE, [], |row| row.get(0))?;
    let found: u32 = if has_table { conn.query_row(VERSION, [], |row| row.get(0))? } else { 0 };
    if found > latest() {
        return Err(MigrationError::Newer { found, known: latest() });
    }
    Ok(found)
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// One migration and its record, in one transaction: a crash leaves a whole version.
fn step(
    conn: &mut Connection,
    migration: &Migration,
    direction: Direction,
) -> Result<Applied, MigrationError> {
    let Migration { version, name, up, down } = *migration;
    let mut run = || -> rusqlite::Result<()> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(VERSION_TABLE)?;
        match direction {
            Direction::Up => {
                tx.execute_batch(up)?;
                tx.execute(RECORD, (version, name))?;
            }
            Direction::Down => {
                tx.execute_batch(down)?;
                tx.execute(FORGET, [version])?;
            }
        }
        tx.commit()
    };
    run().map_err(|source| MigrationError::Failed { version, name, source })?;
    Ok(Applied { version, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbered_from_one_without_gaps() {
        for (n, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, n, "{}", migration.name);
        }
    }
}
