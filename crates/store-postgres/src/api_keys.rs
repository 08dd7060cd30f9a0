//! API keys, by their hashes.

use tidings_core::{
    api_key::{ApiKey, Scope},
    time::Timestamp,
};
use tokio_postgres::Row;

use crate::{
    connection::Connection,
    failure::{Failure, Result},
    rows::to_time,
};

const CREATE: &str = "INSERT INTO api_keys (id, name, hash, scopes, created_at, revoked_at)
    VALUES ($1, $2, $3, $4, $5, $6)";
const LIST: &str = "SELECT id, name, hash, scopes, created_at, revoked_at FROM api_keys
    ORDER BY created_at, id";
const BY_HASH: &str = "SELECT id, name, hash, scopes, created_at, revoked_at FROM api_keys
    WHERE hash = $1 AND revoked_at IS NULL";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

pub(crate) async fn create(conn: &Connection, key: &ApiKey) -> Result<()> {
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let create = conn.prepare_cached(CREATE).await?;
    conn.execute(
        &create,
        &[
            &key.id,
            &key.name,
            &key.hash.as_slice(),
            &scopes.join(" "),
            &key.created_at.as_millis(),
            &key.revoked_at.map(Timestamp::as_millis),
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn list(conn: &Connection) -> Result<Vec<ApiKey>> {
    let list = conn.prepare_cached(LIST).await?;
    conn.query(&list, &[]).await?.iter().map(from_row).collect()
}

pub(crate) async fn find(conn: &Connection, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
    let find = conn.prepare_cached(BY_HASH).await?;
    conn.query_opt(&find, &[&hash.as_slice()]).await?.as_ref().map(from_row).transpose()
}

pub(crate) async fn revoke(conn: &Connection, id: &str, now: Timestamp) -> Result<bool> {
    let revoke = conn.prepare_cached(REVOKE).await?;
    Ok(conn.execute(&revoke, &[&id, &now.as_millis()]).await? > 0)
}

fn from_row(row: &Row) -> Result<ApiKey> {
    let scopes = row.try_get::<_, &str>(3)?.split_whitespace().map(str::parse::<Scope>);
    let hash = <[u8; 32]>::try_from(row.try_get::<_, &[u8]>(2)?);
    Ok(ApiKey {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        hash: hash.map_err(|_| Failure::corrupt("the hash of an API key"))?,
        scopes: scopes.collect::<Result<_, _>>().map_err(Failure::Corrupt)?,
        created_at: to_time(row.try_get(4)?),
        revoked_at: row.try_get::<_, Option<i64>>(5)?.map(to_time),
    })
}
