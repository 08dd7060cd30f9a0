//! Rows of the database as values of the domain, and back.

use std::sync::Arc;

use rusqlite::Row;
use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    notification::{Item, Message, Notification},
    time::Timestamp,
};
use uuid::Uuid;

use crate::failure::{Failure, Result};

/// SQLite's integers are signed. A rev beyond them is beyond every inbox, and stays so.
pub(crate) fn from_rev(rev: Rev) -> i64 {
    i64::try_from(rev.0).unwrap_or(i64::MAX)
}

pub(crate) fn to_rev(stored: i64) -> Rev {
    Rev(to_count(stored))
}

pub(crate) fn to_count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

pub(crate) fn from_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A `usize` that bounds something (LIMIT, OFFSET).
pub(crate) fn from_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(crate) fn to_time(stored: i64) -> Timestamp {
    Timestamp::from_millis(stored)
}

pub(crate) fn from_id(id: &NotificationId) -> &[u8] {
    id.0.as_bytes()
}

pub(crate) fn to_id(stored: [u8; 16]) -> NotificationId {
    NotificationId(Uuid::from_bytes(stored))
}

pub(crate) fn to_user(stored: &str) -> Result<UserId> {
    UserId::new(stored).map_err(|bad| Failure::Corrupt(format!("user id {stored:?} {bad}")))
}

fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(to_time))
}

/// How many columns [`item`] reads. They come in this order:
/// `m.id, i.seq, i.rev, i.delivered_at, i.seen_at, i.read_at, i.archived_at`.
const ITEM_COLUMNS: usize = 7;

/// The item at the start of a row.
pub(crate) fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item {
        id: to_id(row.get(0)?),
        seq: to_rev(row.get(1)?),
        rev: to_rev(row.get(2)?),
        delivered_at: optional_time(row, 3)?,
        seen_at: optional_time(row, 4)?,
        read_at: optional_time(row, 5)?,
        archived_at: optional_time(row, 6)?,
    })
}

/// An item's columns, then the body of its message.
pub(crate) fn notification(recipient: &UserId, row: &Row<'_>) -> Result<Notification> {
    let item = item(row)?;
    let message = Arc::new(body(row.get_ref(ITEM_COLUMNS)?.as_str().map_err(Failure::corrupt)?)?);
    Ok(Notification { recipient: recipient.clone(), item, message })
}

pub(crate) fn body(json: &str) -> Result<Message> {
    serde_json::from_str(json)
        .map_err(|error| Failure::Corrupt(format!("the body of a message: {error}")))
}
