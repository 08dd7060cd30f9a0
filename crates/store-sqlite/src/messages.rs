//! The body of a notification, stored once for all of its recipients, and its items.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, OptionalExtension};
use tidings_core::{
    ids::{NotificationId, UserId},
    inbox::{ChangeKind, InboxChange},
    notification::{Actor, Item, Message, MessageParts, Notification},
    time::Timestamp,
};

use crate::{
    failure::{Failure, Result},
    inboxes,
    rows::{self, from_count, from_id, from_rev, to_count},
    users,
    writer::Tx,
};

const INSERT: &str = "INSERT INTO messages
        (id, sent_at, expires_at, recipients, body, actor_id, keep_until)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
/// The `sent_at` of what has its own time to go.
const NEVER_OLD: i64 = i64::MAX;
pub(crate) const KNOWN: &str =
    "SELECT m.recipients, EXISTS (SELECT 1 FROM announcements a WHERE a.id = m.id)
    FROM messages m WHERE m.id = ?1";
const DELETE: &str = "DELETE FROM messages WHERE number = ?1";
pub(crate) const HELD: &str = "SELECT EXISTS (SELECT 1 FROM inbox_items WHERE message = ?1)";

const ADD_ITEM: &str =
    "INSERT INTO inbox_items (inbox, seq, rev, message, changed_at, kind, tenant)
    VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6)";

pub(crate) const OF_INBOX: &str =
    "SELECT m.id, i.seq, i.rev, i.delivered_at, i.seen_at, i.read_at, i.archived_at, m.body
    FROM messages m CROSS JOIN inbox_items i INDEXED BY inbox_items_message
        ON i.message = m.number AND i.inbox = ?1
    WHERE m.id = ?2";

/// An inbox holds it, or an announcement may still bring it to one.
pub(crate) const MAY_BE_HELD: &str = "SELECT EXISTS (
        SELECT 1 FROM messages m CROSS JOIN inbox_items i ON i.message = m.number WHERE m.id = ?1
    ) OR EXISTS (
        SELECT 1 FROM announcements WHERE id = ?1 AND finished_at IS NULL
    )";

/// A message with its number, ready to go into inboxes.
pub(crate) struct Stored {
    pub(crate) number: i64,
    pub(crate) message: Arc<Message>,
}

/// What became of a message that was accepted before.
pub(crate) struct Known {
    pub(crate) recipients: u64,
    pub(crate) announced: bool,
}

/// An id names one message, accepted once as a whole: who sends it again adds nothing.
pub(crate) fn known(conn: &Connection, id: NotificationId) -> Result<Option<Known>> {
    let mut statement = conn.prepare_cached(KNOWN)?;
    let known = statement.query_row([from_id(&id)], |row| {
        Ok(Known { recipients: to_count(row.get(0)?), announced: row.get(1)? })
    });
    Ok(known.optional()?)
}

/// Stores the body, with the actor as the users table knows it now.
pub(crate) fn insert(
    tx: &Tx<'_>,
    message: Message,
    sent_at: Timestamp,
    keep_for: Option<Duration>,
    recipients: u64,
) -> Result<Stored> {
    let message = with_actor(tx.conn, message)?;
    let keep_until = keep_for.map(|duration| sent_at.plus(duration).as_millis());
    let body = serde_json::to_string(&message).map_err(Failure::corrupt)?;
    tx.conn.prepare_cached(INSERT)?.execute((
        from_id(&message.id),
        keep_until.map_or(sent_at.as_millis(), |_| NEVER_OLD),
        message.expires_at.map(Timestamp::as_millis),
        from_count(recipients),
        body,
        message.actor_id.as_ref().map(UserId::as_str),
        keep_until,
    ))?;
    Ok(Stored { number: tx.conn.last_insert_rowid(), message: Arc::new(message) })
}

fn with_actor(conn: &Connection, message: Message) -> Result<Message> {
    let Some(actor_id) = &message.actor_id else { return Ok(message) };
    let Some(user) = users::find(conn, actor_id)? else { return Ok(message) };
    let actor = Actor { id: user.id, name: user.name, avatar_url: user.avatar_url };
    // Made anew: a message may have cached its JSON, which has no actor.
    Ok(Message::from(MessageParts {
        id: message.id,
        kind: message.kind,
        actor: Some(actor),
        actor_id: message.actor_id,
        entity_type: message.entity_type,
        entity_id: message.entity_id,
        tenant: message.tenant,
        title: message.title,
        message: message.message,
        data: message.data,
        actions: message.actions,
        priority: message.priority,
        group_key: message.group_key,
        collapse_key: message.collapse_key,
        trace_id: message.trace_id,
        created_at: message.created_at,
        expires_at: message.expires_at,
    }))
}

/// Puts a message into one inbox: it takes the next value of the user's counter, which is the
/// item's `seq` and its first `rev`. Returns the inbox's number.
pub(crate) fn add_item(
    tx: &mut Tx<'_>,
    stored: &Stored,
    user: &UserId,
    now: Timestamp,
) -> Result<i64> {
    let place = inboxes::make_place(tx, user, now)?;
    tx.conn.prepare_cached(ADD_ITEM)?.execute((
        place.inbox,
        from_rev(place.seq),
        stored.number,
        place.changed_at.as_millis(),
        &stored.message.kind,
        &stored.message.tenant,
    ))?;
    tx.emit(InboxChange {
        user: user.clone(),
        rev: place.seq,
        unread: place.unread,
        at: now,
        kind: ChangeKind::Added {
            message: stored.message.clone(),
            item: Item::new(stored.message.id, place.seq),
        },
    });
    Ok(place.inbox)
}

/// Deletes a body that no inbox holds.
pub(crate) fn delete(tx: &Tx<'_>, number: i64) -> Result<()> {
    tx.conn.prepare_cached(DELETE)?.execute([number])?;
    Ok(())
}

pub(crate) fn is_held(conn: &Connection, number: i64) -> Result<bool> {
    Ok(conn.prepare_cached(HELD)?.query_row([number], |row| row.get(0))?)
}

pub(crate) fn notification(
    conn: &Connection,
    user: &UserId,
    id: NotificationId,
) -> Result<Option<Notification>> {
    let Some(inbox) = inboxes::number_of(conn, user)? else { return Ok(None) };
    let mut statement = conn.prepare_cached(OF_INBOX)?;
    let mut found = statement.query((inbox, from_id(&id)))?;
    found.next()?.map(|row| rows::notification(user, row)).transpose()
}

pub(crate) fn exists(conn: &Connection, id: NotificationId) -> Result<bool> {
    let mut statement = conn.prepare_cached(MAY_BE_HELD)?;
    Ok(statement.query_row([from_id(&id)], |row| row.get(0))?)
}
