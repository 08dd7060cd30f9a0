//! Taking items out of inboxes: the row goes, a tombstone with the rev of the removal stays, so
//! that a client which was away is told.

use std::collections::BTreeMap;

use tidings_core::{ids::NotificationId, inbox::ChangeKind, time::Timestamp};
use uuid::Uuid;

use crate::{
    books::Buried,
    failure::Result,
    inboxes::{self, Inbox},
    lane::Tx,
    rows::from_limit,
    sql,
};

/// The next items of these messages, some of each in turn of their ids.
pub(crate) const HOLDERS: &str = "SELECT i.message_id, i.inbox
    FROM unnest($1::uuid[]) WITH ORDINALITY w (id, place)
    CROSS JOIN LATERAL (SELECT message_id, inbox FROM inbox_items
        WHERE message_id = w.id ORDER BY inbox LIMIT $2) i
    LIMIT $2";
/// Of these, what is still there now that the inboxes are locked.
pub(crate) const STILL_THERE: &str =
    "SELECT i.message_id, i.inbox, i.archived_at IS NULL AND i.read_at IS NULL
    FROM unnest($1::uuid[], $2::bigint[]) w (id, inbox)
    CROSS JOIN LATERAL (SELECT * FROM inbox_items
        WHERE message_id = w.id AND inbox = w.inbox OFFSET 0) i
    ORDER BY i.seq";

/// An item that is to go.
#[derive(Debug, Clone)]
pub(crate) struct Doomed {
    pub(crate) id: NotificationId,
    /// It counts as unread.
    pub(crate) unread: bool,
}

/// Items that go in one transaction.
#[derive(Default)]
pub(crate) struct Gone(Buried);

impl Gone {
    /// Items of one inbox, by one rev of it; the caller saves the inbox.
    pub(crate) fn add(&mut self, inbox: &mut Inbox, items: &[Doomed], now: Timestamp) {
        inbox.take_rev(now);
        for item in items {
            self.0.push(inbox, item.id);
            inbox.state.unread -= u64::from(item.unread);
        }
    }

    pub(crate) async fn write(&self, tx: &Tx) -> Result<()> {
        self.0.delete(&tx.conn).await?;
        self.0.bury(&tx.conn).await?;
        Ok(())
    }
}

/// Up to `limit` items of these messages, as inboxes hold them now.
pub(crate) async fn holders(tx: &Tx, messages: &[Uuid], limit: usize) -> Result<Vec<(Uuid, i64)>> {
    let rows = sql::rows(&tx.conn, HOLDERS, &[&messages, &from_limit(limit)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Removes these items: one change, and so one rev, for each inbox. Returns how many went. The
/// caller holds the messages and their announcements.
pub(crate) async fn remove(
    tx: &mut Tx,
    holders: Vec<(Uuid, i64)>,
    now: Timestamp,
) -> Result<usize> {
    if holders.is_empty() {
        return Ok(0);
    }
    let (ids, numbers): (Vec<_>, Vec<_>) = holders.into_iter().unzip();
    let mut inboxes = inboxes::lock_numbered(&tx.conn, &numbers).await?;
    let mut doomed = BTreeMap::<i64, Vec<Doomed>>::new();
    for row in sql::rows(&tx.conn, STILL_THERE, &[&ids, &numbers]).await? {
        let item = Doomed { id: NotificationId(row.try_get(0)?), unread: row.try_get(2)? };
        doomed.entry(row.try_get(1)?).or_default().push(item);
    }
    // An inbox without its row is of a user who was erased just now.
    inboxes.retain(|number, _| doomed.contains_key(number));
    let mut gone = Gone::default();
    let mut removed = 0;
    for inbox in inboxes.values_mut() {
        let Some(items) = doomed.get(&inbox.number) else { continue };
        gone.add(inbox, items, now);
        removed += items.len();
        tx.emit(inbox.changed(ChangeKind::Removed(items.iter().map(|item| item.id).collect())));
    }
    gone.write(tx).await?;
    inboxes::save(&tx.conn, &inboxes.values().collect::<Vec<_>>()).await?;
    Ok(removed)
}
