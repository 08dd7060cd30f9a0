//! Users: who hears of announcements, and how they are shown as actors.

use rusqlite::{Connection, OptionalExtension};
use tidings_core::{ids::UserId, time::Timestamp, user::User};

use crate::{failure::Result, rows::to_time, writer::Tx};

/// A user who is there already keeps the number and the time.
const PUT: &str = "INSERT INTO users (id, name, avatar_url, created_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, avatar_url = excluded.avatar_url";
const SEE: &str = "INSERT INTO users (id, created_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
const FIND: &str = "SELECT name, avatar_url, created_at FROM users WHERE id = ?1";
const SAW: &str = "UPDATE users SET last_seen = max(coalesce(last_seen, ?2), ?2) WHERE id = ?1";
const LAST_SEEN: &str = "SELECT last_seen FROM users WHERE id = ?1 AND last_seen IS NOT NULL";
const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE id = ?1)";

pub(crate) fn put(tx: &Tx<'_>, user: &User) -> Result<()> {
    tx.conn.prepare_cached(PUT)?.execute((
        user.id.as_str(),
        &user.name,
        &user.avatar_url,
        user.created_at.as_millis(),
    ))?;
    Ok(())
}

pub(crate) fn see(tx: &Tx<'_>, id: &UserId, now: Timestamp) -> Result<()> {
    tx.conn.prepare_cached(SEE)?.execute((id.as_str(), now.as_millis()))?;
    Ok(())
}

pub(crate) fn is_known(conn: &Connection, id: &UserId) -> Result<bool> {
    Ok(conn.prepare_cached(KNOWN)?.query_row([id.as_str()], |row| row.get(0))?)
}

pub(crate) fn find(conn: &Connection, id: &UserId) -> Result<Option<User>> {
    let mut statement = conn.prepare_cached(FIND)?;
    let found = statement.query_row([id.as_str()], |row| {
        Ok(User {
            id: id.clone(),
            name: row.get(0)?,
            avatar_url: row.get(1)?,
            created_at: to_time(row.get(2)?),
        })
    });
    Ok(found.optional()?)
}

pub(crate) fn saw(tx: &Tx<'_>, seen: &[(UserId, Timestamp)]) -> Result<()> {
    let mut saw = tx.conn.prepare_cached(SAW)?;
    for (user, at) in seen {
        saw.execute((user.as_str(), at.as_millis()))?;
    }
    Ok(())
}

pub(crate) fn last_seen(conn: &Connection, users: &[UserId]) -> Result<Vec<(UserId, Timestamp)>> {
    let mut find = conn.prepare_cached(LAST_SEEN)?;
    let mut seen = Vec::new();
    for user in users {
        let at: Option<i64> = find.query_row([user.as_str()], |row| row.get(0)).optional()?;
        seen.extend(at.map(|at| (user.clone(), to_time(at))));
    }
    Ok(seen)
}
