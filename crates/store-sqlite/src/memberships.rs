//! The members of rooms.

use rusqlite::Connection;
use tidings_core::{
    ids::{RoomId, UserId},
    ports::NewMembers,
};

use crate::{
    failure::{Failure, Result},
    rows::{from_limit, to_count, to_user},
    writer::Tx,
};

const COUNT: &str = "SELECT count(*) FROM memberships WHERE room_id = ?1";
const ADD: &str = "INSERT INTO memberships (room_id, user_id) VALUES (?1, ?2)
    ON CONFLICT (room_id, user_id) DO NOTHING";
const REMOVE: &str = "DELETE FROM memberships WHERE room_id = ?1 AND user_id = ?2";
const IS_MEMBER: &str = "SELECT EXISTS (
    SELECT 1 FROM memberships WHERE room_id = ?1 AND user_id = ?2)";
const LIST: &str = "SELECT user_id FROM memberships
    WHERE room_id = ?1 AND user_id > ?2 ORDER BY user_id LIMIT ?3";

pub(crate) const ROOMS: &str = "SELECT room_id FROM memberships
    WHERE user_id = ?1 AND room_id > ?2 ORDER BY room_id LIMIT ?3";

/// All or none: counts before it adds, in the one transaction of the writer.
pub(crate) fn add(tx: &Tx<'_>, room: &RoomId, users: &[UserId], most: usize) -> Result<NewMembers> {
    let members: i64 =
        tx.conn.prepare_cached(COUNT)?.query_row([room.as_str()], |row| row.get(0))?;
    let members = to_count(members);
    let mut new = Vec::new();
    for user in users {
        if !is_member(tx.conn, room, user)? && !new.contains(&user) {
            new.push(user);
        }
    }
    if members + new.len() as u64 > most as u64 && !new.is_empty() {
        return Ok(NewMembers::Full { members });
    }
    let mut add = tx.conn.prepare_cached(ADD)?;
    for user in &new {
        add.execute((room.as_str(), user.as_str()))?;
    }
    Ok(NewMembers::Added(new.len() as u64))
}

pub(crate) fn remove(tx: &Tx<'_>, room: &RoomId, users: &[UserId]) -> Result<Vec<UserId>> {
    let mut remove = tx.conn.prepare_cached(REMOVE)?;
    let mut gone = Vec::new();
    for user in users {
        if remove.execute((room.as_str(), user.as_str()))? > 0 {
            gone.push(user.clone());
        }
    }
    Ok(gone)
}

fn is_member(conn: &Connection, room: &RoomId, user: &UserId) -> Result<bool> {
    let mut statement = conn.prepare_cached(IS_MEMBER)?;
    Ok(statement.query_row((room.as_str(), user.as_str()), |row| row.get(0))?)
}

pub(crate) fn of_user(conn: &Connection, user: &UserId, rooms: &[RoomId]) -> Result<Vec<RoomId>> {
    let mut found = Vec::new();
    for room in rooms {
        if is_member(conn, room, user)? {
            found.push(room.clone());
        }
    }
    Ok(found)
}

pub(crate) fn of_room(
    conn: &Connection,
    room: &RoomId,
    after: Option<&UserId>,
    limit: usize,
) -> Result<Vec<UserId>> {
    let mut statement = conn.prepare_cached(LIST)?;
    // No id is empty, so that every id comes after the empty text.
    let after = after.map_or("", UserId::as_str);
    let mut rows = statement.query((room.as_str(), after, from_limit(limit)))?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(to_user(&row.get::<_, String>(0)?)?);
    }
    Ok(users)
}

pub(crate) fn rooms_of(
    conn: &Connection,
    user: &UserId,
    after: Option<&RoomId>,
    limit: usize,
) -> Result<Vec<RoomId>> {
    let mut statement = conn.prepare_cached(ROOMS)?;
    let after = after.map_or("", RoomId::as_str);
    let mut rows = statement.query((user.as_str(), after, from_limit(limit)))?;
    let mut rooms = Vec::new();
    while let Some(row) = rows.next()? {
        rooms.push(RoomId::new(row.get::<_, String>(0)?).map_err(Failure::corrupt)?);
    }
    Ok(rooms)
}
