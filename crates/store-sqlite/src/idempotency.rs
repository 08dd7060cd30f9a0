//! Idempotency keys: committed in the transaction that they protect.

use rusqlite::{Connection, OptionalExtension};
use tidings_core::{
    idempotency::{IdempotencyClaim, KEPT},
    ports::{Accepted, StoreError},
    time::Timestamp,
};

use crate::{
    failure::{Failure, Result},
    writer::Tx,
};

/// One older than `?3` counts as absent, whether or not it was pruned yet.
const FIND: &str = "SELECT fingerprint, outcome FROM idempotency
    WHERE scope = ?1 AND key = ?2 AND created_at > ?3";
const SAVE: &str = "INSERT INTO idempotency (scope, key, fingerprint, outcome, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint,
        outcome = excluded.outcome, created_at = excluded.created_at";

/// The outcome of the first request with this key; an error if that was another request.
pub(crate) fn outcome(
    conn: &Connection,
    claim: &IdempotencyClaim,
    now: Timestamp,
) -> Result<Option<Vec<Accepted>>> {
    let oldest = now.minus(KEPT).as_millis();
    let found: Option<([u8; 32], String)> = conn
        .prepare_cached(FIND)?
        .query_row((&claim.scope, &claim.key, oldest), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((fingerprint, outcome)) = found else { return Ok(None) };
    if fingerprint != claim.fingerprint {
        return Err(StoreError::IdempotencyMismatch.into());
    }
    serde_json::from_str(&outcome).map(Some).map_err(Failure::corrupt)
}

pub(crate) fn save(
    tx: &Tx<'_>,
    claim: &IdempotencyClaim,
    accepted: &[Accepted],
    now: Timestamp,
) -> Result<()> {
    let outcome = serde_json::to_string(accepted).map_err(Failure::corrupt)?;
    tx.conn.prepare_cached(SAVE)?.execute((
        &claim.scope,
        &claim.key,
        claim.fingerprint.as_slice(),
        outcome,
        now.as_millis(),
    ))?;
    Ok(())
}
