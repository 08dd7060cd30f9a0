//! Reads in one snapshot of the database.

use std::ops::Deref;

use futures_util::FutureExt as _;

use crate::{connection::Connection, failure::Result};

/// Statements are planned once for all inboxes and all months, and that plan is kept.
///
/// What a list shows comes from walks of an index in its order; but the planner cannot tell an
/// inbox of a million items from one of ten, and might rather fetch them all and sort. A month
/// to come is an empty table, which might as well be read whole; and would be, for every lookup,
/// while the month fills and until its statistics say so. So none of that is open to it here.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
    SET LOCAL enable_sort = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// A connection inside a transaction that only reads.
pub(crate) struct Snapshot {
    conn: Connection,
    open: bool,
}

impl Snapshot {
    /// The snapshot is taken by the first statement. Sent, but not waited for: if it fails, so
    /// does that statement.
    pub(crate) fn begin(conn: Connection) -> Self {
        // The first poll sends it; what it answers is answered again by what follows.
        let _ = conn.batch_execute(BEGIN).now_or_never();
        Self { conn, open: true }
    }

    pub(crate) async fn end(mut self) -> Result<()> {
        self.conn.batch_execute("COMMIT").await?;
        self.open = false;
        Ok(())
    }
}

impl Deref for Snapshot {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.conn
    }
}

impl Drop for Snapshot {
    /// A caller that went away must not leave its transaction to the next one.
    fn drop(&mut self) {
        if self.open {
            let _ = self.conn.batch_execute("ROLLBACK").now_or_never();
        }
    }
}
