//! Idempotency keys: claimed before anything else is looked at, kept with the outcome in the
//! transaction that they protect.

use std::collections::{BTreeMap, HashMap};

use tidings_core::{
    idempotency::{IdempotencyClaim, KEPT},
    ports::{AcceptOutcome, Accepted, StoreError},
    time::Timestamp,
};
use tokio_postgres::Row;

use crate::{
    connection::Connection,
    failure::{Failure, Result},
    sql::{self, together},
};

/// Takes keys that are free or too old, in their order: who finds one that another transaction
/// is just taking waits for its end. A row without an outcome afterwards is ours.
pub(crate) const CLAIM: &str = "INSERT INTO idempotency AS kept
        (scope, key, fingerprint, outcome, note, created_at)
    SELECT w.scope, w.key, w.fingerprint, NULL, w.note, w.now
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::bigint[])
        w (scope, key, fingerprint, note, now)
    ORDER BY w.scope COLLATE \"C\", w.key COLLATE \"C\"
    ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint, outcome = NULL,
        note = excluded.note, created_at = excluded.created_at
        WHERE kept.created_at <= $6";
pub(crate) const CLAIMED: &str =
    "SELECT kept.scope, kept.key, kept.fingerprint, kept.outcome, kept.note
    FROM unnest($1::text[], $2::text[]) w (scope, key)
    JOIN idempotency kept ON kept.scope = w.scope AND kept.key = w.key";
pub(crate) const KEEP: &str = "UPDATE idempotency kept SET outcome = w.outcome
    FROM unnest($1::text[], $2::text[], $3::text[]) w (scope, key, outcome)
    WHERE kept.scope = w.scope AND kept.key = w.key";
pub(crate) const GIVE_UP: &str = "DELETE FROM idempotency kept
    USING unnest($1::text[], $2::text[]) w (scope, key)
    WHERE kept.scope = w.scope AND kept.key = w.key";
/// One older than `$3` counts as absent, whether or not it was pruned yet.
const FIND: &str = "SELECT scope, key, fingerprint, outcome, note FROM idempotency
    WHERE scope = $1 AND key = $2 AND created_at > $3";

/// The outcome of the first request with this key; an error if that was another request.
pub(crate) async fn outcome(
    conn: &Connection,
    claim: &IdempotencyClaim,
    now: Timestamp,
) -> Result<Option<AcceptOutcome>> {
    let oldest = now.minus(KEPT).as_millis();
    let row = sql::row(conn, FIND, &[&claim.scope, &claim.key, &oldest]).await?;
    let Some(row) = row else { return Ok(None) };
    match claimed(&row)?.1.of(claim) {
        Some(known) => Ok(Some(known?)),
        None => Ok(None),
    }
}

/// The keys of a batch, each once: of two requests with the same key the first claims it.
#[derive(Default)]
pub(crate) struct Wanted(BTreeMap<(String, String), (IdempotencyClaim, Timestamp)>);

#[derive(Default)]
pub(crate) struct Columns<'w> {
    pub(crate) scopes: Vec<&'w str>,
    pub(crate) keys: Vec<&'w str>,
    pub(crate) fingerprints: Vec<&'w [u8]>,
    pub(crate) notes: Vec<&'w str>,
    pub(crate) nows: Vec<i64>,
    pub(crate) oldest: i64,
}

impl Wanted {
    pub(crate) fn push(&mut self, claim: &IdempotencyClaim, now: Timestamp) {
        let key = (claim.scope.clone(), claim.key.clone());
        self.0.entry(key).or_insert_with(|| (claim.clone(), now));
    }

    pub(crate) fn columns(&self) -> Columns<'_> {
        let mut columns = Columns::default();
        let mut earliest = i64::MAX;
        for (claim, now) in self.0.values() {
            columns.scopes.push(&claim.scope);
            columns.keys.push(&claim.key);
            columns.fingerprints.push(&claim.fingerprint);
            columns.notes.push(&claim.note);
            columns.nows.push(now.as_millis());
            earliest = earliest.min(now.minus(KEPT).as_millis());
        }
        columns.oldest = earliest;
        columns
    }
}

/// What stands for a key in this transaction.
pub(crate) struct Claimed {
    fingerprint: Vec<u8>,
    note: String,
    outcome: Stand,
}

enum Stand {
    /// Claimed here, and nobody of this batch has carried it out yet.
    Ours,
    /// Carried out here.
    Done(Vec<Accepted>),
    /// Carried out in an earlier transaction.
    Kept(Vec<Accepted>),
    /// Claimed here, and refused.
    Refused(StoreError),
}

pub(crate) fn claimed(row: &Row) -> Result<((String, String), Claimed)> {
    let outcome = match row.try_get::<_, Option<&str>>(3)? {
        Some(json) => Stand::Kept(serde_json::from_str(json).map_err(Failure::corrupt)?),
        None => Stand::Ours,
    };
    let claimed = Claimed { fingerprint: row.try_get(2)?, note: row.try_get(4)?, outcome };
    Ok(((row.try_get(0)?, row.try_get(1)?), claimed))
}

impl Claimed {
    /// What a request with this claim is answered; `None`: it is to be carried out.
    pub(crate) fn of(
        &self,
        claim: &IdempotencyClaim,
    ) -> Option<std::result::Result<AcceptOutcome, StoreError>> {
        let accepted = match &self.outcome {
            Stand::Ours => return None,
            Stand::Refused(error) => return Some(Err(error.clone())),
            Stand::Done(accepted) | Stand::Kept(accepted) => accepted.clone(),
        };
        if self.fingerprint != claim.fingerprint {
            return Some(Err(StoreError::IdempotencyMismatch));
        }
        Some(Ok(AcceptOutcome { accepted, replayed: true, note: self.note.clone() }))
    }

    pub(crate) fn done(&mut self, accepted: &[Accepted]) {
        self.outcome = Stand::Done(accepted.to_vec());
    }

    pub(crate) fn refused(&mut self, error: &StoreError) {
        self.outcome = Stand::Refused(error.clone());
    }
}

/// What is to be kept for the keys that were claimed here.
#[derive(Default)]
pub(crate) struct Outcomes<'c> {
    scopes: Vec<&'c str>,
    keys: Vec<&'c str>,
    outcomes: Vec<String>,
    given_up: (Vec<&'c str>, Vec<&'c str>),
}

impl<'c> Outcomes<'c> {
    pub(crate) fn new(claims: &'c HashMap<(String, String), Claimed>) -> Result<Self> {
        let mut kept = Self::default();
        for ((scope, key), claimed) in claims {
            match &claimed.outcome {
                Stand::Done(accepted) => {
                    kept.scopes.push(scope);
                    kept.keys.push(key);
                    kept.outcomes.push(serde_json::to_string(accepted).map_err(Failure::corrupt)?);
                }
                Stand::Refused(_) | Stand::Ours => {
                    kept.given_up.0.push(scope);
                    kept.given_up.1.push(key);
                }
                Stand::Kept(_) => {}
            }
        }
        Ok(kept)
    }

    pub(crate) async fn write(&self, conn: &Connection) -> Result<()> {
        let Self { scopes, keys, outcomes, given_up } = self;
        let (kept, gone) = together!(
            sql::execute_if(!keys.is_empty(), conn, KEEP, &[scopes, keys, outcomes]),
            sql::execute_if(!given_up.1.is_empty(), conn, GIVE_UP, &[&given_up.0, &given_up.1]),
        );
        kept.and(gone).map(drop)
    }
}
