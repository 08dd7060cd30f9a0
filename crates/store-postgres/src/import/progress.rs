//! How far a copy is, in tables of its own. The copy makes them: a database that was never
//! copied into has none.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use tidings_core::copy::{TABLES, Table};
use tokio_postgres::Client;

use crate::{
    connection::Connection,
    failure::{Failure, Result},
    rows::{from_count, to_count},
};

const MAKE: &str = "CREATE TABLE IF NOT EXISTS store_copy (
        -- There is one.
        only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
        -- Of what is copied, as it was when the copy began.
        state       text        NOT NULL,
        begun_at    timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz
    );
    CREATE TABLE IF NOT EXISTS store_copy_tables (
        name   text    COLLATE \"C\" PRIMARY KEY,
        -- What comes after this is not copied yet.
        cursor text,
        rows   bigint  NOT NULL DEFAULT 0,
        done   boolean NOT NULL DEFAULT false
    )";
const IS_THERE: &str = "SELECT to_regclass('store_copy') IS NOT NULL";
const READ: &str = "SELECT state, finished_at IS NOT NULL, to_char(finished_at AT TIME ZONE 'UTC',
    'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM store_copy";
const PLACES: &str = "SELECT name, cursor, rows, done FROM store_copy_tables";
const ADVANCE: &str = "INSERT INTO store_copy_tables AS t (name, cursor, rows, done)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO UPDATE SET cursor = coalesce(excluded.cursor, t.cursor),
        rows = t.rows + excluded.rows, done = excluded.done";
const FINISH: &str = "UPDATE store_copy SET finished_at = now()";
/// Written by servers and applications, and by no copy.
const OTHERS: [&str; 2] = ["outbox", "retired_months"];

/// How far a table is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Where it goes on, in the words of the store that is copied.
    pub cursor: Option<String>,
    /// Rows that are copied.
    pub rows: u64,
    pub done: bool,
}

/// What a copy would find in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No rows; perhaps no tables.
    Empty,
    /// A copy that was cut off: of what, and how far each table is.
    Unfinished { state: String, places: BTreeMap<String, Place> },
    /// A whole copy, and when it was finished.
    Finished { at: String },
    /// These tables have rows that no copy made.
    Occupied { tables: Vec<String> },
}

pub(super) async fn standing(conn: &Connection) -> Result<Standing> {
    if conn.query_one(IS_THERE, &[]).await?.get(0)
        && let Some(row) = conn.query_opt(READ, &[]).await?
    {
        return Ok(match row.get(1) {
            true => Standing::Finished { at: row.get(2) },
            false => Standing::Unfinished { state: row.get(0), places: places(conn).await? },
        });
    }
    let mut occupied = Vec::new();
    for table in TABLES.iter().map(|table| table.name).chain(OTHERS) {
        if has_rows(conn, table).await? {
            occupied.push(table.to_owned());
        }
    }
    Ok(if occupied.is_empty() { Standing::Empty } else { Standing::Occupied { tables: occupied } })
}

async fn has_rows(conn: &Connection, table: &str) -> Result<bool> {
    let there = "SELECT to_regclass($1::text) IS NOT NULL";
    if !conn.query_one(there, &[&table]).await?.get::<_, bool>(0) {
        return Ok(false);
    }
    let sql = format!("SELECT EXISTS (SELECT FROM {table})");
    Ok(conn.query_one(&sql, &[]).await?.get(0))
}

async fn places(conn: &Connection) -> Result<BTreeMap<String, Place>> {
    let rows = conn.query(PLACES, &[]).await?;
    let place = |row: &tokio_postgres::Row| Place {
        cursor: row.get(1),
        rows: to_count(row.get(2)),
        done: row.get(3),
    };
    Ok(rows.iter().map(|row| (row.get(0), place(row))).collect())
}

pub(super) async fn begin(conn: &mut Connection, state: &str) -> Result<()> {
    let tx = conn.transaction().await?;
    tx.batch_execute(MAKE).await?;
    tx.execute("INSERT INTO store_copy (state) VALUES ($1)", &[&state]).await?;
    Ok(tx.commit().await?)
}

/// Adds what was copied now.
pub(super) async fn advance(tx: &Transaction<'_>, table: &Table, now: &Place) -> Result<()> {
    let statement = tx.prepare_cached(ADVANCE).await?;
    tx.execute(&statement, &[&table.name, &now.cursor, &from_count(now.rows), &now.done]).await?;
    Ok(())
}

pub(super) async fn finish(conn: &Connection) -> Result<()> {
    conn.execute(FINISH, &[]).await?;
    Ok(())
}

/// In one transaction, so that what is half empty is known as unfinished. A finished copy is
/// somebody's database: it stays.
pub(super) async fn forget(conn: &mut Connection) -> Result<()> {
    let tables: Vec<_> = TABLES.iter().map(|table| table.name).collect();
    let tx = conn.transaction().await?;
    tx.batch_execute(&format!("TRUNCATE {} RESTART IDENTITY", tables.join(", "))).await?;
    tx.batch_execute("DELETE FROM store_copy_tables").await?;
    let forgotten = tx.execute("DELETE FROM store_copy WHERE finished_at IS NULL", &[]).await?;
    if forgotten == 0 {
        return Err(Failure::Corrupt("there is no unfinished copy".into()));
    }
    Ok(tx.commit().await?)
}

/// Says why a server must not use this database: it has only a part of what it should have.
pub(crate) async fn check_whole(client: &Client) -> Result<()> {
    if !client.query_one(IS_THERE, &[]).await?.get::<_, bool>(0) {
        return Ok(());
    }
    let sql = "SELECT EXISTS (SELECT FROM store_copy WHERE finished_at IS NULL)";
    if client.query_one(sql, &[]).await?.get(0) {
        let why = "a copy into this database is not finished: let `tidings store copy` end first";
        return Err(Failure::Store(tidings_core::ports::StoreError::Unavailable(why.into())));
    }
    Ok(())
}
