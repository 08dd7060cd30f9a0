//! A transaction of a lane.

use std::sync::Arc;

use tidings_core::inbox::InboxChange;
use uuid::Uuid;

use crate::{
    connection::Connection,
    failure::{Failure, Result},
    sql::{self, together},
};

/// The connection, inside a transaction, and the changes that the sink will hear of once it is
/// committed.
pub(crate) struct Tx {
    pub(crate) conn: Arc<Connection>,
    pub(super) changes: Vec<Arc<InboxChange>>,
}

impl Tx {
    pub(super) fn new(conn: Arc<Connection>) -> Self {
        Self { conn, changes: Vec::new() }
    }

    pub(crate) fn emit(&mut self, change: Arc<InboxChange>) {
        self.changes.push(change);
    }
}

/// A transaction of a lane: no other ever has the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) lane: Uuid,
    pub(super) number: i64,
}

/// The row of the lane stays locked until the transaction ends.
pub(super) const SIGN: &str = "INSERT INTO lanes (id, transaction, at)
    VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
    ON CONFLICT (id) DO UPDATE SET transaction = excluded.transaction, at = excluded.at";
/// Waits for whoever holds the row.
const SIGNED: &str = "INSERT INTO lanes AS l (id, transaction, at) VALUES ($1, -1, 0)
    ON CONFLICT (id) DO UPDATE SET at = l.at RETURNING transaction";

/// Begins a transaction and signs it.
pub(super) async fn begin(conn: &Connection, name: Name) -> Result<()> {
    let (begun, signed) = together!(
        async { Ok::<_, Failure>(conn.batch_execute("BEGIN").await?) },
        sql::execute(conn, SIGN, &[&name.lane, &name.number]),
    );
    begun?;
    signed.map(drop)
}

pub(super) async fn commit(conn: &Connection) -> Result<()> {
    Ok(conn.batch_execute("COMMIT").await?)
}

/// Whether a transaction whose COMMIT got no answer was carried out. It was signed before the
/// COMMIT was sent: if it is still under way, this waits for its end.
pub(super) async fn was_committed(conn: &Connection, name: Name) -> Result<bool> {
    let row = sql::row(conn, SIGNED, &[&name.lane]).await?;
    let last: Option<i64> = row.map(|row| row.try_get(0)).transpose()?;
    Ok(last == Some(name.number))
}
