//! Forgetting what nobody needs any more: old tombstones, keys and finished announcements.

use tidings_core::{ports::PruneBefore, time::Timestamp};
use uuid::Uuid;

use crate::{failure::Result, inboxes, lane::Tx, rows::from_limit, sql};

pub(crate) const OLDEST_TOMBSTONES: &str =
    "SELECT inbox, rev, message_id, deleted_at FROM tombstones
    WHERE deleted_at < $1 ORDER BY deleted_at, inbox, rev, message_id LIMIT $2";
const RAISE_FLOORS: &str = "UPDATE inboxes b SET floor = w.floor, floor_at = w.at
    FROM (SELECT inbox, max(rev) AS floor, max(at) AS at
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) u (inbox, rev, at)
        GROUP BY inbox) w
    WHERE b.number = w.inbox AND b.floor < w.floor";
const DELETE_TOMBSTONES: &str = "DELETE FROM tombstones t
    USING unnest($1::bigint[], $2::bigint[], $3::uuid[]) w (inbox, rev, id)
    WHERE t.inbox = w.inbox AND t.rev = w.rev AND t.message_id = w.id";

/// The rest takes what nobody has in hand: it waits for nothing.
pub(crate) const IDEMPOTENCY: &str = "DELETE FROM idempotency WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency WHERE created_at < $1
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))";
pub(crate) const DEDUPE: &str = "DELETE FROM dedupe WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM dedupe WHERE created_at < $1
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))";
/// Of those that were cancelled; the others forget whom they served as they go.
const RECIPIENTS: &str = "DELETE FROM announcement_recipients WHERE ctid = ANY (ARRAY(
    SELECT r.ctid FROM announcements a
    JOIN announcement_recipients r ON r.announcement = a.number
    WHERE a.finished_at IS NOT NULL AND a.finished_at < $1
    LIMIT $2 FOR UPDATE OF r SKIP LOCKED))";
const ANNOUNCEMENTS: &str = "DELETE FROM announcements WHERE ctid = ANY (ARRAY(
    SELECT a.ctid FROM announcements a
    WHERE a.finished_at IS NOT NULL AND a.finished_at < $1 AND NOT EXISTS (
        SELECT 1 FROM announcement_recipients r WHERE r.announcement = a.number)
    ORDER BY a.finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// Of processes that are gone: a lane writes its row anew whenever it writes.
const LANES: &str = "DELETE FROM lanes WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM lanes WHERE at < (extract(epoch FROM now()) * 1000 - 86400000)::bigint
    LIMIT 1000 FOR UPDATE SKIP LOCKED))";

pub(crate) async fn prune(tx: &mut Tx, before: PruneBefore, limit: usize) -> Result<u64> {
    let mut pruned = tombstones(tx, before.tombstones, limit).await?;
    for (statement, before) in [
        (IDEMPOTENCY, before.idempotency),
        (DEDUPE, before.idempotency),
        (RECIPIENTS, before.announcements),
        (ANNOUNCEMENTS, before.announcements),
    ] {
        let left = limit.saturating_sub(pruned);
        if left == 0 {
            break;
        }
        let values: sql::Values<'_> = &[&before.as_millis(), &from_limit(left)];
        let deleted = sql::execute(&tx.conn, statement, values).await?;
        pruned += usize::try_from(deleted).unwrap_or(left);
    }
    sql::execute(&tx.conn, LANES, &[]).await?;
    Ok(pruned as u64)
}

/// Below the highest of its tombstones that go, an inbox cannot tell any more what was removed.
async fn tombstones(tx: &Tx, before: Timestamp, limit: usize) -> Result<usize> {
    let values: sql::Values<'_> = &[&before.as_millis(), &from_limit(limit)];
    let oldest = sql::rows(&tx.conn, OLDEST_TOMBSTONES, values).await?;
    if oldest.is_empty() {
        return Ok(0);
    }
    let mut owners: Vec<i64> = Vec::with_capacity(oldest.len());
    let mut revs: Vec<i64> = Vec::with_capacity(oldest.len());
    let mut ids: Vec<Uuid> = Vec::with_capacity(oldest.len());
    let mut times: Vec<i64> = Vec::with_capacity(oldest.len());
    for row in &oldest {
        owners.push(row.try_get(0)?);
        revs.push(row.try_get(1)?);
        ids.push(row.try_get(2)?);
        times.push(row.try_get(3)?);
    }
    inboxes::lock_numbered(&tx.conn, &owners).await?;
    sql::execute(&tx.conn, RAISE_FLOORS, &[&owners, &revs, &times]).await?;
    let deleted = sql::execute(&tx.conn, DELETE_TOMBSTONES, &[&owners, &revs, &ids]).await?;
    Ok(usize::try_from(deleted).unwrap_or(limit))
}
