//! Expiry and retention by rows: notifications whose time has come go, a change like a
//! deletion. (Months that go whole are in [`months`](crate::months).)

use std::collections::HashMap;

use tidings_core::{announcement::AnnouncementState, time::Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{announcements, failure::Result, lane::Tx, messages, removal, rows::from_limit, sql};

pub(crate) const EXPIRED: &str = "SELECT id FROM messages
    WHERE expires_at IS NOT NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2";
pub(crate) const OLD: &str = "SELECT id FROM messages
    WHERE sent_at < $1 ORDER BY sent_at LIMIT $2";
pub(crate) const OUTLIVED: &str = "SELECT id FROM messages
    WHERE keep_until IS NOT NULL AND keep_until <= $1 ORDER BY keep_until LIMIT $2";
/// Another node that is at it already keeps what it has.
const TAKE: &str = "SELECT m.id FROM unnest($1::uuid[]) WITH ORDINALITY w (id, place)
    JOIN messages m ON m.id = w.id ORDER BY w.place FOR UPDATE OF m SKIP LOCKED";

pub(crate) async fn expire(tx: &mut Tx, now: Timestamp, limit: usize) -> Result<u64> {
    Ok(sweep(tx, EXPIRED, now, now, limit).await?.rows)
}

/// Counts from when a message went out: one that was written long ahead is not old yet. First
/// goes what has a time of its own.
pub(crate) async fn retain(
    tx: &mut Tx,
    before: Timestamp,
    now: Timestamp,
    limit: usize,
) -> Result<u64> {
    let mut swept = sweep(tx, OUTLIVED, now, now, limit).await?;
    if swept.rows == 0 {
        swept = sweep(tx, OLD, before, now, limit).await?;
    }
    announcements::delete(&tx.conn, &swept.gone).await?;
    Ok(swept.rows)
}

#[derive(Default)]
struct Swept {
    /// Items that were removed, and bodies that no inbox held any more when they were found.
    rows: u64,
    /// Messages of which nothing is left.
    gone: Vec<Uuid>,
}

/// Removes up to `limit` items of the messages that `query` finds, and the bodies that no inbox
/// holds then. Each user affected gets one change, whatever number of items it takes.
async fn sweep(
    tx: &mut Tx,
    query: &str,
    at: Timestamp,
    now: Timestamp,
    limit: usize,
) -> Result<Swept> {
    let found = sql::rows(&tx.conn, query, &[&at.as_millis(), &from_limit(limit)]).await?;
    let found = ids(&found)?;
    if found.is_empty() {
        return Ok(Swept::default());
    }
    announcements::lock(&tx.conn, &found).await?;
    let taken = ids(&sql::rows(&tx.conn, TAKE, &[&found]).await?)?;
    let (visited, holders, rows) =
        as_many_as(limit, taken, removal::holders(tx, &found, limit).await?);
    removal::remove(tx, holders, now).await?;
    announcements::stop(&tx.conn, &visited, AnnouncementState::Done, now).await?;
    let gone = ids(&sql::rows(&tx.conn, messages::DELETE_UNHELD, &[&visited]).await?)?;
    Ok(Swept { rows: rows as u64, gone })
}

/// Of the messages, as many as have `limit` rows together. A body alone is a row too, or a call
/// that finds only such would say that it is done.
fn as_many_as(
    limit: usize,
    messages: Vec<Uuid>,
    holders: Vec<(Uuid, i64)>,
) -> (Vec<Uuid>, Vec<(Uuid, i64)>, usize) {
    let mut of_message = HashMap::<Uuid, Vec<i64>>::new();
    for (id, inbox) in holders {
        of_message.entry(id).or_default().push(inbox);
    }
    let (mut visited, mut taken, mut left) = (Vec::new(), Vec::new(), limit);
    for id in messages {
        if left == 0 {
            break;
        }
        let mut inboxes = of_message.remove(&id).unwrap_or_default();
        inboxes.truncate(left);
        left -= inboxes.len().max(1);
        taken.extend(inboxes.into_iter().map(|inbox| (id, inbox)));
        visited.push(id);
    }
    (visited, taken, limit - left)
}

fn ids(rows: &[Row]) -> Result<Vec<Uuid>> {
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
