//! Tokens that were taken back.

use rusqlite::{Connection, Row};
use tidings_core::{
    ids::UserId,
    revocation::{Revocation, Revoked},
    time::Timestamp,
};

use crate::{
    failure::{Failure, Result},
    rows::{from_limit, to_time},
    writer::Tx,
};

/// Whether there is room, or it is there already.
const HAS_ROOM: &str = "SELECT (SELECT count(*) FROM revocations) < ?3
    OR EXISTS (SELECT 1 FROM revocations WHERE kind = ?1 AND subject = ?2)";
/// Of two for the same, the later instants hold.
const REVOKE: &str = "INSERT INTO revocations (kind, subject, before, ends_at, revoked_at)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (kind, subject) DO UPDATE SET before = max(before, excluded.before),
        ends_at = max(ends_at, excluded.ends_at), revoked_at = excluded.revoked_at";
pub(crate) const SINCE: &str = "SELECT kind, subject, before, ends_at FROM revocations
    WHERE revoked_at >= ?1 ORDER BY revoked_at DESC LIMIT ?2";
pub(crate) const PURGE: &str = "DELETE FROM revocations WHERE (kind, subject) IN (
    SELECT kind, subject FROM revocations WHERE ends_at <= ?1 ORDER BY ends_at LIMIT ?2)";

/// `false`: as many stand as there may.
pub(crate) fn revoke(
    tx: &Tx<'_>,
    revocation: &Revocation,
    now: Timestamp,
    most: usize,
) -> Result<bool> {
    let (kind, subject, before): (_, &[u8], _) = match &revocation.revoked {
        Revoked::User { user, before } => ("user", user.as_str().as_bytes(), Some(*before)),
        Revoked::Jti { jti } => ("jti", jti.as_bytes(), None),
        Revoked::Token { hash } => ("token", hash, None),
    };
    let mut has_room = tx.conn.prepare_cached(HAS_ROOM)?;
    if !has_room.query_row((kind, subject, from_limit(most)), |row| row.get::<_, bool>(0))? {
        return Ok(false);
    }
    let before = before.map(Timestamp::as_millis);
    let (ends_at, now) = (revocation.ends_at.as_millis(), now.as_millis());
    tx.conn.prepare_cached(REVOKE)?.execute((kind, subject, before, ends_at, now))?;
    Ok(true)
}

pub(crate) fn since(conn: &Connection, since: Timestamp, limit: usize) -> Result<Vec<Revocation>> {
    let mut statement = conn.prepare_cached(SINCE)?;
    let mut rows = statement.query((since.as_millis(), from_limit(limit)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(from_row(row)?);
    }
    Ok(found)
}

fn from_row(row: &Row<'_>) -> Result<Revocation> {
    let subject: Vec<u8> = row.get(1)?;
    let text = |bytes| String::from_utf8(bytes).map_err(Failure::corrupt);
    let revoked = match row.get_ref(0)?.as_str().map_err(Failure::corrupt)? {
        "user" => Revoked::User {
            user: UserId::new(text(subject)?).map_err(Failure::corrupt)?,
            before: to_time(row.get(2)?),
        },
        "jti" => Revoked::Jti { jti: text(subject)? },
        "token" => {
            let hash = subject.try_into().map_err(|_| Failure::corrupt("the hash of a token"))?;
            Revoked::Token { hash }
        }
        other => return Err(Failure::corrupt(format!("{other:?} cannot be revoked"))),
    };
    Ok(Revocation { revoked, ends_at: to_time(row.get(3)?) })
}

pub(crate) fn purge(tx: &Tx<'_>, now: Timestamp, limit: usize) -> Result<u64> {
    let values = (now.as_millis(), from_limit(limit));
    Ok(tx.conn.prepare_cached(PURGE)?.execute(values)? as u64)
}
