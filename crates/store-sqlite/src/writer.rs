//! The one writer: a thread that carries out every write, many in one transaction.
//!
//! A batch is the first write that waits and whatever queued up while the last batch was
//! committed; there is no timer. One caller alone gets a commit of its own at once, hundreds
//! share one `fsync`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use rusqlite::Connection;
use tidings_core::{
    inbox::InboxChange,
    ports::{ChangeSink, StoreError},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    cache::{Cache, Touched},
    connection,
    failure::{Failure, Result, from_sql},
};

/// Most writes in one transaction, and most weight (about: rows): a bound on how long the
/// first caller of a batch waits for the others.
const BATCH_JOBS: usize = 1_024;
const BATCH_WEIGHT: usize = 10_000;

/// How long the writer keeps its pages when there is nothing to write. The kernel has them too.
pub(crate) const KEEPS_PAGES: Duration = Duration::from_secs(1);

type Outcome<T> = std::result::Result<T, StoreError>;

/// What one write works with: the connection, inside the batch's transaction, and the changes
/// that the sink will hear of once it is committed.
pub(crate) struct Tx<'c> {
    pub(crate) conn: &'c Connection,
    changes: Vec<Arc<InboxChange>>,
    /// Beside the inboxes of the changes.
    pub(crate) touched: Touched,
}

impl Tx<'_> {
    pub(crate) fn emit(&mut self, change: InboxChange) {
        self.changes.push(Arc::new(change));
    }

    /// What of a write may fail without the rest of it: then nothing of this part stays.
    pub(crate) fn part<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        execute(self.conn, "SAVEPOINT part")?;
        let heard = self.changes.len();
        let outcome = work(self);
        if outcome.is_err() {
            self.changes.truncate(heard);
            if self.conn.is_autocommit() {
                return outcome;
            }
            execute(self.conn, "ROLLBACK TO part")?;
        }
        execute(self.conn, "RELEASE part")?;
        outcome
    }
}

/// A write on its way: carried out in a batch, answered after its commit.
pub(crate) trait Job: Send {
    fn weight(&self) -> Weight;
    /// `Err` when nothing of it may stay.
    fn run(&mut self, tx: &mut Tx<'_>) -> Outcome<()>;
    fn fail(&mut self, error: StoreError);
    /// `lost`: why the batch was not committed.
    fn answer(self: Box<Self>, lost: Option<&StoreError>);
}

/// What a write costs while it waits and when it runs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weight {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// A closure as a [`Job`].
pub(crate) struct Write<T, F> {
    pub(crate) work: Option<F>,
    pub(crate) weight: Weight,
    /// `None` until it ran.
    pub(crate) result: Option<Outcome<T>>,
    pub(crate) reply: oneshot::Sender<Outcome<T>>,
}

impl<T, F> Write<T, F>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
{
    pub(crate) fn boxed(weight: Weight, work: F) -> (Box<dyn Job>, oneshot::Receiver<Outcome<T>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { work: Some(work), weight, result: None, reply }), answer)
    }
}

impl<T, F> Job for Write<T, F>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
{
    fn weight(&self) -> Weight {
        self.weight
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Outcome<()> {
        let Some(work) = self.work.take() else { return Ok(()) };
        match work(tx) {
            Ok(value) => {
                self.result = Some(Ok(value));
                Ok(())
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>, lost: Option<&StoreError>) {
        let answer = match (self.result, lost) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(lost)) => Err(lost.clone()),
            (Some(done), None) => done,
            (None, None) => Err(StoreError::Internal("the write was not carried out".into())),
        };
        // A caller that went away is not told; what it asked for is done all the same.
        let _ = self.reply.send(answer);
    }
}

/// Counters that anybody may read while the writer works.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) queued: AtomicUsize,
    pub(crate) queued_bytes: AtomicUsize,
    pub(crate) writes: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) failed_batches: AtomicU64,
}

pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) queue: mpsc::Receiver<Box<dyn Job>>,
    pub(crate) sink: Arc<dyn ChangeSink>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) cache: Arc<Cache>,
    /// Its cache of pages is the wide one.
    pub(crate) keeps_many: bool,
}

