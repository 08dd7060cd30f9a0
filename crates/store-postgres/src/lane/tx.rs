//! A transaction of a lane.

use std::sync::Arc;

use tidings_core::inbox::InboxChange;

use crate::{
    connection::Connection,
    failure::{Failure, Result},
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

/// The number of a transaction, by which the database knows what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Xid(pub(super) String);

/// Begins a transaction and numbers it, in one round trip.
pub(super) async fn begin(conn: &Connection) -> Result<Xid> {
    const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_current_xact_id()::text";
    let answers = conn.simple_query(BEGIN).await?;
    answers
        .iter()
        .find_map(|answer| match answer {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .map(|xid| Xid(xid.to_owned()))
        .ok_or_else(|| Failure::Corrupt("a transaction without a number".into()))
}

pub(super) async fn commit(conn: &Connection) -> Result<()> {
    Ok(conn.batch_execute("COMMIT").await?)
}

/// What the database says about a transaction whose COMMIT got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    Undone,
    Undecided,
    /// Not this database's history, or too long ago.
    Unknown,
}

/// Which history this database writes: a standby that is promoted begins another, in which the
/// same numbers are other transactions.
pub(super) async fn history(conn: &Connection) -> Result<String> {
    const HISTORY: &str = "SELECT left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)";
    Ok(conn.query_one(HISTORY, &[]).await?.try_get(0)?)
}

pub(super) async fn fate(conn: &Connection, xid: &Xid) -> Result<Fate> {
    let row = conn.query_one("SELECT pg_xact_status($1::text::xid8)", &[&xid.0]).await?;
    Ok(match row.try_get::<_, Option<&str>>(0)? {
        Some("committed") => Fate::Committed,
        Some("aborted") => Fate::Undone,
        Some(_) => Fate::Undecided,
        None => Fate::Unknown,
    })
}
