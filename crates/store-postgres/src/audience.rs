//! Who an announcement is for: fixed when it is accepted, served in batches from a cursor.

use tidings_core::{ids::UserId, notification::Recipients};

use crate::{
    connection::Connection,
    failure::Result,
    rows::{from_limit, to_count, to_user},
    sql,
};

/// All: the users numbered so far. Who comes later does not hear of it. (A user whose row is
/// just being made in another transaction may have a lower number and may hear of it.)
const ALL: &str = "SELECT count(*), coalesce(max(number), 0) FROM users";
const LIST_USERS: &str = "INSERT INTO announcement_recipients (announcement, position, user_id)
    SELECT $1, w.position, w.user_id
    FROM unnest($2::text[]) WITH ORDINALITY w (user_id, position)";
const LIST_ROOM: &str = "INSERT INTO announcement_recipients (announcement, position, user_id)
    SELECT $1, row_number() OVER (ORDER BY user_id), user_id FROM memberships WHERE room_id = $2";

pub(crate) const NEXT_OF_ALL: &str = "SELECT number, id FROM users
    WHERE number > $1 AND number <= $2 ORDER BY number LIMIT $3";
pub(crate) const NEXT_LISTED: &str = "SELECT position, user_id FROM announcement_recipients
    WHERE announcement = $4 AND position > $1 AND position <= $2 ORDER BY position LIMIT $3";
pub(crate) const FORGET_SERVED: &str = "DELETE FROM announcement_recipients
    WHERE announcement = $1 AND position <= $2";

pub(crate) struct Audience {
    pub(crate) to_all: bool,
    pub(crate) total: u64,
    /// The last position.
    pub(crate) last: i64,
}

/// Fixes who is to get the announcement with this number.
pub(crate) async fn fix(
    conn: &Connection,
    announcement: i64,
    recipients: &Recipients,
) -> Result<Audience> {
    let listed = match recipients {
        Recipients::All => {
            let row = conn.query_one(ALL, &[]).await?;
            let (total, last) = (to_count(row.try_get(0)?), row.try_get(1)?);
            return Ok(Audience { to_all: true, total, last });
        }
        Recipients::Users(users) => {
            let users: Vec<_> = users.iter().map(UserId::as_str).collect();
            sql::execute(conn, LIST_USERS, &[&announcement, &users]).await?
        }
        Recipients::Room(room) => {
            sql::execute(conn, LIST_ROOM, &[&announcement, &room.as_str()]).await?
        }
    };
    let last = i64::try_from(listed).unwrap_or(i64::MAX);
    Ok(Audience { to_all: false, total: listed, last })
}

/// The next `limit` recipients after `cursor`, each with its position.
pub(crate) async fn next(
    conn: &Connection,
    announcement: i64,
    to_all: bool,
    (cursor, last): (i64, i64),
    limit: usize,
) -> Result<Vec<(i64, UserId)>> {
    let limit = from_limit(limit);
    let rows = if to_all {
        sql::rows(conn, NEXT_OF_ALL, &[&cursor, &last, &limit]).await?
    } else {
        sql::rows(conn, NEXT_LISTED, &[&cursor, &last, &limit, &announcement]).await?
    };
    rows.iter().map(|row| Ok((row.try_get(0)?, to_user(row.try_get(1)?)?))).collect()
}
