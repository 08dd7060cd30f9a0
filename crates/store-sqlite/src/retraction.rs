//! Taking a message back: out of the inboxes in batches, and its body when none holds it.

use rusqlite::{Connection, OptionalExtension};
use tidings_core::{
    announcement::AnnouncementState, ids::NotificationId, ports::Retracted, time::Timestamp,
};

use crate::{
    announcements,
    failure::Result,
    messages,
    removal::{self, ByInbox},
    rows::{from_id, from_limit, to_id},
    writer::Tx,
};

const FIND: &str = "SELECT number FROM messages WHERE id = ?1";
const FIND_RETRACTED: &str =
    "SELECT number FROM messages WHERE id = ?1 AND retracted_at IS NOT NULL";
const RETRACT: &str = "UPDATE messages SET retracted_at = coalesce(retracted_at, ?2)
    WHERE number = ?1";
/// A retracted message goes with its last item: what is here has work left.
pub(crate) const DUE: &str = "SELECT id FROM messages
    WHERE retracted_at IS NOT NULL ORDER BY retracted_at LIMIT ?1";

pub(crate) fn retract(
    tx: &mut Tx<'_>,
    id: NotificationId,
    batch: usize,
    now: Timestamp,
) -> Result<Option<Retracted>> {
    let Some(number) = find(tx.conn, FIND, id)? else { return Ok(None) };
    tx.conn.prepare_cached(RETRACT)?.execute((number, now.as_millis()))?;
    announcements::stop(tx, id, AnnouncementState::Cancelled, now)?;
    remove_batch(tx, number, batch, now).map(Some)
}

pub(crate) fn advance(
    tx: &mut Tx<'_>,
    id: NotificationId,
    batch: usize,
    now: Timestamp,
) -> Result<Retracted> {
    match find(tx.conn, FIND_RETRACTED, id)? {
        Some(number) => remove_batch(tx, number, batch, now),
        None => Ok(Retracted { removed: 0, more: false }),
    }
}

pub(crate) fn due(conn: &Connection, limit: usize) -> Result<Vec<NotificationId>> {
    let mut statement = conn.prepare_cached(DUE)?;
    let ids = statement.query_map([from_limit(limit)], |row| Ok(to_id(row.get(0)?)))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

fn find(conn: &Connection, query: &str, id: NotificationId) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached(query)?;
    Ok(statement.query_row([from_id(&id)], |row| row.get(0)).optional()?)
}

fn remove_batch(tx: &mut Tx<'_>, message: i64, batch: usize, now: Timestamp) -> Result<Retracted> {
    let mut doomed = ByInbox::new();
    let removed = removal::collect_holders(tx.conn, message, batch.max(1), &mut doomed)?;
    removal::remove_from_all(tx, &doomed, now)?;
    let more = messages::is_held(tx.conn, message)?;
    if !more {
        messages::delete(tx, message)?;
    }
    Ok(Retracted { removed: removed as u64, more })
}
