//! Taking items out of inboxes: the row goes, a tombstone with the rev of the removal stays, so
//! that a client which was away is told.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};
use tidings_core::{
    ids::{NotificationId, Rev},
    inbox::ChangeKind,
    notification::Item,
    time::Timestamp,
};

use crate::{
    failure::{Failure, Result},
    inboxes::Inbox,
    rows::{from_id, from_limit, from_rev, to_id, to_rev},
    writer::Tx,
};

const DELETE: &str = "DELETE FROM inbox_items WHERE inbox = ?1 AND archived = ?2 AND seq = ?3";
const BURY: &str = "INSERT INTO tombstones (inbox, rev, message_id, deleted_at)
    VALUES (?1, ?2, ?3, ?4)";
pub(crate) const HOLDERS: &str = "SELECT m.id, i.seq, i.archived, i.read_at IS NULL, i.inbox
    FROM messages m CROSS JOIN inbox_items i INDEXED BY inbox_items_message
        ON i.message = m.number
    WHERE m.number = ?1 ORDER BY i.inbox LIMIT ?2";

/// An item that is to go.
#[derive(Debug, Clone)]
pub(crate) struct Doomed {
    pub(crate) id: NotificationId,
    seq: Rev,
    archived: bool,
    unread: bool,
}

impl Doomed {
    /// From `m.id, i.seq, i.archived, i.read_at IS NULL`.
    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let archived: bool = row.get(2)?;
        let never_read: bool = row.get(3)?;
        let unread = never_read && !archived;
        Ok(Self { id: to_id(row.get(0)?), seq: to_rev(row.get(1)?), archived, unread })
    }
}

impl From<&Item> for Doomed {
    fn from(item: &Item) -> Self {
        Self {
            id: item.id,
            seq: item.seq,
            archived: item.archived_at.is_some(),
            unread: item.counts_as_unread(),
        }
    }
}

/// Items to be removed, by the number of their inbox.
pub(crate) type ByInbox = BTreeMap<i64, Vec<Doomed>>;

/// Removes items of one inbox as one change.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    inbox: &mut Inbox,
    items: &[Doomed],
    now: Timestamp,
) -> Result<()> {
    bury(tx, inbox, items, now)?;
    inbox.save(tx)?;
    inbox.emit(tx, ChangeKind::Removed(items.iter().map(|item| item.id).collect()));
    Ok(())
}

/// Takes a rev, deletes the items and leaves their tombstones; the caller saves the inbox.
pub(crate) fn bury(tx: &Tx<'_>, inbox: &mut Inbox, items: &[Doomed], now: Timestamp) -> Result<()> {
    let rev = from_rev(inbox.take_rev(now));
    let at = inbox.changed_at.as_millis();
    let mut delete = tx.conn.prepare_cached(DELETE)?;
    let mut bury = tx.conn.prepare_cached(BURY)?;
    for item in items {
        delete.execute((inbox.number, item.archived, from_rev(item.seq)))?;
        bury.execute((inbox.number, rev, from_id(&item.id), at))?;
        inbox.state.unread -= u64::from(item.unread);
    }
    Ok(())
}

/// Removes items of many inboxes: one change, and so one rev, for each inbox.
pub(crate) fn remove_from_all(tx: &mut Tx<'_>, doomed: &ByInbox, now: Timestamp) -> Result<()> {
    for (number, items) in doomed {
        let missing = || Failure::Corrupt(format!("items of inbox {number}, which is not there"));
        let mut inbox = Inbox::numbered(tx.conn, *number)?.ok_or_else(missing)?;
        remove(tx, &mut inbox, items, now)?;
    }
    Ok(())
}

/// Adds up to `limit` items of a message to `doomed`, and says how many.
pub(crate) fn collect_holders(
    conn: &Connection,
    message: i64,
    limit: usize,
    doomed: &mut ByInbox,
) -> Result<usize> {
    let mut statement = conn.prepare_cached(HOLDERS)?;
    let mut rows = statement.query((message, from_limit(limit)))?;
    let mut found = 0;
    while let Some(row) = rows.next()? {
        doomed.entry(row.get(4)?).or_default().push(Doomed::from_row(row)?);
        found += 1;
    }
    Ok(found)
}
