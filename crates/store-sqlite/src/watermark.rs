//! Operations on everything up to a `seq`: read all and clear. Each is one rev and one small
//! change, however many items it touches.

use rusqlite::Connection;
use tidings_core::{
    ids::Rev,
    inbox::{ChangeKind, OpOutcome},
    notification::Item,
    time::Timestamp,
};

use crate::{
    failure::Result,
    inboxes::Inbox,
    removal::{self, Doomed},
    rows::{self, from_limit, from_rev, to_count},
    writer::Tx,
};

/// A clear of more items than these leaves no tombstones: it raises the floor.
const MOST_TOMBSTONES: usize = 1_000;

/// The items keep their rev: that they are read is told by the watermark.
pub(crate) const READ: &str = "UPDATE inbox_items INDEXED BY inbox_items_unread
    SET read_at = ?4, seen_at = coalesce(seen_at, ?4)
    WHERE inbox = ?1 AND archived = ?2 AND seq <= ?3 AND read_at IS NULL";
const READ_WITH_REV: &str = "UPDATE inbox_items INDEXED BY inbox_items_unread
    SET read_at = ?4, seen_at = coalesce(seen_at, ?4), rev = ?5, changed_at = ?6
    WHERE inbox = ?1 AND archived = ?2 AND seq <= ?3 AND read_at IS NULL";
pub(crate) const OF_REV: &str =
    "SELECT m.id, i.seq, i.rev, i.delivered_at, i.seen_at, i.read_at, i.archived_at
    FROM inbox_items i INDEXED BY inbox_items_rev
    CROSS JOIN messages m ON m.number = i.message
    WHERE i.inbox = ?1 AND i.rev = ?2";
pub(crate) const ANY_UNREAD: &str = "SELECT EXISTS (
    SELECT 1 FROM inbox_items INDEXED BY inbox_items_unread
    WHERE inbox = ?1 AND archived IN (0, 1) AND seq <= ?2 AND read_at IS NULL)";

pub(crate) const UP_TO: &str = "SELECT m.id, i.seq, i.archived, i.read_at IS NULL
    FROM inbox_items i CROSS JOIN messages m ON m.number = i.message
    WHERE i.inbox = ?1 AND i.archived IN (0, 1) AND i.seq <= ?2 LIMIT ?3";
pub(crate) const DELETE: &str = "DELETE FROM inbox_items
    WHERE inbox = ?1 AND archived IN (0, 1) AND seq <= ?2";
const UNREAD: &str = "SELECT count(*) FROM inbox_items INDEXED BY inbox_items_unread
    WHERE inbox = ?1 AND archived = 0 AND seq <= ?2 AND read_at IS NULL";

/// Marks everything with `seq` up to `up_to` as read, archived items too.
///
/// Clients learn of it by the watermark alone, so the items' revs stay as they are. One case
/// is apart: below a watermark that stands already there are only items that were made unread
/// again since. No growth of the watermark tells of those, so they take the new rev.
pub(crate) fn read_all(
    tx: &mut Tx<'_>,
    mut inbox: Inbox,
    up_to: Option<Rev>,
    now: Timestamp,
) -> Result<OpOutcome> {
    let up_to = up_to.unwrap_or(inbox.state.rev).min(inbox.state.rev);
    let grows = up_to > inbox.state.read_up_to;
    if !grows && !any_unread(tx.conn, &inbox, up_to)? {
        return Ok(OpOutcome { state: inbox.state, changed: 0, missing: 0 });
    }
    inbox.read_all_rev = inbox.take_rev(now);
    inbox.read_all_at = inbox.changed_at;
    let counted = mark_read(tx, &inbox, false, up_to, grows, now)?;
    let archived = mark_read(tx, &inbox, true, up_to, grows, now)?;
    inbox.state.unread -= counted;
    inbox.state.read_up_to = inbox.state.read_up_to.max(up_to);
    inbox.save(tx)?;
    // Devices that follow know the watermark too: below it they are told item by item.
    let kind = match grows {
        true => ChangeKind::ReadAll { up_to },
        false => ChangeKind::Updated(items_of(tx.conn, &inbox)?),
    };
    inbox.emit(tx, kind);
    Ok(OpOutcome { state: inbox.state, changed: counted + archived, missing: 0 })
}

