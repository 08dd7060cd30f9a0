//! One lane: takes batches off its queue and carries each out until it is committed, refused,
//! or nobody can know.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use deadpool_postgres::Pool;
use futures_util::FutureExt as _;
use tidings_core::{inbox::InboxChange, ports::StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use uuid::Uuid;

use super::{
    Gauges, Waiting,
    bulk::{Bulk, TOGETHER},
    job::{Alone, Job},
    teller::{Teller, Turn},
    tx::{self, Name, Tx},
};
use crate::{
    connection::Connection,
    failure::{Class, Failure, Result},
    sql::{self, together},
};

/// Most requests in one transaction, and most weight (about: rows): a bound on how long the
/// first caller of a batch waits for the others.
const BATCH_JOBS: usize = 1_024;
const BATCH_WEIGHT: usize = 4_000;

/// A batch looks up a handful of keys in large tables, one by one. The planner, who plans once
/// for batches of any size and for months that are still empty, might rather read whole tables
/// to join them, and keep to that while they grow (see [`Snapshot`](crate::snapshot::Snapshot)).
pub(crate) const SETTINGS: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// How long to wait before each further attempt, and for a transaction to be decided.
const WAITS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];
const DECISIONS: u32 = 100;
const DECISION: Duration = Duration::from_millis(100);

pub(super) struct Lane {
    pool: Pool,
    queue: mpsc::UnboundedReceiver<Waiting>,
    /// Taken off the queue, but not for the last batch.
    next: Option<Waiting>,
    session: Option<Arc<Connection>>,
    /// The last transaction that was begun.
    name: Name,
    teller: Arc<Teller>,
    gauges: Arc<Gauges>,
}

enum Batch {
    Bulk(Bulk),
    Alone(Box<dyn Alone>),
}

/// How an attempt ended.
enum End {
    Committed(Option<Turn>, Vec<Arc<InboxChange>>),
    /// Nothing of it stays.
    Undone(Failure),
    /// The COMMIT was sent and nobody answered.
    Open(Open, Failure),
}

struct Open {
    name: Name,
    turn: Option<Turn>,
    changes: Vec<Arc<InboxChange>>,
}

impl Lane {
    pub(super) fn new(
        pool: Pool,
        queue: mpsc::UnboundedReceiver<Waiting>,
        teller: Arc<Teller>,
        gauges: Arc<Gauges>,
    ) -> Self {
        let name = Name { lane: Uuid::new_v4(), number: 0 };
        Self { pool, queue, next: None, session: None, name, teller, gauges }
    }

