//! Items as rows, and rows as items.

use std::sync::Arc;

use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    notification::{Item, Message, Notification},
    time::Timestamp,
};
use tokio_postgres::Row;

use crate::{
    failure::{Failure, Result},
    rows::{to_count, to_time},
};

/// The columns that [`item`] and [`notification`] read, of an item `i`.
macro_rules! item_columns {
    () => {
        "i.message_id, i.seq, i.rev, i.delivered_at, i.seen_at, i.read_at, i.archived_at"
    };
}
pub(crate) use item_columns;

/// A body for each item of `i`. OFFSET 0 keeps the planner from turning the lookup of some
/// twenty bodies by their keys into a join of two large tables.
macro_rules! with_bodies {
    ($items:expr) => {
        concat!(
            "SELECT ",
            crate::items::item_columns!(),
            ", m.body FROM (",
            $items,
            ") i CROSS JOIN LATERAL (SELECT body FROM messages WHERE id = i.message_id OFFSET 0) m"
        )
    };
}
pub(crate) use with_bodies;

const ITEM_COLUMNS: usize = 7;

/// A rev beyond PostgreSQL's integers is beyond every inbox, and stays so.
pub(crate) fn from_rev(rev: Rev) -> i64 {
    i64::try_from(rev.0).unwrap_or(i64::MAX)
}

pub(crate) fn to_rev(stored: i64) -> Rev {
    Rev(to_count(stored))
}

pub(crate) fn to_millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millis)
}

/// The item at the start of a row.
pub(crate) fn item(row: &Row) -> Result<Item> {
    let time = |column| -> Result<_> { Ok(row.try_get::<_, Option<i64>>(column)?.map(to_time)) };
    Ok(Item {
        id: NotificationId(row.try_get(0)?),
        seq: to_rev(row.try_get(1)?),
        rev: to_rev(row.try_get(2)?),
        delivered_at: time(3)?,
        seen_at: time(4)?,
        read_at: time(5)?,
        archived_at: time(6)?,
    })
}

/// An item's columns, then the body of its message.
pub(crate) fn notification(recipient: &UserId, row: &Row) -> Result<Notification> {
    let message = Arc::new(body(row.try_get(ITEM_COLUMNS)?)?);
    Ok(Notification { recipient: recipient.clone(), item: item(row)?, message })
}

pub(crate) fn notifications(recipient: &UserId, rows: &[Row]) -> Result<Vec<Notification>> {
    rows.iter().map(|row| notification(recipient, row)).collect()
}

pub(crate) fn body(json: &str) -> Result<Message> {
    serde_json::from_str(json)
        .map_err(|error| Failure::Corrupt(format!("the body of a message: {error}")))
}
