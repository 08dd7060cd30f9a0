//! How connections to the database file are opened: one that writes, some that only read.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use crate::{Synchronous, failure::Result};

/// Only checkpoints and other processes (a backup, `sqlite3`) can make anybody wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More statements than there are, so that none is prepared twice.
const STATEMENTS: usize = 128;

/// Page caches in KiB, negative as SQLite wants it. Modest: the kernel caches the file too.
const READER_CACHE: i64 = -2 * 1024;
/// The writer's while it only notes who comes and goes: it hardly ever returns to what it noted.
const NARROW_CACHE: i64 = -1024;
/// The writer's while it writes to inboxes: the same ones again and again, many in one transaction.
const WIDE_CACHE: i64 = -16 * 1024;
/// A log this large is copied back into the database file, and after a burst cut to it.
const CHECKPOINT_PAGES: i64 = 4_000;
const LOG_BYTES: i64 = 64 * 1024 * 1024;

pub(crate) fn open_writer(path: &Path, synchronous: Synchronous) -> Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    prepare(&conn, NARROW_CACHE)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", synchronous.as_pragma())?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    Ok(conn)
}

/// Has the writer keep more pages.
pub(crate) fn widen_cache(conn: &Connection) -> Result<()> {
    Ok(conn.pragma_update(None, "cache_size", WIDE_CACHE)?)
}

/// Has the writer keep few pages, and drops those that it has.
pub(crate) fn narrow_cache(conn: &Connection) -> Result<()> {
    conn.pragma_update(None, "cache_size", NARROW_CACHE)?;
    Ok(conn.release_memory()?)
}

pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    prepare(&conn, READER_CACHE)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn prepare(conn: &Connection, cache: i64) -> Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // The schema has none; the bundled SQLite would look for them all the same.
    conn.pragma_update(None, "foreign_keys", false)?;
    // What savepoints keep for a rollback stays in memory, not in a temporary file.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", cache)?;
    Ok(())
}
