//! Tokens that were taken back.

use tidings_core::{
    ids::UserId,
    revocation::{Revocation, Revoked},
    time::Timestamp,
};
use tokio_postgres::Row;

use crate::{
    connection::Connection,
    failure::{Failure, Result},
    rows::{from_limit, to_time},
};

/// One at a time, so that the bound holds.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('revocations', 0))";
/// Whether there is room, or it is there already.
const HAS_ROOM: &str = "SELECT EXISTS (SELECT 1 FROM revocations WHERE kind = $1 AND subject = $2)
    OR (SELECT count(*) FROM revocations) < $3";
/// Of two for the same, the later instants hold.
const REVOKE: &str = "INSERT INTO revocations AS r (kind, subject, before, ends_at, revoked_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (kind, subject) DO UPDATE SET before = greatest(r.before, excluded.before),
        ends_at = greatest(r.ends_at, excluded.ends_at), revoked_at = excluded.revoked_at";
const SINCE: &str = "SELECT kind, subject, before, ends_at FROM revocations
    WHERE revoked_at >= $1 ORDER BY revoked_at DESC LIMIT $2";
const PURGE: &str = "DELETE FROM revocations WHERE (kind, subject) IN (
    SELECT kind, subject FROM revocations WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2
    FOR UPDATE SKIP LOCKED)";

/// `false`: as many stand as there may.
pub(crate) async fn revoke(
    conn: &mut Connection,
    revocation: &Revocation,
    now: Timestamp,
    most: usize,
) -> Result<bool> {
    let (kind, subject, before): (_, &[u8], _) = match &revocation.revoked {
        Revoked::User { user, before } => ("user", user.as_str().as_bytes(), Some(*before)),
        Revoked::Jti { jti } => ("jti", jti.as_bytes(), None),
        Revoked::Token { hash } => ("token", hash, None),
    };
    let before = before.map(Timestamp::as_millis);
    let (ends_at, now) = (revocation.ends_at.as_millis(), now.as_millis());
    let has_room = conn.prepare_cached(HAS_ROOM).await?;
    let revoke = conn.prepare_cached(REVOKE).await?;
    let tx = conn.transaction().await?;
    tx.batch_execute(LOCK).await?;
    let row = tx.query_one(&has_room, &[&kind, &subject, &from_limit(most)]).await?;
    if !row.try_get(0)? {
        return Ok(false);
    }
    tx.execute(&revoke, &[&kind, &subject, &before, &ends_at, &now]).await?;
    tx.commit().await?;
    Ok(true)
}

pub(crate) async fn since(
    conn: &Connection,
    since: Timestamp,
    limit: usize,
) -> Result<Vec<Revocation>> {
    let find = conn.prepare_cached(SINCE).await?;
    let rows = conn.query(&find, &[&since.as_millis(), &from_limit(limit)]).await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &Row) -> Result<Revocation> {
    let subject: Vec<u8> = row.try_get(1)?;
    let text = |bytes| String::from_utf8(bytes).map_err(Failure::corrupt);
    let revoked = match row.try_get::<_, &str>(0)? {
        "user" => Revoked::User {
            user: UserId::new(text(subject)?).map_err(Failure::corrupt)?,
            before: to_time(row.try_get(2)?),
        },
        "jti" => Revoked::Jti { jti: text(subject)? },
        "token" => {
            let hash = subject.try_into().map_err(|_| Failure::corrupt("the hash of a token"))?;
            Revoked::Token { hash }
        }
        other => return Err(Failure::corrupt(format!("{other:?} cannot be revoked"))),
    };
    Ok(Revocation { revoked, ends_at: to_time(row.try_get(3)?) })
}

pub(crate) async fn purge(conn: &Connection, now: Timestamp, limit: usize) -> Result<u64> {
    let purge = conn.prepare_cached(PURGE).await?;
    Ok(conn.execute(&purge, &[&now.as_millis(), &from_limit(limit)]).await?)
}
