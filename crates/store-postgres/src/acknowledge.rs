//! Acknowledgements: what reached a device. They take no rev and are heard by nobody.

use std::collections::BTreeMap;

use tidings_core::{
    ids::{DeviceId, Rev, UserId},
    inbox::Device,
    time::Timestamp,
};

use crate::{
    books::{Books, Wanted},
    connection::Connection,
    failure::{Failure, Result},
    inboxes::Inbox,
    items::{from_rev, to_rev},
    open,
    rows::{from_limit, to_time},
    sql::{self, together},
};

/// Cursors kept for one user; one more takes the place of the least recently moved one.
const MOST_DEVICES: usize = 20;

macro_rules! deliver {
    ($list:literal) => {
        concat!(
            "UPDATE inbox_items i SET delivered_at = w.at
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                w (inbox, seen, up_to, at)
            WHERE i.inbox = w.inbox AND i.seq > w.seen AND i.seq <= w.up_to AND ",
            $list,
            " AND i.delivered_at IS NULL"
        )
    };
}

/// Only what lies above the last acknowledgement: each item is looked at once.
pub(crate) const DELIVER: &str = deliver!("i.archived_at IS NULL");
pub(crate) const DELIVER_ARCHIVED: &str = deliver!("i.archived_at IS NOT NULL");
pub(crate) const MOVE_CURSORS: &str = "INSERT INTO devices AS d (inbox, id, cursor, used_at)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[])
    ON CONFLICT (inbox, id) DO UPDATE SET cursor = greatest(d.cursor, excluded.cursor),
        used_at = greatest(d.used_at, excluded.used_at)";
/// Those that were just moved stay.
pub(crate) const FORGET_OTHERS: &str = "DELETE FROM devices d USING (
        SELECT o.inbox, o.id, row_number() OVER (PARTITION BY o.inbox
            ORDER BY (t.id IS NULL), o.used_at DESC, o.cursor DESC, o.id) AS place
        FROM (SELECT DISTINCT inbox FROM unnest($1::bigint[]) u (inbox)) w
        JOIN devices o ON o.inbox = w.inbox
        LEFT JOIN unnest($1::bigint[], $2::text[]) t (inbox, id)
            ON t.inbox = o.inbox AND t.id = o.id
    ) old
    WHERE d.inbox = old.inbox AND d.id = old.id AND old.place > $3";

const DEVICES: &str = "SELECT d.id, d.cursor, d.used_at
    FROM inboxes b JOIN devices d ON d.inbox = b.number WHERE b.user_id = $1 ORDER BY d.id";

pub(crate) async fn devices(conn: &Connection, user: &UserId) -> Result<Vec<Device>> {
    let device = |row: &tokio_postgres::Row| {
        let id = DeviceId::new(row.try_get::<_, &str>(0)?).map_err(Failure::corrupt)?;
        let (cursor, used_at) = (to_rev(row.try_get(1)?), to_time(row.try_get(2)?));
        Ok(Device { id, cursor, used_at })
    };
    sql::rows(conn, DEVICES, &[&user.as_str()]).await?.iter().map(device).collect()
}

pub(crate) struct Request {
    pub(crate) user: UserId,
    pub(crate) device: Option<DeviceId>,
    pub(crate) up_to: Rev,
    pub(crate) now: Timestamp,
}

/// Whether there is anything to write: most acknowledgements repeat what another device said.
pub(crate) async fn is_news(
    conn: &Connection,
    user: &UserId,
    device: Option<&DeviceId>,
    up_to: Rev,
) -> Result<bool> {
    // Without an inbox nothing was ever delivered.
    let Some(inbox) = Inbox::of(conn, user).await? else { return Ok(false) };
    let up_to = up_to.min(inbox.state.rev);
    if up_to > inbox.delivered_up_to {
        return Ok(true);
    }
    let Some(device) = device else { return Ok(false) };
    let cursor = open::cursor(conn, inbox.number, device).await?;
    Ok(cursor.is_none_or(|cursor| up_to > cursor))
}

pub(crate) fn want(wanted: &mut Wanted, request: &Request) {
    wanted.users.insert(request.user.clone());
}

pub(crate) fn decide(books: &mut Books, request: &Request) {
    let Some(inbox) = books.inbox(&request.user) else { return };
    let (number, delivered_up_to) = (inbox.number, inbox.delivered_up_to);
    let up_to = request.up_to.min(inbox.state.rev);
    let at = request.now.as_millis();
    if let Some(device) = &request.device {
        let moved = books.acknowledged.devices.entry((number, device.to_string()));
        let (cursor, used_at) = moved.or_default();
        *cursor = from_rev(up_to).max(*cursor);
        *used_at = at.max(*used_at);
    }
    if up_to <= delivered_up_to {
        return;
    }
    let range = (number, from_rev(delivered_up_to), from_rev(up_to), at);
    books.acknowledged.ranges.push(range);
    if let Some(inbox) = books.moving(&request.user) {
        inbox.delivered_up_to = up_to;
    }
}

/// What a batch is to note.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// Inbox, above which `seq`, up to which, and when.
    ranges: Vec<(i64, i64, i64, i64)>,
    devices: BTreeMap<(i64, String), (i64, i64)>,
}

impl Acknowledged {
    pub(crate) async fn write(&self, conn: &Connection) -> Result<u64> {
        let column = |n: fn(&(i64, i64, i64, i64)) -> i64| -> Vec<i64> {
            self.ranges.iter().map(n).collect()
        };
        let (inboxes, from, to, at) =
            (column(|r| r.0), column(|r| r.1), column(|r| r.2), column(|r| r.3));
        let some = !inboxes.is_empty();
        let owners: Vec<_> = self.devices.keys().map(|(inbox, _)| *inbox).collect();
        let ids: Vec<_> = self.devices.keys().map(|(_, id)| id.as_str()).collect();
        let cursors: Vec<_> = self.devices.values().map(|(cursor, _)| *cursor).collect();
        let used: Vec<_> = self.devices.values().map(|(_, used_at)| *used_at).collect();
        let most = from_limit(MOST_DEVICES);
        let moving = !ids.is_empty();
        let (first, second, moved, forgotten) = together!(
            sql::execute_if(some, conn, DELIVER, &[&inboxes, &from, &to, &at]),
            sql::execute_if(some, conn, DELIVER_ARCHIVED, &[&inboxes, &from, &to, &at]),
            sql::execute_if(moving, conn, MOVE_CURSORS, &[&owners, &ids, &cursors, &used]),
            sql::execute_if(moving, conn, FORGET_OTHERS, &[&owners, &ids, &most]),
        );
        first.and(second).and(moved).and(forgotten)
    }
}
