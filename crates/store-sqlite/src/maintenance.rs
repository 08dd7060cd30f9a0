//! Expiry and retention: notifications whose time has come go, a change like a deletion.

use rusqlite::Connection;
use tidings_core::{announcement::AnnouncementState, ids::NotificationId, time::Timestamp};

use crate::{
    announcements,
    failure::Result,
    messages,
    removal::{self, ByInbox},
    rows::{from_limit, to_id},
    writer::Tx,
};

pub(crate) const EXPIRED: &str = "SELECT number, id FROM messages
    WHERE expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2";
pub(crate) const OLD: &str = "SELECT number, id FROM messages
    WHERE sent_at < ?1 ORDER BY sent_at LIMIT ?2";
pub(crate) const OUTLIVED: &str = "SELECT number, id FROM messages
    WHERE keep_until IS NOT NULL AND keep_until <= ?1 ORDER BY keep_until LIMIT ?2";

pub(crate) fn expire(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<u64> {
    let swept = sweep(tx, EXPIRED, now, now, limit)?;
    Ok(swept.rows)
}

/// Counts from when a message went out: one that was written long ahead is not old yet. First
/// goes what has a time of its own.
pub(crate) fn retain(
    tx: &mut Tx<'_>,
    before: Timestamp,
    now: Timestamp,
    limit: usize,
) -> Result<u64> {
    let mut swept = sweep(tx, OUTLIVED, now, now, limit)?;
    if swept.rows == 0 {
        swept = sweep(tx, OLD, before, now, limit)?;
    }
    for id in swept.gone {
        announcements::delete(tx, id)?;
    }
    Ok(swept.rows)
}

struct Swept {
    /// Items that were removed, and bodies that no inbox held any more when they were found.
    rows: u64,
    /// Messages of which nothing is left.
    gone: Vec<NotificationId>,
}

/// Removes up to `limit` items of the messages that `query` finds, and the bodies that no inbox
/// holds then. Each user affected gets one change, whatever number of items it takes.
fn sweep(
    tx: &mut Tx<'_>,
    query: &str,
    at: Timestamp,
    now: Timestamp,
    limit: usize,
) -> Result<Swept> {
    let mut doomed = ByInbox::new();
    let mut visited = Vec::new();
    let mut left = limit;
    for (number, id) in candidates(tx.conn, query, at, limit)? {
        if left == 0 {
            break;
        }
        let items = removal::collect_holders(tx.conn, number, left, &mut doomed)?;
        // A body alone is a row too, or a call that finds only such would say that it is done.
        left -= items.max(1);
        visited.push((number, id));
    }
    removal::remove_from_all(tx, &doomed, now)?;
    let mut gone = Vec::new();
    for (number, id) in visited {
        announcements::stop(tx, id, AnnouncementState::Done, now)?;
        if !messages::is_held(tx.conn, number)? {
            messages::delete(tx, number)?;
            gone.push(id);
        }
    }
    Ok(Swept { rows: (limit - left) as u64, gone })
}

fn candidates(
    conn: &Connection,
    query: &str,
    at: Timestamp,
    limit: usize,
) -> Result<Vec<(i64, NotificationId)>> {
    let mut statement = conn.prepare_cached(query)?;
    let values = (at.as_millis(), from_limit(limit));
    let rows = statement.query_map(values, |row| Ok((row.get(0)?, to_id(row.get(1)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
