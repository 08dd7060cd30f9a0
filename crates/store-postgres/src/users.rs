//! Users: who hears of announcements, and how they are shown as actors.

use tidings_core::{ids::UserId, time::Timestamp, user::User};

use crate::{
    connection::Connection,
    failure::Result,
    rows::{to_time, to_user},
};

/// A user who is there already keeps the number and the time.
const PUT: &str = "INSERT INTO users (id, name, avatar_url, created_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, avatar_url = excluded.avatar_url";
const SEE: &str = "INSERT INTO users (id, created_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
const FIND: &str = "SELECT name, avatar_url, created_at FROM users WHERE id = $1";
/// Locked in the order of their ids, so that two such statements never wait for each other.
const SAW: &str = "WITH seen AS (
        SELECT id, max(at) AS at FROM unnest($1::text[], $2::bigint[]) AS s (id, at) GROUP BY id
    ), locked AS (
        SELECT u.number, s.at FROM users u JOIN seen s ON u.id = s.id
        WHERE u.last_seen IS NULL OR u.last_seen < s.at
        ORDER BY u.id FOR UPDATE OF u
    )
    UPDATE users u SET last_seen = greatest(u.last_seen, l.at)
    FROM locked l WHERE u.number = l.number";
const LAST_SEEN: &str = "SELECT id, last_seen FROM users
    WHERE id = ANY ($1) AND last_seen IS NOT NULL";
const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE id = $1)";

pub(crate) async fn put(conn: &Connection, user: &User) -> Result<()> {
    let put = conn.prepare_cached(PUT).await?;
    let created_at = user.created_at.as_millis();
    conn.execute(&put, &[&user.id.as_str(), &user.name, &user.avatar_url, &created_at]).await?;
    Ok(())
}

pub(crate) async fn see(conn: &Connection, id: &UserId, now: Timestamp) -> Result<()> {
    let see = conn.prepare_cached(SEE).await?;
    conn.execute(&see, &[&id.as_str(), &now.as_millis()]).await?;
    Ok(())
}

pub(crate) async fn is_known(conn: &Connection, id: &UserId) -> Result<bool> {
    let known = conn.prepare_cached(KNOWN).await?;
    Ok(conn.query_one(&known, &[&id.as_str()]).await?.try_get(0)?)
}

pub(crate) async fn find(conn: &Connection, id: &UserId) -> Result<Option<User>> {
    let find = conn.prepare_cached(FIND).await?;
    let Some(row) = conn.query_opt(&find, &[&id.as_str()]).await? else { return Ok(None) };
    Ok(Some(User {
        id: id.clone(),
        name: row.try_get(0)?,
        avatar_url: row.try_get(1)?,
        created_at: to_time(row.try_get(2)?),
    }))
}

pub(crate) async fn saw(conn: &Connection, seen: &[(UserId, Timestamp)]) -> Result<()> {
    let (users, times): (Vec<_>, Vec<_>) =
        seen.iter().map(|(user, at)| (user.as_str(), at.as_millis())).unzip();
    let saw = conn.prepare_cached(SAW).await?;
    conn.execute(&saw, &[&users, &times]).await?;
    Ok(())
}

pub(crate) async fn last_seen(
    conn: &Connection,
    users: &[UserId],
) -> Result<Vec<(UserId, Timestamp)>> {
    let users: Vec<_> = users.iter().map(UserId::as_str).collect();
    let find = conn.prepare_cached(LAST_SEEN).await?;
    let rows = conn.query(&find, &[&users]).await?;
    rows.iter().map(|row| Ok((to_user(row.try_get(0)?)?, to_time(row.try_get(1)?)))).collect()
}
