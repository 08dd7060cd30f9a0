//! Acknowledgements: what reached a device. They take no rev and are heard by nobody.

use rusqlite::Connection;
use tidings_core::{
    ids::{DeviceId, Rev, UserId},
    inbox::Device,
    time::Timestamp,
};

use crate::{
    failure::{Failure, Result},
    inboxes::Inbox,
    open,
    rows::{from_rev, to_rev, to_time},
    writer::Tx,
};

/// Cursors kept for one user; one more takes the place of the least recently moved one.
const MOST_DEVICES: i64 = 20;

/// Only what lies above the last acknowledgement: each item is looked at once.
pub(crate) const DELIVER: &str = "UPDATE inbox_items SET delivered_at = ?4
    WHERE inbox = ?1 AND archived IN (0, 1) AND seq > ?2 AND seq <= ?3 AND delivered_at IS NULL";
const DELIVERED: &str = "UPDATE inboxes SET delivered_up_to = ?2 WHERE number = ?1";
const MOVE_CURSOR: &str = "INSERT INTO devices (inbox, id, cursor, used_at)
    VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (inbox, id) DO UPDATE SET cursor = max(cursor, excluded.cursor),
        used_at = max(used_at, excluded.used_at)";
const FORGET_OTHERS: &str = "DELETE FROM devices WHERE inbox = ?1 AND id IN (
    SELECT id FROM devices WHERE inbox = ?1 AND id <> ?2
    ORDER BY used_at DESC, cursor DESC, id LIMIT -1 OFFSET ?3)";

const DEVICES: &str = "SELECT d.id, d.cursor, d.used_at
    FROM inboxes b CROSS JOIN devices d ON d.inbox = b.number WHERE b.user_id = ?1 ORDER BY d.id";

pub(crate) fn devices(conn: &Connection, user: &UserId) -> Result<Vec<Device>> {
    let mut statement = conn.prepare_cached(DEVICES)?;
    let mut rows = statement.query([user.as_str()])?;
    let mut devices = Vec::new();
    while let Some(row) = rows.next()? {
        let id = DeviceId::new(row.get::<_, String>(0)?).map_err(Failure::corrupt)?;
        let (cursor, used_at) = (to_rev(row.get(1)?), to_time(row.get(2)?));
        devices.push(Device { id, cursor, used_at });
    }
    Ok(devices)
}

/// Whether there is anything to write: most acknowledgements repeat what another device said.
pub(crate) fn is_news(
    conn: &Connection,
    user: &UserId,
    device: Option<&DeviceId>,
    up_to: Rev,
) -> Result<bool> {
    // Without an inbox nothing was ever delivered.
    let Some(inbox) = Inbox::of(conn, user)? else { return Ok(false) };
    let up_to = up_to.min(inbox.state.rev);
    if up_to > inbox.delivered_up_to {
        return Ok(true);
    }
    let Some(device) = device else { return Ok(false) };
    let cursor = open::cursor(conn, inbox.number, device)?;
    Ok(cursor.is_none_or(|cursor| up_to > cursor))
}

pub(crate) fn acknowledge(
    tx: &Tx<'_>,
    user: &UserId,
    device: Option<&DeviceId>,
    up_to: Rev,
    now: Timestamp,
) -> Result<()> {
    let Some(inbox) = Inbox::of(tx.conn, user)? else { return Ok(()) };
    let up_to = up_to.min(inbox.state.rev);
    if up_to > inbox.delivered_up_to {
        let (from, to) = (from_rev(inbox.delivered_up_to), from_rev(up_to));
        tx.conn.prepare_cached(DELIVER)?.execute((inbox.number, from, to, now.as_millis()))?;
        tx.conn.prepare_cached(DELIVERED)?.execute((inbox.number, to))?;
    }
    if let Some(device) = device {
        let values = (inbox.number, device.as_str(), from_rev(up_to), now.as_millis());
        tx.conn.prepare_cached(MOVE_CURSOR)?.execute(values)?;
        let values = (inbox.number, device.as_str(), MOST_DEVICES - 1);
        tx.conn.prepare_cached(FORGET_OTHERS)?.execute(values)?;
    }
    Ok(())
}
