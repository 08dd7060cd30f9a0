//! Dedupe keys: within 24 hours a user gets one notification for one key.

use rusqlite::{Connection, OptionalExtension};
use tidings_core::{
    idempotency::KEPT,
    ids::{NotificationId, UserId},
    time::Timestamp,
};

use crate::{
    failure::Result,
    rows::{from_id, to_id},
    writer::Tx,
};

pub(crate) const FIND: &str = "SELECT d.message_id FROM inboxes b
    CROSS JOIN dedupe d ON d.inbox = b.number AND d.key = ?2 AND d.created_at > ?3
    WHERE b.user_id = ?1";
const SAVE: &str = "INSERT INTO dedupe (inbox, key, message_id, created_at)
    VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (inbox, key) DO UPDATE SET message_id = excluded.message_id,
        created_at = excluded.created_at";

/// The notification that this user already has for this key.
pub(crate) fn find(
    conn: &Connection,
    user: &UserId,
    key: &str,
    now: Timestamp,
) -> Result<Option<NotificationId>> {
    let oldest = now.minus(KEPT).as_millis();
    let found: Option<[u8; 16]> = conn
        .prepare_cached(FIND)?
        .query_row((user.as_str(), key, oldest), |row| row.get(0))
        .optional()?;
    Ok(found.map(to_id))
}

pub(crate) fn save(
    tx: &Tx<'_>,
    inbox: i64,
    key: &str,
    id: NotificationId,
    now: Timestamp,
) -> Result<()> {
    tx.conn.prepare_cached(SAVE)?.execute((inbox, key, from_id(&id), now.as_millis()))?;
    Ok(())
}
