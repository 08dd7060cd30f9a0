//! Running prepared statements.
//!
//! A statement leaves when its future is first polled. Futures that are polled in order, without
//! waiting for each other, so share a round trip: see [`together!`].

use deadpool_postgres::GenericClient as _;
use tokio_postgres::{Row, types::ToSql};

use crate::{connection::Connection, failure::Result};

pub(crate) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(crate) async fn rows(conn: &Connection, sql: &str, values: Values<'_>) -> Result<Vec<Row>> {
    let statement = conn.prepare_cached(sql).await?;
    Ok(conn.query(&statement, values).await?)
}

pub(crate) async fn row(conn: &Connection, sql: &str, values: Values<'_>) -> Result<Option<Row>> {
    let statement = conn.prepare_cached(sql).await?;
    Ok(conn.query_opt(&statement, values).await?)
}

pub(crate) async fn execute(conn: &Connection, sql: &str, values: Values<'_>) -> Result<u64> {
    let statement = conn.prepare_cached(sql).await?;
    Ok(conn.execute(&statement, values).await?)
}

/// `rows`, unless there is nothing to ask about.
pub(crate) async fn rows_if(
    wanted: bool,
    conn: &Connection,
    sql: &str,
    values: Values<'_>,
) -> Result<Vec<Row>> {
    if wanted { rows(conn, sql, values).await } else { Ok(Vec::new()) }
}

/// `execute`, unless there is nothing to do.
pub(crate) async fn execute_if(
    wanted: bool,
    conn: &Connection,
    sql: &str,
    values: Values<'_>,
) -> Result<u64> {
    if wanted { execute(conn, sql, values).await } else { Ok(0) }
}

/// Prepares what will be sent together: a statement that still had to be prepared would let
/// later ones overtake it.
pub(crate) async fn prepare(conn: &Connection, statements: &[&str]) -> Result<()> {
    for sql in statements {
        conn.prepare_cached(sql).await?;
    }
    Ok(())
}

/// Sends statements one after the other without waiting, then waits for all. Evaluates to the
/// tuple of their values, or the first error in their order: what the server says to later ones
/// (that the transaction is aborted) explains nothing.
macro_rules! together {
    ($($future:expr),+ $(,)?) => {
        tokio::join!(biased; $(async { $future.await }),+)
    };
}
pub(crate) use together;
