//! Forgetting what nobody needs any more: old tombstones, keys and finished announcements.

use tidings_core::{ports::PruneBefore, time::Timestamp};

use crate::{failure::Result, rows::from_limit, writer::Tx};

macro_rules! oldest_tombstones {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM tombstones INDEXED BY tombstones_age WHERE deleted_at < ?1 \
             ORDER BY deleted_at, inbox, rev, message_id LIMIT ?2"
        )
    };
}

pub(crate) const HIGHEST: &str = concat!(
    "SELECT inbox, max(rev), max(deleted_at) FROM (",
    oldest_tombstones!("inbox, rev, deleted_at"),
    ") GROUP BY inbox"
);
const RAISE_FLOOR: &str = "UPDATE inboxes SET floor = ?2, floor_at = ?3
    WHERE number = ?1 AND floor < ?2";
pub(crate) const TOMBSTONES: &str = concat!(
    "DELETE FROM tombstones WHERE (inbox, rev, message_id) IN (",
    oldest_tombstones!("inbox, rev, message_id"),
    ")"
);
pub(crate) const IDEMPOTENCY: &str = "DELETE FROM idempotency WHERE rowid IN (
    SELECT rowid FROM idempotency WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
pub(crate) const DEDUPE: &str = "DELETE FROM dedupe WHERE (inbox, key) IN (
    SELECT inbox, key FROM dedupe WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
/// Of those that were cancelled; the others forget whom they served as they go.
const RECIPIENTS: &str = "DELETE FROM announcement_recipients WHERE (announcement, position) IN (
    SELECT r.announcement, r.position FROM announcements a
    CROSS JOIN announcement_recipients r ON r.announcement = a.number
    WHERE a.finished_at IS NOT NULL AND a.finished_at < ?1 LIMIT ?2)";
const ANNOUNCEMENTS: &str = "DELETE FROM announcements WHERE number IN (
    SELECT a.number FROM announcements a
    WHERE a.finished_at IS NOT NULL AND a.finished_at < ?1 AND NOT EXISTS (
        SELECT 1 FROM announcement_recipients r WHERE r.announcement = a.number)
    ORDER BY a.finished_at LIMIT ?2)";

pub(crate) fn prune(tx: &mut Tx<'_>, before: PruneBefore, limit: usize) -> Result<u64> {
    let mut pruned = 0;
    for (statement, before) in [
        (TOMBSTONES, before.tombstones),
        (IDEMPOTENCY, before.idempotency),
        (DEDUPE, before.idempotency),
        (RECIPIENTS, before.announcements),
        (ANNOUNCEMENTS, before.announcements),
    ] {
        let left = limit - pruned;
        if left == 0 {
            break;
        }
        if statement == TOMBSTONES {
            raise_floors(tx, before, left)?;
        }
        pruned += delete(tx, statement, before, left)?;
    }
    Ok(pruned as u64)
}

fn delete(tx: &Tx<'_>, statement: &str, before: Timestamp, limit: usize) -> Result<usize> {
    let values = (before.as_millis(), from_limit(limit));
    Ok(tx.conn.prepare_cached(statement)?.execute(values)?)
}

/// Below the highest of its tombstones that go, an inbox cannot tell any more what was removed.
fn raise_floors(tx: &mut Tx<'_>, before: Timestamp, limit: usize) -> Result<()> {
    let mut highest = tx.conn.prepare_cached(HIGHEST)?;
    let mut raise = tx.conn.prepare_cached(RAISE_FLOOR)?;
    let mut rows = highest.query((before.as_millis(), from_limit(limit)))?;
    while let Some(row) = rows.next()? {
        let floor: (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        raise.execute(floor)?;
        // Hardly ever: what is known of inboxes is forgotten for it.
        tx.touched.inboxes = true;
    }
    Ok(())
}
