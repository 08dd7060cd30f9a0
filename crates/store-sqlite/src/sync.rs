//! What changed in an inbox since some rev. The caller's read transaction makes it one snapshot.

use rusqlite::Connection;
use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    inbox::{InboxState, Sync},
    notification::Notification,
};

use crate::{
    failure::Result,
    inboxes::Inbox,
    rows::{self, from_limit, from_rev, to_id, to_rev},
};

/// The revs that rows of the answer have, without the rows: both walk an index alone.
pub(crate) const ITEM_REVS: &str = "SELECT rev FROM inbox_items INDEXED BY inbox_items_rev
    WHERE inbox = ?1 AND rev > ?2 ORDER BY rev LIMIT ?3";
pub(crate) const TOMBSTONE_REVS: &str = "SELECT rev FROM tombstones
    WHERE inbox = ?1 AND rev > ?2 ORDER BY rev LIMIT ?3";

pub(crate) const ITEMS: &str =
    "SELECT m.id, i.seq, i.rev, i.delivered_at, i.seen_at, i.read_at, i.archived_at, m.body
    FROM inbox_items i INDEXED BY inbox_items_rev
    CROSS JOIN messages m ON m.number = i.message
    WHERE i.inbox = ?1 AND i.rev > ?2 AND i.rev <= ?3 ORDER BY i.rev";
pub(crate) const TOMBSTONES: &str = "SELECT message_id FROM tombstones
    WHERE inbox = ?1 AND rev > ?2 AND rev <= ?3 ORDER BY rev, message_id";
pub(crate) const NEWEST: &str =
    "SELECT m.id, i.seq, i.rev, i.delivered_at, i.seen_at, i.read_at, i.archived_at, m.body
    FROM inbox_items i CROSS JOIN messages m ON m.number = i.message
    WHERE i.inbox = ?1 AND i.archived = 0 ORDER BY i.seq DESC LIMIT ?2";

/// An answer without rows that takes the client to where the inbox is.
pub(crate) fn nothing(state: InboxState) -> Sync {
    Sync {
        items: Vec::new(),
        removed: Vec::new(),
        read_up_to: state.read_up_to,
        unread: state.unread,
        to: state.rev,
        has_more: false,
        reset: false,
    }
}

pub(crate) fn sync(conn: &Connection, user: &UserId, since: Rev, limit: usize) -> Result<Sync> {
    let Some(inbox) = Inbox::of(conn, user)? else {
        // A rev of an inbox that is not there is of another life of this database.
        return Ok(Sync { reset: since > Rev(0), ..nothing(InboxState::default()) });
    };
    let limit = limit.max(1);
    if since < inbox.state.floor || since > inbox.state.rev {
        return start_over(conn, &inbox, limit);
    }
    let cut = last_whole_rev(conn, &inbox, since, limit)?;
    let to = cut.unwrap_or(inbox.state.rev);
    Ok(Sync {
        items: items(conn, &inbox, since, to)?,
        removed: tombstones(conn, &inbox, since, to)?,
        to,
        has_more: cut.is_some(),
        ..nothing(inbox.state)
    })
}

/// The newest notifications in place of everything that the client holds.
fn start_over(conn: &Connection, inbox: &Inbox, limit: usize) -> Result<Sync> {
    let mut items = newest(conn, NEWEST, inbox, limit + 1)?;
    let has_more = items.len() > limit;
    items.truncate(limit);
    Ok(Sync { items, has_more, reset: true, ..nothing(inbox.state) })
}

/// Runs one of the queries for the newest items of an inbox.
pub(crate) fn newest(
    conn: &Connection,
    query: &str,
    inbox: &Inbox,
    limit: usize,
) -> Result<Vec<Notification>> {
    let mut statement = conn.prepare_cached(query)?;
    let mut found = statement.query((inbox.number, from_limit(limit)))?;
    let mut items = Vec::new();
    while let Some(row) = found.next()? {
        items.push(rows::notification(&inbox.user, row)?);
    }
    Ok(items)
}

/// With more than `limit` rows to tell: the last rev whose rows all find room, or, if the
/// first rev alone has more rows than that, the first. A rev is never told in part.
fn last_whole_rev(
    conn: &Connection,
    inbox: &Inbox,
    since: Rev,
    limit: usize,
) -> Result<Option<Rev>> {
    let mut revs = revs_after(conn, ITEM_REVS, inbox, since, limit + 1)?;
    revs.extend(revs_after(conn, TOMBSTONE_REVS, inbox, since, limit + 1)?);
    revs.sort_unstable();
    let Some(&left_out) = revs.get(limit) else { return Ok(None) };
    let whole = revs.iter().rev().find(|rev| **rev < left_out);
    // `left_out` is the first rev itself when there is none before it.
    Ok(Some(*whole.unwrap_or(&left_out)))
}

fn revs_after(
    conn: &Connection,
    query: &str,
    inbox: &Inbox,
    since: Rev,
    limit: usize,
) -> Result<Vec<Rev>> {
    let mut statement = conn.prepare_cached(query)?;
    let values = (inbox.number, from_rev(since), from_limit(limit));
    let revs = statement.query_map(values, |row| Ok(to_rev(row.get(0)?)))?;
    Ok(revs.collect::<rusqlite::Result<_>>()?)
}

fn items(conn: &Connection, inbox: &Inbox, since: Rev, to: Rev) -> Result<Vec<Notification>> {
    let mut statement = conn.prepare_cached(ITEMS)?;
    let mut found = statement.query((inbox.number, from_rev(since), from_rev(to)))?;
    let mut items = Vec::new();
    while let Some(row) = found.next()? {
        items.push(rows::notification(&inbox.user, row)?);
    }
    // The index has them by rev; within a rev they go by id.
    items.sort_by_key(|notification| (notification.item.rev, notification.item.id));
    Ok(items)
}

fn tombstones(
    conn: &Connection,
    inbox: &Inbox,
    since: Rev,
    to: Rev,
) -> Result<Vec<NotificationId>> {
    let mut statement = conn.prepare_cached(TOMBSTONES)?;
    let values = (inbox.number, from_rev(since), from_rev(to));
    let ids = statement.query_map(values, |row| Ok(to_id(row.get(0)?)))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}
