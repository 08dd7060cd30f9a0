//! Idempotency keys: committed in the transaction that they protect.

use rusqlite::{Connection, OptionalExtension};
use tidings_core::{
    idempotency::{IdempotencyClaim, KEPT},
    ports::{AcceptOutcome, Accepted, StoreError},
    time::Timestamp,
};

use crate::{
    failure::{Failure, Result},
    writer::Tx,
};

/// One older than `?3` counts as absent, whether or not it was pruned yet.
const FIND: &str = "SELECT fingerprint, outcome, note FROM idempotency
    WHERE scope = ?1 AND key = ?2 AND created_at > ?3";
const SAVE: &str = "INSERT INTO idempotency (scope, key, fingerprint, outcome, note, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint,
        outcome = excluded.outcome, note = excluded.note, created_at = excluded.created_at";

/// The outcome of the first request with this key; an error if that was another request.
pub(crate) fn outcome(
    conn: &Connection,
    claim: &IdempotencyClaim,
    now: Timestamp,
) -> Result<Option<AcceptOutcome>> {
    let oldest = now.minus(KEPT).as_millis();
    let found: Option<([u8; 32], String, String)> = conn
        .prepare_cached(FIND)?
        .query_row((&claim.scope, &claim.key, oldest), |row| row.try_into())
        .optional()?;
    let Some((fingerprint, outcome, note)) = found else { return Ok(None) };
    if fingerprint != claim.fingerprint {
        return Err(StoreError::IdempotencyMismatch.into());
    }
    let accepted = serde_json::from_str(&outcome).map_err(Failure::corrupt)?;
    Ok(Some(AcceptOutcome { accepted, replayed: true, note }))
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
        &claim.note,
        now.as_millis(),
    ))?;
    Ok(())
}
