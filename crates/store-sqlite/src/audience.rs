//! Who an announcement is for: fixed when it is accepted, served in batches from a cursor.

use rusqlite::Connection;
use tidings_core::{
    ids::{RoomId, UserId},
    notification::Recipients,
};

use crate::{
    accept::each_once,
    failure::Result,
    rows::{from_limit, to_count, to_user},
    writer::Tx,
};

/// All: the users numbered so far. Who comes later does not hear of it.
const ALL: &str = "SELECT count(*), coalesce(max(number), 0) FROM users";
const LIST_USER: &str = "INSERT INTO announcement_recipients (announcement, position, user_id)
    VALUES (?1, ?2, ?3)";
const LIST_ROOM: &str = "INSERT INTO announcement_recipients (announcement, position, user_id)
    SELECT ?1, row_number() OVER (ORDER BY user_id), user_id FROM memberships WHERE room_id = ?2";

pub(crate) const NEXT_OF_ALL: &str = "SELECT number, id FROM users
    WHERE number > ?1 AND number <= ?2 ORDER BY number LIMIT ?3";
pub(crate) const NEXT_LISTED: &str = "SELECT position, user_id FROM announcement_recipients
    WHERE announcement = ?4 AND position > ?1 AND position <= ?2 ORDER BY position LIMIT ?3";
const FORGET_SERVED: &str = "DELETE FROM announcement_recipients
    WHERE announcement = ?1 AND position <= ?2";

pub(crate) struct Audience {
    pub(crate) to_all: bool,
    pub(crate) total: u64,
    /// The last position.
    pub(crate) last: i64,
}

/// Fixes who is to get the announcement with this number.
pub(crate) fn fix(tx: &Tx<'_>, announcement: i64, recipients: Recipients) -> Result<Audience> {
    match recipients {
        Recipients::All => {
            let (total, last) = tx
                .conn
                .prepare_cached(ALL)?
                .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
            Ok(Audience { to_all: true, total: to_count(total), last })
        }
        Recipients::Users(users) => list_users(tx, announcement, users),
        Recipients::Room(room) => list_room(tx, announcement, &room),
    }
}

fn list_users(tx: &Tx<'_>, announcement: i64, users: Vec<UserId>) -> Result<Audience> {
    let mut insert = tx.conn.prepare_cached(LIST_USER)?;
    let mut last = 0;
    for user in each_once(users) {
        last += 1;
        insert.execute((announcement, last, user.as_str()))?;
    }
    Ok(Audience { to_all: false, total: to_count(last), last })
}

fn list_room(tx: &Tx<'_>, announcement: i64, room: &RoomId) -> Result<Audience> {
    let listed = tx.conn.prepare_cached(LIST_ROOM)?.execute((announcement, room.as_str()))?;
    Ok(Audience { to_all: false, total: listed as u64, last: from_limit(listed) })
}

/// The next `limit` recipients after `cursor`, each with its position.
pub(crate) fn next(
    conn: &Connection,
    announcement: i64,
    to_all: bool,
    (cursor, last): (i64, i64),
    limit: usize,
) -> Result<Vec<(i64, UserId)>> {
    let limit = from_limit(limit);
    let mut statement = conn.prepare_cached(if to_all { NEXT_OF_ALL } else { NEXT_LISTED })?;
    let mut rows = if to_all {
        statement.query((cursor, last, limit))?
    } else {
        statement.query((cursor, last, limit, announcement))?
    };
    let mut recipients = Vec::new();
    while let Some(row) = rows.next()? {
        let user = to_user(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        recipients.push((row.get(0)?, user));
    }
    Ok(recipients)
}

/// Who was served need not be remembered.
pub(crate) fn forget_served(tx: &Tx<'_>, announcement: i64, cursor: i64) -> Result<()> {
    tx.conn.prepare_cached(FORGET_SERVED)?.execute((announcement, cursor))?;
    Ok(())
}
