//! API keys, by their hashes.

use rusqlite::{Connection, OptionalExtension, Row};
use tidings_core::{
    api_key::{ApiKey, Scope},
    time::Timestamp,
};

use crate::{
    failure::{Failure, Result},
    rows::to_time,
    writer::Tx,
};

const CREATE: &str = "INSERT INTO api_keys (id, name, hash, scopes, created_at, revoked_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const LIST: &str = "SELECT id, name, hash, scopes, created_at, revoked_at FROM api_keys
    ORDER BY created_at, id";
const BY_HASH: &str = "SELECT id, name, hash, scopes, created_at, revoked_at FROM api_keys
    WHERE hash = ?1 AND revoked_at IS NULL";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";

pub(crate) fn create(tx: &mut Tx<'_>, key: &ApiKey) -> Result<()> {
    tx.touched.keys = true;
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    tx.conn.prepare_cached(CREATE)?.execute((
        &key.id,
        &key.name,
        key.hash.as_slice(),
        scopes.join(" "),
        key.created_at.as_millis(),
        key.revoked_at.map(Timestamp::as_millis),
    ))?;
    Ok(())
}

pub(crate) fn list(conn: &Connection) -> Result<Vec<ApiKey>> {
    let mut statement = conn.prepare_cached(LIST)?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(from_row(row)?);
    }
    Ok(keys)
}

pub(crate) fn find(conn: &Connection, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
    let mut statement = conn.prepare_cached(BY_HASH)?;
    let found = statement.query_row([hash.as_slice()], |row| Ok(from_row(row))).optional()?;
    found.transpose()
}

pub(crate) fn revoke(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<bool> {
    tx.touched.keys = true;
    Ok(tx.conn.prepare_cached(REVOKE)?.execute((id, now.as_millis()))? > 0)
}

fn from_row(row: &Row<'_>) -> Result<ApiKey> {
    let scopes: String = row.get(3)?;
    let scopes = scopes.split_whitespace().map(str::parse::<Scope>);
    Ok(ApiKey {
        id: row.get(0)?,
        name: row.get(1)?,
        hash: row.get(2)?,
        scopes: scopes.collect::<Result<_, _>>().map_err(Failure::Corrupt)?,
        created_at: to_time(row.get(4)?),
        revoked_at: row.get::<_, Option<i64>>(5)?.map(to_time),
    })
}
