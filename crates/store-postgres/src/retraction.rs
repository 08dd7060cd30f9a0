//! Taking a message back: out of the inboxes in batches, and its body when none holds it.

use tidings_core::{
    announcement::AnnouncementState, ids::NotificationId, ports::Retracted, time::Timestamp,
};

use crate::{
    announcements, connection::Connection, failure::Result, lane::Tx, messages, removal,
    rows::from_limit, sql,
};

const RETRACT: &str = "UPDATE messages SET retracted_at = coalesce(retracted_at, $2) WHERE id = $1";
const LOCK_RETRACTED: &str =
    "SELECT 1 FROM messages WHERE id = $1 AND retracted_at IS NOT NULL FOR NO KEY UPDATE";
/// A retracted message goes with its last item: what is here has work left.
pub(crate) const DUE: &str = "SELECT id FROM messages
    WHERE retracted_at IS NOT NULL ORDER BY retracted_at LIMIT $1";

pub(crate) async fn retract(
    tx: &mut Tx,
    id: NotificationId,
    batch: usize,
    now: Timestamp,
) -> Result<Option<Retracted>> {
    // Before the message: see the lock order in `lane`.
    announcements::lock(&tx.conn, &[id.0]).await?;
    if sql::execute(&tx.conn, RETRACT, &[&id.0, &now.as_millis()]).await? == 0 {
        return Ok(None);
    }
    announcements::stop(&tx.conn, &[id.0], AnnouncementState::Cancelled, now).await?;
    remove_batch(tx, id, batch, now).await.map(Some)
}

pub(crate) async fn advance(
    tx: &mut Tx,
    id: NotificationId,
    batch: usize,
    now: Timestamp,
) -> Result<Retracted> {
    match sql::row(&tx.conn, LOCK_RETRACTED, &[&id.0]).await? {
        Some(_) => remove_batch(tx, id, batch, now).await,
        None => Ok(Retracted { removed: 0, more: false }),
    }
}

pub(crate) async fn due(conn: &Connection, limit: usize) -> Result<Vec<NotificationId>> {
    let rows = sql::rows(conn, DUE, &[&from_limit(limit)]).await?;
    rows.iter().map(|row| Ok(NotificationId(row.try_get(0)?))).collect()
}

async fn remove_batch(
    tx: &mut Tx,
    id: NotificationId,
    batch: usize,
    now: Timestamp,
) -> Result<Retracted> {
    let holders = removal::holders(tx, &[id.0], batch.max(1)).await?;
    let removed = removal::remove(tx, holders, now).await?;
    let unheld = sql::rows(&tx.conn, messages::DELETE_UNHELD, &[&[id.0].as_slice()]).await?;
    Ok(Retracted { removed: removed as u64, more: unheld.is_empty() })
}
