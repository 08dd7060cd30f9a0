//! The body of a notification, stored once for all of its recipients.

use tidings_core::{
    ids::{NotificationId, UserId},
    notification::{Actor, Message, MessageParts, Notification},
};

use crate::{
    connection::Connection,
    failure::{Failure, Result},
    items::{self, item_columns},
    sql,
};

pub(crate) const KNOWN: &str =
    "SELECT m.id, m.recipients, EXISTS (SELECT 1 FROM announcements a WHERE a.id = m.id)
    FROM messages m WHERE m.id = ANY($1::uuid[])";
pub(crate) const ACTORS: &str = "SELECT id, name, avatar_url FROM users WHERE id = ANY($1::text[])";
/// Of these messages, those that no inbox holds.
pub(crate) const DELETE_UNHELD: &str = "DELETE FROM messages m
    WHERE m.id = ANY($1::uuid[])
        AND NOT EXISTS (SELECT 1 FROM inbox_items i WHERE i.message_id = m.id)
    RETURNING m.id";

pub(crate) const OF_INBOX: &str = concat!(
    "SELECT ",
    item_columns!(),
    ", m.body FROM inboxes b
    CROSS JOIN LATERAL (SELECT * FROM inbox_items
        WHERE message_id = $2 AND inbox = b.number OFFSET 0) i
    CROSS JOIN LATERAL (SELECT body FROM messages WHERE id = $2 OFFSET 0) m
    WHERE b.user_id = $1"
);

/// An inbox holds it, or an announcement may still bring it to one.
pub(crate) const MAY_BE_HELD: &str = "SELECT EXISTS (
        SELECT 1 FROM inbox_items WHERE message_id = $1
    ) OR EXISTS (
        SELECT 1 FROM announcements WHERE id = $1 AND finished_at IS NULL
    )";

/// What became of a message that was accepted before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) recipients: u64,
    pub(crate) announced: bool,
}

pub(crate) fn encode(message: &Message) -> Result<String> {
    serde_json::to_string(message).map_err(Failure::corrupt)
}

/// The message with its actor as the users table knows it now. Made anew: a message may have
/// cached its JSON, which has no actor.
pub(crate) fn with_actor(message: &Message, actor: Actor) -> Message {
    let m = message.clone();
    Message::from(MessageParts {
        id: m.id,
        kind: m.kind,
        actor: Some(actor),
        actor_id: m.actor_id,
        entity_type: m.entity_type,
        entity_id: m.entity_id,
        tenant: m.tenant,
        title: m.title,
        message: m.message,
        data: m.data,
        actions: m.actions,
        priority: m.priority,
        group_key: m.group_key,
        collapse_key: m.collapse_key,
        trace_id: m.trace_id,
        created_at: m.created_at,
        expires_at: m.expires_at,
    })
}

pub(crate) async fn notification(
    conn: &Connection,
    user: &UserId,
    id: NotificationId,
) -> Result<Option<Notification>> {
    let found = sql::row(conn, OF_INBOX, &[&user.as_str(), &id.0]).await?;
    found.map(|row| items::notification(user, &row)).transpose()
}

pub(crate) async fn exists(conn: &Connection, id: NotificationId) -> Result<bool> {
    let row = sql::row(conn, MAY_BE_HELD, &[&id.0]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}