    /// Runs until the last handle of the queue is gone and everything in it is done.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            self.carry_out(batch).await;
        }
    }

    async fn next_batch(&mut self) -> Option<Batch> {
        let first = match self.next.take() {
            Some(waiting) => waiting,
            None => self.queue.recv().await?,
        };
        let mut rows = first.weight.rows;
        let mut bulk = Bulk::default();
        if let Some(alone) = self.take(first, &mut bulk) {
            return Some(Batch::Alone(alone));
        }
        while bulk.len() < BATCH_JOBS && rows < BATCH_WEIGHT {
            let Ok(waiting) = self.queue.try_recv() else { break };
            if matches!(waiting.job, Job::Alone(_)) {
                self.next = Some(waiting);
                break;
            }
            rows += waiting.weight.rows;
            self.take(waiting, &mut bulk);
        }
        Some(Batch::Bulk(bulk))
    }

    fn take(&self, waiting: Waiting, bulk: &mut Bulk) -> Option<Box<dyn Alone>> {
        self.gauges.leave(waiting.weight);
        match waiting.job {
            Job::Accept(task) => bulk.accepts.push(task),
            Job::Change(task) => bulk.changes.push(task),
            Job::Acknowledge(task) => bulk.acknowledges.push(task),
            Job::Alone(alone) => return Some(alone),
        }
        None
    }

    /// The requests of a batch that fails together are tried each on its own: the one that is
    /// at fault fails alone.
    async fn carry_out(&mut self, batch: Batch) {
        let Err((batch, failure)) = self.drive(batch).await else { return };
        match batch {
            Batch::Bulk(bulk) if bulk.len() > 1 && concerns_one(&failure) => {
                for one in bulk.each() {
                    if let Err((batch, failure)) = self.drive(Batch::Bulk(one)).await {
                        self.refuse(batch, failure);
                    }
                }
            }
            batch => self.refuse(batch, failure),
        }
    }

    fn refuse(&self, mut batch: Batch, failure: Failure) {
        self.gauges.failed_batches.fetch_add(1, Ordering::Relaxed);
        let error = StoreError::from(failure);
        tracing::error!(
            event = "store_batch_failed", writes = batch.len(), %error,
            "a batch of writes was not committed"
        );
        batch.fail(error);
        batch.answer();
    }

    /// Attempts until it is committed; else gives back what nothing came of, and why.
    async fn drive(&mut self, mut batch: Batch) -> std::result::Result<(), (Batch, Failure)> {
        let mut waits = WAITS.iter();
        loop {
            let failure = match self.attempt(&mut batch).await {
                End::Committed(turn, changes) => {
                    self.committed(turn, changes, batch);
                    return Ok(());
                }
                End::Open(open, failure) => match self.settle(open.name).await {
                    Some(true) => {
                        self.committed(open.turn, open.changes, batch);
                        return Ok(());
                    }
                    Some(false) => failure,
                    // Requests that are told apart by ids are made once, however often they are
                    // driven; of others nobody can say.
                    None if batch.is_idempotent() => failure,
                    None => return Err((batch, failure)),
                },
                End::Undone(failure) => failure,
            };
            // An old primary that takes no writes: by now there may be a new one.
            let again = matches!(failure.class(), Class::Conflict | Class::Lost | Class::ReadOnly);
            match waits.next().filter(|_| again) {
                Some(wait) => tokio::time::sleep(*wait).await,
                None => return Err((batch, failure)),
            }
        }
    }

    fn committed(&self, turn: Option<Turn>, changes: Vec<Arc<InboxChange>>, batch: Batch) {
        self.gauges.batches.fetch_add(1, Ordering::Relaxed);
        self.gauges.writes.fetch_add(batch.len() as u64, Ordering::Relaxed);
        match turn {
            Some(turn) => turn.committed(changes, move || batch.answer()),
            None => batch.answer(),
        }
    }

    async fn session(&mut self) -> Result<Arc<Connection>> {
        if let Some(conn) = &self.session {
            return Ok(conn.clone());
        }
        let conn = Arc::new(self.pool.get().await?);
        conn.batch_execute(SETTINGS).await?;
        sql::prepare(&conn, TOGETHER).await?;
        self.session = Some(conn.clone());
        Ok(conn)
    }

    /// A connection after an error is used again only if the server rolled back on it.
    async fn give_up(&mut self, conn: Arc<Connection>, failure: &Failure) {
        self.session = None;
        if failure.class() == Class::ReadOnly {
            // Those that wait in the pool lead to the same server.
            self.pool.retain(|_, _| false);
        }
        let kept = !spoils_connection(failure) && conn.batch_execute("ROLLBACK").await.is_ok();
        if kept {
            self.session = Some(conn);
        } else if let Some(conn) = Arc::into_inner(conn) {
            // Closed, not given back to the pool.
            drop(deadpool_postgres::Object::take(conn));
        }
    }

    async fn attempt(&mut self, batch: &mut Batch) -> End {
        let conn = match self.session().await {
            Ok(conn) => conn,
            Err(failure) => return End::Undone(failure),
        };
        self.name.number += 1;
        let (teller, name) = (self.teller.clone(), self.name);
        let room = match teller.room().await {
            Ok(room) => room,
            Err(failure) => return End::Undone(failure),
        };
        let attempt = one_transaction(&conn, name, &teller, room, batch);
        let attempt = AssertUnwindSafe(attempt).catch_unwind();
        let end = attempt.await.unwrap_or_else(|_| {
            tracing::error!(event = "store_write_panicked", "a write panicked and was undone");
            let panicked = StoreError::Internal("the write panicked".into());
            End::Undone(panicked.into())
        });
        if let End::Undone(failure) | End::Open(_, failure) = &end {
            self.give_up(conn, failure).await;
        }
        end
    }

    /// Asks the database whether a transaction was committed. `None`: it does not say.
    async fn settle(&mut self, name: Name) -> Option<bool> {
        tracing::warn!(event = "store_commit_unanswered", ?name, "asking what became of it");
        for _ in 0..DECISIONS {
            if let Ok(conn) = self.session().await {
                match tx::was_committed(&conn, name).await {
                    Ok(committed) => return Some(committed),
                    Err(failure) => self.give_up(conn, &failure).await,
                }
            }
            tokio::time::sleep(DECISION).await;
        }
        None
    }
}

/// Whether the connection must not be used again.
fn spoils_connection(failure: &Failure) -> bool {
    matches!(failure.class(), Class::Lost | Class::Away | Class::ReadOnly)
}

/// Whether one request may be what spoilt the batch for all.
fn concerns_one(failure: &Failure) -> bool {
    matches!(failure.class(), Class::Other | Class::TimedOut | Class::Conflict)
}

async fn one_transaction(
    conn: &Arc<Connection>,
    name: Name,
    teller: &Arc<Teller>,
    room: OwnedSemaphorePermit,
    batch: &mut Batch,
) -> End {
    let mut tx = Tx::new(conn.clone());
    let books = match batch {
        Batch::Bulk(bulk) => match bulk.begin(&mut tx, name).await {
            Ok(books) => Some(books),
            Err(failure) => return End::Undone(failure),
        },
        Batch::Alone(alone) => {
            let begun = async {
                tx::begin(conn, name).await?;
                alone.run(&mut tx).await
            };
            match begun.await {
                Ok(()) => None,
                Err(failure) => return End::Undone(failure),
            }
        }
    };
    let changes = std::mem::take(&mut tx.changes);
    let turn = (!changes.is_empty()).then(|| teller.turn(room));
    let open = Open { name, turn, changes };
    let write = async {
        match &books {
            Some(books) => books.write(conn).await,
            None => Ok(()),
        }
    };
    let (written, committed) = together!(write, tx::commit(conn));
    match written.and(committed) {
        Ok(()) => End::Committed(open.turn, open.changes),
        Err(failure) if failure.class() == Class::Lost => End::Open(open, failure),
        // The server found fault with a statement: the COMMIT behind it rolled back.
        Err(failure) => End::Undone(failure),
    }
}

impl Batch {
    fn len(&self) -> usize {
        match self {
            Self::Bulk(bulk) => bulk.len(),
            Self::Alone(_) => 1,
        }
    }

    /// Whether driving it twice does no more than driving it once.
    fn is_idempotent(&self) -> bool {
        match self {
            Self::Bulk(bulk) => bulk.changes.is_empty(),
            Self::Alone(_) => false,
        }
    }

    fn fail(&mut self, error: StoreError) {
        match self {
            Self::Bulk(bulk) => bulk.fail(&error),
            Self::Alone(alone) => alone.fail(error),
        }
    }

    fn answer(self) {
        match self {
            Self::Bulk(bulk) => bulk.answer(),
            Self::Alone(alone) => alone.answer(),
        }
    }
}