/// The items that took the inbox's newest rev.
fn items_of(conn: &Connection, inbox: &Inbox) -> Result<Vec<Item>> {
    let mut statement = conn.prepare_cached(OF_REV)?;
    let items = statement.query_map((inbox.number, from_rev(inbox.state.rev)), rows::item)?;
    Ok(items.collect::<rusqlite::Result<_>>()?)
}

fn any_unread(conn: &Connection, inbox: &Inbox, up_to: Rev) -> Result<bool> {
    let mut statement = conn.prepare_cached(ANY_UNREAD)?;
    Ok(statement.query_row((inbox.number, from_rev(up_to)), |row| row.get(0))?)
}

fn mark_read(
    tx: &Tx<'_>,
    inbox: &Inbox,
    archived: bool,
    up_to: Rev,
    by_watermark: bool,
    now: Timestamp,
) -> Result<u64> {
    let (up_to, now) = (from_rev(up_to), now.as_millis());
    let changed = if by_watermark {
        tx.conn.prepare_cached(READ)?.execute((inbox.number, archived, up_to, now))?
    } else {
        let (rev, at) = (from_rev(inbox.state.rev), inbox.changed_at.as_millis());
        let values = (inbox.number, archived, up_to, now, rev, at);
        tx.conn.prepare_cached(READ_WITH_REV)?.execute(values)?
    };
    Ok(changed as u64)
}

/// Deletes everything with `seq` up to `up_to`. Up to [`MOST_TOMBSTONES`] items leave
/// tombstones with the new rev; more raise the floor to it instead, and clients from below
/// start over.
pub(crate) fn clear(
    tx: &mut Tx<'_>,
    mut inbox: Inbox,
    up_to: Option<Rev>,
    now: Timestamp,
) -> Result<OpOutcome> {
    let up_to = up_to.unwrap_or(inbox.state.rev).min(inbox.state.rev);
    let doomed = items_up_to(tx.conn, &inbox, up_to)?;
    if doomed.is_empty() {
        return Ok(OpOutcome { state: inbox.state, changed: 0, missing: 0 });
    }
    let changed = if doomed.len() <= MOST_TOMBSTONES {
        removal::bury(tx, &mut inbox, &doomed, now)?;
        doomed.len() as u64
    } else {
        delete_without_tombstones(tx, &mut inbox, up_to, now)?
    };
    inbox.save(tx)?;
    inbox.emit(tx, ChangeKind::Cleared { up_to });
    Ok(OpOutcome { state: inbox.state, changed, missing: 0 })
}

/// One more than may have tombstones is enough to know.
fn items_up_to(conn: &Connection, inbox: &Inbox, up_to: Rev) -> Result<Vec<Doomed>> {
    let limit = from_limit(MOST_TOMBSTONES + 1);
    let mut statement = conn.prepare_cached(UP_TO)?;
    let rows = statement.query_map((inbox.number, from_rev(up_to), limit), Doomed::from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn delete_without_tombstones(
    tx: &Tx<'_>,
    inbox: &mut Inbox,
    up_to: Rev,
    now: Timestamp,
) -> Result<u64> {
    let range = (inbox.number, from_rev(up_to));
    let unread: i64 = tx.conn.prepare_cached(UNREAD)?.query_row(range, |row| row.get(0))?;
    let deleted = tx.conn.prepare_cached(DELETE)?.execute(range)?;
    inbox.state.unread -= to_count(unread);
    inbox.state.floor = inbox.take_rev(now);
    inbox.floor_at = inbox.changed_at;
    Ok(deleted as u64)
}
