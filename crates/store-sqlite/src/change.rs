//! What users do to their inboxes. Each operation that changes anything takes exactly one rev
//! for all the items that it touches; one that changes nothing takes none and tells nobody.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};
use tidings_core::{
    ids::{NotificationId, UserId},
    inbox::{
        ChangeKind, InboxOp, InboxState, OpOutcome,
        transition::{self, Transition},
    },
    notification::Item,
    time::Timestamp,
};

use crate::{
    failure::Result,
    inboxes::Inbox,
    removal::{self, Doomed},
    rows::{self, from_id, from_rev},
    watermark,
    writer::{Tx, Weight},
};

pub(crate) const FIND: &str =
    "SELECT m.id, i.seq, i.rev, i.delivered_at, i.seen_at, i.read_at, i.archived_at
    FROM messages m CROSS JOIN inbox_items i INDEXED BY inbox_items_message
        ON i.message = m.number AND i.inbox = ?1
    WHERE m.id = ?2";

const MARK: &str = "UPDATE inbox_items
    SET rev = ?4, changed_at = ?5, seen_at = ?6, read_at = ?7
    WHERE inbox = ?1 AND archived = ?2 AND seq = ?3";

/// Apart from MARK because `archived` is part of the key: setting it moves the row and rewrites
/// its entry in every index.
const MOVE: &str = "UPDATE inbox_items
    SET rev = ?4, changed_at = ?5, archived_at = ?6, archived = ?6 IS NOT NULL
    WHERE inbox = ?1 AND archived = ?2 AND seq = ?3";

fn ids_of(op: &InboxOp) -> &[NotificationId] {
    match op {
        InboxOp::Read(ids)
        | InboxOp::Unread(ids)
        | InboxOp::Seen(ids)
        | InboxOp::Archive(ids)
        | InboxOp::Unarchive(ids)
        | InboxOp::Delete(ids) => ids,
        InboxOp::ReadAll { .. } | InboxOp::Clear { .. } => &[],
    }
}

pub(crate) fn weight(op: &InboxOp) -> Weight {
    let ids = ids_of(op).len();
    Weight { rows: 1 + ids, bytes: 256 + 16 * ids }
}

pub(crate) fn change(
    tx: &mut Tx<'_>,
    user: &UserId,
    op: InboxOp,
    now: Timestamp,
) -> Result<OpOutcome> {
    let Some(inbox) = Inbox::of(tx.conn, user)? else {
        return Ok(nothing_there(&op));
    };
    match op {
        InboxOp::Read(ids) => mark(tx, inbox, &ids, transition::read, now),
        InboxOp::Unread(ids) => mark(tx, inbox, &ids, transition::unread, now),
        InboxOp::Seen(ids) => mark(tx, inbox, &ids, transition::seen, now),
        InboxOp::Archive(ids) => mark(tx, inbox, &ids, transition::archive, now),
        InboxOp::Unarchive(ids) => mark(tx, inbox, &ids, transition::unarchive, now),
        InboxOp::Delete(ids) => delete(tx, inbox, &ids, now),
        InboxOp::ReadAll { up_to } => watermark::read_all(tx, inbox, up_to, now),
        InboxOp::Clear { up_to } => watermark::clear(tx, inbox, up_to, now),
    }
}

/// The outcome for a user who never had a notification.
fn nothing_there(op: &InboxOp) -> OpOutcome {
    let missing = ids_of(op).iter().collect::<HashSet<_>>().len();
    OpOutcome { state: InboxState::default(), changed: 0, missing: missing as u64 }
}

/// The items of these ids, each once, and how many of the ids are not in this inbox.
fn find(conn: &Connection, inbox: &Inbox, ids: &[NotificationId]) -> Result<(Vec<Item>, u64)> {
    let mut statement = conn.prepare_cached(FIND)?;
    let mut seen = HashSet::with_capacity(ids.len());
    let mut items = Vec::with_capacity(ids.len());
    let mut missing = 0;
    for id in ids.iter().filter(|id| seen.insert(**id)) {
        match statement.query_row((inbox.number, from_id(id)), rows::item).optional()? {
            Some(item) => items.push(item),
            None => missing += 1,
        }
    }
    Ok((items, missing))
}

/// Applies one rule to some items. Unread counts what is neither read nor archived: whatever
/// the rule changes of that, the counter follows in the same transaction.
fn mark(
    tx: &mut Tx<'_>,
    mut inbox: Inbox,
    ids: &[NotificationId],
    rule: Transition,
    now: Timestamp,
) -> Result<OpOutcome> {
    let (items, missing) = find(tx.conn, &inbox, ids)?;
    let changed: Vec<_> =
        items.into_iter().filter_map(|old| rule(&old, now).map(|new| (old, new))).collect();
    if changed.is_empty() {
        return Ok(OpOutcome { state: inbox.state, changed: 0, missing });
    }
    let rev = inbox.take_rev(now);
    let mut updated = Vec::with_capacity(changed.len());
    for (old, mut new) in changed {
        new.rev = rev;
        write(tx, &inbox, &old, &new)?;
        inbox.state.unread += u64::from(new.counts_as_unread());
        inbox.state.unread -= u64::from(old.counts_as_unread());
        updated.push(new);
    }
    inbox.save(tx)?;
    let changed = updated.len() as u64;
    inbox.emit(tx, ChangeKind::Updated(updated));
    Ok(OpOutcome { state: inbox.state, changed, missing })
}

fn write(tx: &Tx<'_>, inbox: &Inbox, old: &Item, new: &Item) -> Result<()> {
    let ms = |time: Option<Timestamp>| time.map(Timestamp::as_millis);
    let key = (inbox.number, old.archived_at.is_some(), from_rev(old.seq));
    let rev = from_rev(new.rev);
    let at = inbox.changed_at.as_millis();
    if old.archived_at == new.archived_at {
        let values = (key.0, key.1, key.2, rev, at, ms(new.seen_at), ms(new.read_at));
        tx.conn.prepare_cached(MARK)?.execute(values)?;
    } else {
        let values = (key.0, key.1, key.2, rev, at, ms(new.archived_at));
        tx.conn.prepare_cached(MOVE)?.execute(values)?;
    }
    Ok(())
}

fn delete(
    tx: &mut Tx<'_>,
    mut inbox: Inbox,
    ids: &[NotificationId],
    now: Timestamp,
) -> Result<OpOutcome> {
    let (items, missing) = find(tx.conn, &inbox, ids)?;
    let doomed: Vec<_> = items.iter().map(Doomed::from).collect();
    if !doomed.is_empty() {
        removal::remove(tx, &mut inbox, &doomed, now)?;
    }
    Ok(OpOutcome { state: inbox.state, changed: doomed.len() as u64, missing })
}
