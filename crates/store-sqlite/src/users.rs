//! Users: who hears of announcements, and how they are shown as actors.

use rusqlite::{Connection, OptionalExtension};
use tidings_core::{ids::UserId, time::Timestamp, user::User};

use crate::{failure::Result, rows::to_time, writer::Tx};

/// A user who is there already keeps the number and the time.
const PUT: &str = "INSERT INTO users (id, name, avatar_url, created_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, avatar_url = excluded.avatar_url";
const SEE: &str = "INSERT INTO users (id, created_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
const FIND: &str = "SELECT name, avatar_url, created_at FROM users WHERE id = ?1";
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