impl Writer {
    /// Runs until the last handle of the queue is gone and everything in it is done.
    pub(crate) fn run(mut self) {
        while let Some(batch) = self.next_batch() {
            self.carry_out(batch);
        }
        // Leaves one whole file behind; what stays in the log is not lost if this fails.
        if let Err(error) = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(event = "store_checkpoint_failed", %error, "the log stays");
        }
    }

    fn next_batch(&mut self) -> Option<Vec<Box<dyn Job>>> {
        let first = self.next_job()?;
        let mut rows = first.weight().rows;
        let mut bytes = first.weight().bytes;
        let mut batch = vec![first];
        while batch.len() < BATCH_JOBS && rows < BATCH_WEIGHT {
            let Ok(job) = self.queue.try_recv() else { break };
            rows += job.weight().rows;
            bytes += job.weight().bytes;
            batch.push(job);
        }
        self.gauges.queued.fetch_sub(batch.len(), Ordering::Relaxed);
        self.gauges.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(batch)
    }

    /// Waits for a write. When none comes for a while, the pages of those before go: a crowd that has connected, or
    /// gone, would leave megabytes of its history here for as long as the server runs.
    fn next_job(&mut self) -> Option<Box<dyn Job>> {
        if let Ok(job) = self.queue.try_recv() {
            return Some(job);
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut waits = Context::from_waker(&waker);
        if let Poll::Ready(job) = self.queue.poll_recv(&mut waits) {
            return job;
        }
        thread::park_timeout(KEEPS_PAGES);
        if let Poll::Ready(job) = self.queue.poll_recv(&mut waits) {
            return job;
        }
        self.keep_pages(false);
        self.queue.blocking_recv()
    }

    /// `many`: those of inboxes, which are written to again.
    fn keep_pages(&mut self, many: bool) {
        let kept = match many {
            true if self.keeps_many => return,
            true => connection::widen_cache(&self.conn),
            false => connection::narrow_cache(&self.conn),
        };
        self.keeps_many = many;
        if let Err(error) = kept {
            tracing::debug!(%error, many, "the writer's cache has the size that it had");
        }
    }

    /// One transaction; then the sink hears of its changes; then the callers are answered.
    fn carry_out(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let outcome = commit_together(&self.conn, &mut batch);
        self.gauges.batches.fetch_add(1, Ordering::Relaxed);
        let lost = match outcome {
            Ok(Committed { changes, touched }) => {
                if !changes.is_empty() {
                    self.keep_pages(true);
                }
                self.cache.forget(changes.iter().map(|change| &change.user));
                self.cache.forget_touched(&touched);
                self.gauges.writes.fetch_add(batch.len() as u64, Ordering::Relaxed);
                self.tell(changes);
                None
            }
            Err(error) => {
                self.gauges.failed_batches.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    event = "store_batch_failed", writes = batch.len(), %error,
                    "a batch of writes was not committed"
                );
                Some(error)
            }
        };
        for job in batch {
            job.answer(lost.as_ref());
        }
    }

    fn tell(&self, changes: Vec<Arc<InboxChange>>) {
        if changes.is_empty() {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| self.sink.committed(changes))).is_err() {
            // What it missed, clients find by their revs.
            tracing::error!(event = "store_sink_panicked", "the sink of changes panicked");
        }
    }
}

/// Ends a thread's pause.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What a transaction has changed.
struct Committed {
    changes: Vec<Arc<InboxChange>>,
    touched: Touched,
}

/// All jobs in one transaction. `Err`: none of them was carried out, whatever they answered.
fn commit_together(conn: &Connection, batch: &mut [Box<dyn Job>]) -> Outcome<Committed> {
    let outcome = begin(conn).and_then(|()| {
        let changes = Vec::with_capacity(batch.len());
        let mut tx = Tx { conn, changes, touched: Touched::default() };
        for job in batch.iter_mut() {
            run_alone(job.as_mut(), &mut tx)?;
        }
        execute(conn, "COMMIT")?;
        Ok(Committed { changes: tx.changes, touched: tx.touched })
    });
    if outcome.is_err() && !conn.is_autocommit() {
        // A rollback that fails leaves a transaction: the next `begin` tries again.
        if let Err(error) = execute(conn, "ROLLBACK") {
            tracing::error!(event = "store_rollback_failed", %error, "cannot roll back");
        }
    }
    outcome
}

fn begin(conn: &Connection) -> Outcome<()> {
    if !conn.is_autocommit() {
        execute(conn, "ROLLBACK")?;
    }
    execute(conn, "BEGIN IMMEDIATE")
}

/// One job in a savepoint of its own: if it fails or panics, it alone is undone. `Err` when the
/// transaction as a whole is lost, which SQLite does by itself when the disk is full.
fn run_alone(job: &mut dyn Job, tx: &mut Tx<'_>) -> Outcome<()> {
    execute(tx.conn, "SAVEPOINT job")?;
    let heard = tx.changes.len();
    let outcome = catch_unwind(AssertUnwindSafe(|| job.run(tx))).unwrap_or_else(|_| {
        tracing::error!(event = "store_write_panicked", "a write panicked and was undone");
        Err(StoreError::Internal("the write panicked".into()))
    });
    if let Err(error) = outcome {
        job.fail(error.clone());
        tx.changes.truncate(heard);
        if tx.conn.is_autocommit() {
            return Err(error);
        }
        execute(tx.conn, "ROLLBACK TO job")?;
    }
    execute(tx.conn, "RELEASE job")
}

/// What fails here fails for reasons outside of the writes themselves.
fn execute(conn: &Connection, sql: &'static str) -> Outcome<()> {
    let run = || conn.prepare_cached(sql)?.execute([]);
    run().map(drop).map_err(|error| match from_sql(&error) {
        StoreError::Internal(message) => StoreError::Unavailable(message),
        other => other,
    })
}

impl From<oneshot::error::RecvError> for Failure {
    fn from(_: oneshot::error::RecvError) -> Self {
        Self::Store(StoreError::Unavailable("the writer is gone".into()))
    }
}
