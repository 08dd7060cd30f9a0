//! What a client gets when it connects: state and pending in one snapshot.

use rusqlite::{Connection, OptionalExtension};
use tidings_core::{
    ids::{DeviceId, Rev, UserId},
    inbox::{OpenFrom, Opening, PENDING, SYNC_PAGE, Sync},
};

use crate::{failure::Result, inboxes::Inbox, rows::to_rev, sync};

pub(crate) const NEWEST_UNREAD: &str =
    "SELECT m.id, i.seq, i.rev, i.delivered_at, i.seen_at, i.read_at, i.archived_at, m.body
    FROM inbox_items i INDEXED BY inbox_items_unread
    CROSS JOIN messages m ON m.number = i.message
    WHERE i.inbox = ?1 AND i.archived = 0 AND i.read_at IS NULL
    ORDER BY i.seq DESC LIMIT ?2";
const CURSOR: &str = "SELECT cursor FROM devices WHERE inbox = ?1 AND id = ?2";

pub(crate) fn open(conn: &Connection, user: &UserId, from: OpenFrom) -> Result<Opening> {
    let inbox = Inbox::of(conn, user)?;
    let state = inbox.as_ref().map(|inbox| inbox.state).unwrap_or_default();
    let since = match (from, &inbox) {
        (OpenFrom::Since(rev), _) => Some(rev),
        (OpenFrom::Device(device), Some(inbox)) => cursor(conn, inbox.number, &device)?,
        (OpenFrom::Device(_) | OpenFrom::Newest, _) => None,
    };
    let pending = match (since, &inbox) {
        (Some(since), _) => sync::sync(conn, user, since, SYNC_PAGE)?,
        (None, Some(inbox)) => newest_unread(conn, inbox)?,
        (None, None) => sync::nothing(state),
    };
    Ok(Opening { state, pending, since })
}

/// Where this device's acknowledgements got to, if it ever sent one and was not forgotten.
pub(crate) fn cursor(conn: &Connection, inbox: i64, device: &DeviceId) -> Result<Option<Rev>> {
    let mut statement = conn.prepare_cached(CURSOR)?;
    let cursor = statement.query_row((inbox, device.as_str()), |row| row.get(0)).optional()?;
    Ok(cursor.map(to_rev))
}

/// The newest unread, oldest first, so that a client shows them in the order they came.
fn newest_unread(conn: &Connection, inbox: &Inbox) -> Result<Sync> {
    let mut items = sync::newest(conn, NEWEST_UNREAD, inbox, PENDING + 1)?;
    let has_more = items.len() > PENDING;
    items.truncate(PENDING);
    items.reverse();
    Ok(Sync { items, has_more, ..sync::nothing(inbox.state) })
}
