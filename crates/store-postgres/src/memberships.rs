//! The members of rooms.

use std::collections::HashSet;

use tidings_core::{
    ids::{RoomId, UserId},
    ports::NewMembers,
};

use crate::{
    connection::Connection,
    failure::{Failure, Result},
    rows::{from_limit, to_count, to_user},
};

/// Whoever changes a room's members does it alone: its bound holds, and two lists with the same
/// users in another order never wait for each other.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('member:' || $1::text, 0))";
/// All or none. A statement of its own after the lock: it sees what was committed before.
const ADD: &str = "WITH new AS (
        SELECT DISTINCT u.id FROM unnest($2::text[]) AS u (id) WHERE NOT EXISTS (
            SELECT 1 FROM memberships m WHERE m.room_id = $1 AND m.user_id = u.id)
    ), counted AS (
        SELECT (SELECT count(*) FROM memberships WHERE room_id = $1) AS members,
            (SELECT count(*) FROM new) AS new
    ), added AS (
        INSERT INTO memberships (room_id, user_id)
        SELECT $1, new.id FROM new, counted WHERE counted.members + counted.new <= $3
    )
    SELECT members, new FROM counted";
const REMOVE: &str = "DELETE FROM memberships WHERE room_id = $1 AND user_id = ANY ($2)
    RETURNING user_id";
const OF_USER: &str = "SELECT room_id FROM memberships WHERE user_id = $1 AND room_id = ANY ($2)";
const ROOMS: &str = "SELECT room_id FROM memberships
    WHERE user_id = $1 AND room_id > $2 ORDER BY room_id LIMIT $3";
const LIST: &str = "SELECT user_id FROM memberships
    WHERE room_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3";

pub(crate) async fn add(
    conn: &mut Connection,
    room: &RoomId,
    users: &[UserId],
    most: usize,
) -> Result<NewMembers> {
    let (room, users, most) = (room.as_str(), texts(users), from_limit(most));
    let lock = conn.prepare_cached(LOCK).await?;
    let add = conn.prepare_cached(ADD).await?;
    let tx = conn.transaction().await?;
    tx.execute(&lock, &[&room]).await?;
    let row = tx.query_one(&add, &[&room, &users, &most]).await?;
    let (members, new): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    tx.commit().await?;
    if new > 0 && members.saturating_add(new) > most {
        return Ok(NewMembers::Full { members: to_count(members) });
    }
    Ok(NewMembers::Added(to_count(new)))
}

pub(crate) async fn remove(
    conn: &mut Connection,
    room: &RoomId,
    users: &[UserId],
) -> Result<Vec<UserId>> {
    let (room, ids) = (room.as_str(), texts(users));
    let lock = conn.prepare_cached(LOCK).await?;
    let remove = conn.prepare_cached(REMOVE).await?;
    let tx = conn.transaction().await?;
    tx.execute(&lock, &[&room]).await?;
    let rows = tx.query(&remove, &[&room, &ids]).await?;
    tx.commit().await?;
    let gone = rows.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<&str>, _>>()?;
    let mut named = HashSet::new();
    let is_first = |user: &&UserId| gone.contains(user.as_str()) && named.insert((*user).clone());
    Ok(users.iter().filter(is_first).cloned().collect())
}

pub(crate) async fn of_user(
    conn: &Connection,
    user: &UserId,
    rooms: &[RoomId],
) -> Result<Vec<RoomId>> {
    let ids: Vec<_> = rooms.iter().map(RoomId::as_str).collect();
    let find = conn.prepare_cached(OF_USER).await?;
    let rows = conn.query(&find, &[&user.as_str(), &ids]).await?;
    let found = rows.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<&str>, _>>()?;
    Ok(rooms.iter().filter(|room| found.contains(room.as_str())).cloned().collect())
}

pub(crate) async fn of_room(
    conn: &Connection,
    room: &RoomId,
    after: Option<&UserId>,
    limit: usize,
) -> Result<Vec<UserId>> {
    let list = conn.prepare_cached(LIST).await?;
    // No id is empty, so that every id comes after the empty text.
    let after = after.map_or("", UserId::as_str);
    let rows = conn.query(&list, &[&room.as_str(), &after, &from_limit(limit)]).await?;
    rows.iter().map(|row| to_user(row.try_get(0).map_err(Failure::from)?)).collect()
}

pub(crate) async fn rooms_of(
    conn: &Connection,
    user: &UserId,
    after: Option<&RoomId>,
    limit: usize,
) -> Result<Vec<RoomId>> {
    let list = conn.prepare_cached(ROOMS).await?;
    let after = after.map_or("", RoomId::as_str);
    let rows = conn.query(&list, &[&user.as_str(), &after, &from_limit(limit)]).await?;
    rows.iter()
        .map(|row| RoomId::new(row.try_get::<_, &str>(0)?).map_err(Failure::corrupt))
        .collect()
}

fn texts(users: &[UserId]) -> Vec<&str> {
    users.iter().map(UserId::as_str).collect()
}
