//! What applications published from inside their own transactions (`tidings_notify`). Entries
//! are taken in the transaction that numbers them: each is carried out once, whatever dies when.

use std::sync::Arc;

use tidings_core::{
    ids::NotificationId,
    notification::NewMessage,
    ports::{Accept, Accepted, StoreError},
    time::Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    PostgresStore, accept, connection,
    failure::Result,
    lane::{self, Tx, Weight},
    rows::{from_limit, to_time},
    sql,
};

/// Most looks find nothing: they cost no transaction that writes.
const WAITS: &str = "SELECT EXISTS (SELECT FROM outbox)";
/// Nobody waits for what another node has in hand.
pub(crate) const TAKE: &str = "DELETE FROM outbox WHERE number = ANY (ARRAY(
        SELECT number FROM outbox ORDER BY number LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING number, id, body, created_at";
const BURY: &str = "INSERT INTO outbox_dead (number, id, body, created_at, reason, died_at)
    SELECT w.*, $6 FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::bigint[], $5::text[]) w";
/// Longest reason that is kept, in characters.
const MOST_REASON: usize = 2_000;

/// An entry as the application wrote it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: NotificationId,
    pub body: String,
    /// When `tidings_notify` was called.
    pub created_at: Timestamp,
    number: i64,
}

/// Makes a message of an entry, or says why it is none.
pub type Check = Arc<dyn Fn(&Entry) -> std::result::Result<NewMessage, String> + Send + Sync>;

/// What became of the entries that were taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    pub accepted: u64,
    /// Of these, those that are announcements.
    pub announced: Vec<Accepted>,
    /// Those that went to `outbox_dead`, each with why.
    pub dead: Vec<(NotificationId, String)>,
}

impl Taken {
    /// How many entries are out of the way.
    pub fn entries(&self) -> u64 {
        self.accepted + self.dead.len() as u64
    }
}

impl PostgresStore {
    /// Carries out up to `limit` entries of the outbox. What `check` refuses goes to
    /// `outbox_dead`; so does an entry that the database refuses.
    pub async fn take_outbox(
        &self,
        limit: usize,
        now: Timestamp,
        check: Check,
    ) -> Result<Taken, StoreError> {
        if !self.outbox_waits().await? {
            return Ok(Taken::default());
        }
        match self.take(limit, now, check.clone()).await {
            // One of them spoils the others.
            Err(StoreError::Internal(_)) => {}
            done => return done,
        }
        match self.take(1, now, check).await {
            Err(StoreError::Internal(why)) => {
                self.take(1, now, Arc::new(move |_| Err(why.clone()))).await
            }
            done => done,
        }
    }

    /// Calls `heard` whenever a transaction that published says so, and once at the beginning.
    /// Returns when the connection of its own ends on which it listens.
    pub async fn listen_outbox(&self, heard: impl Fn() + Send) -> Result<(), StoreError> {
        let listening = connection::listen(self.address(), "tidings_outbox", heard).await;
        Ok(listening?)
    }

    async fn outbox_waits(&self) -> Result<bool> {
        let row = sql::row(&self.reader().await?, WAITS, &[]).await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }

    async fn take(&self, limit: usize, now: Timestamp, check: Check) -> Result<Taken, StoreError> {
        self.write("outbox", Weight { rows: limit, bytes: 256 }, move |tx| {
            let check = check.clone();
            Box::pin(async move { take(tx, limit, now, &check).await })
        })
        .await
    }
}

async fn take(tx: &mut Tx, limit: usize, now: Timestamp, check: &Check) -> Result<Taken> {
    let mut taken = Taken::default();
    let rows = sql::rows(&tx.conn, TAKE, &[&from_limit(limit)]).await?;
    let mut entries = rows.iter().map(entry).collect::<Result<Vec<_>>>()?;
    entries.sort_unstable_by_key(|entry| entry.number);
    let (mut requests, mut dead) = (Vec::new(), Vec::new());
    for entry in entries {
        match check(&entry) {
            Ok(message) => {
                let accept = Accept { messages: vec![message], idempotency: None, now };
                requests.push(accept::Request::new(accept)?);
            }
            Err(why) => dead.push((entry, why.chars().take(MOST_REASON).collect::<String>())),
        }
    }
    for outcome in lane::accept_in(tx, &requests).await? {
        // A refusal (too many announcements wait) leaves all entries where they are.
        let outcome = outcome?;
        taken.accepted += 1;
        taken.announced.extend(outcome.accepted.into_iter().filter(|accepted| accepted.announced));
    }
    bury(tx, &dead, now).await?;
    taken.dead = dead.into_iter().map(|(entry, why)| (entry.id, why)).collect();
    Ok(taken)
}

fn entry(row: &Row) -> Result<Entry> {
    Ok(Entry {
        number: row.try_get(0)?,
        id: NotificationId(row.try_get(1)?),
        body: row.try_get(2)?,
        created_at: to_time(row.try_get(3)?),
    })
}

async fn bury(tx: &Tx, dead: &[(Entry, String)], now: Timestamp) -> Result<()> {
    if dead.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = dead.iter().map(|(entry, _)| entry.number).collect();
    let ids: Vec<Uuid> = dead.iter().map(|(entry, _)| entry.id.0).collect();
    let bodies: Vec<&str> = dead.iter().map(|(entry, _)| entry.body.as_str()).collect();
    let times: Vec<i64> = dead.iter().map(|(entry, _)| entry.created_at.as_millis()).collect();
    let reasons: Vec<_> = dead.iter().map(|(_, why)| crate::rows::storable(why)).collect();
    let reasons: Vec<&str> = reasons.iter().map(AsRef::as_ref).collect();
    let at = now.as_millis();
    sql::execute(&tx.conn, BURY, &[&numbers, &ids, &bodies, &times, &reasons, &at]).await.map(drop)
}
