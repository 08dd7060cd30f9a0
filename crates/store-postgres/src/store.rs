//! The store itself: its pools, and how calls reach them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use deadpool_postgres::Pool;
use tidings_core::{
    ports::{ChangeSink, StoreError},
    time::Timestamp,
};
use tokio::sync::oneshot;

use crate::{
    address::Address,
    connection::{self, Connection, Use},
    failure::Result,
    import,
    lane::{Job, Lanes, Outcome, Step, Task, Tx, Weight},
    migrations, months,
    replicas::Replicas,
    snapshot::Snapshot,
};

/// How the store is opened.
#[derive(Clone)]
pub struct Options {
    pub address: Address,
    /// Copies of the database, for lists and history.
    pub replicas: Vec<Address>,
    /// Most reads at the same time.
    pub readers: usize,
    /// Lanes that write inboxes, each with a connection of its own.
    pub lanes: usize,
    /// Most other writes at the same time.
    pub writers: usize,
    /// Most writes that wait for a lane; one more is [`StoreError::Busy`].
    pub queue: usize,
    pub timeouts: Timeouts,
    pub application_name: String,
    /// Keep months until all of them may go, and drop them whole: cheap, but some rows stay for
    /// up to a month longer. Else retention goes row by row, and drops months only as a whole
    /// if they are behind.
    pub whole_months: bool,
    /// Hears of every committed change.
    pub sink: Arc<dyn ChangeSink>,
}

impl Options {
    /// The defaults: 8 readers, 3 lanes, 2 writers, 10,000 writes that wait.
    pub fn new(address: Address, sink: Arc<dyn ChangeSink>) -> Self {
        Self {
            address,
            replicas: Vec::new(),
            readers: 8,
            lanes: 3,
            writers: 2,
            queue: 10_000,
            timeouts: Timeouts::default(),
            application_name: connection::APPLICATION.into(),
            whole_months: false,
            sink,
        }
    }
}

/// How long is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For one statement; zero is without end.
    pub statement: Duration,
    /// For one lock; zero is without end.
    pub lock: Duration,
    /// For a new connection.
    pub connect: Duration,
    /// For a connection of the pool; then it is [`StoreError::Busy`].
    pub acquire: Duration,
}

impl Default for Timeouts {
    /// 10 s for a statement, 5 s for everything else.
    fn default() -> Self {
        let short = Duration::from_secs(5);
        Self { statement: Duration::from_secs(10), lock: short, connect: short, acquire: short }
    }
}

/// What the store does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Connections that read, and how many of them are in use.
    pub readers: usize,
    pub readers_busy: usize,
    /// Connections that write, lanes and others, and how many of them are in use.
    pub writers: usize,
    pub writers_busy: usize,
    /// Writes that wait for a lane.
    pub queued: usize,
    /// Writes in committed batches of the lanes.
    pub writes: u64,
    pub batches: u64,
    pub failed_batches: u64,
    /// Answers that replicas gave, and those that the primary gave in their place.
    pub replica_answers: u64,
    pub replica_misses: u64,
}

/// The store on one PostgreSQL database. Clones are handles of the same store.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    address: Address,
    readers: Pool,
    writers: Pool,
    replicas: Replicas,
    lanes: Lanes,
    whole_months: bool,
}

impl PostgresStore {
    /// Opens a database whose schema this version can use; it changes nothing by itself.
    pub async fn open(options: Options) -> Result<Self, StoreError> {
        Self::start(options).await.map_err(StoreError::from)
    }

    async fn start(options: Options) -> Result<Self> {
        let writing = Lanes::connections(options.lanes) + options.writers.max(1);
        let pool = |usage, size| connection::pool(&options, &options.address, usage, size);
        let (readers, writers) = (pool(Use::Read, options.readers)?, pool(Use::Write, writing)?);
        let replicas = Replicas::new(&options)?;
        let reader = readers.get().await?;
        migrations::check_usable(&reader).await?;
        import::check_whole(&reader).await?;
        drop(reader);
        months::make_all(&writers.get().await?, Timestamp::from_millis(i64::MAX)).await?;
        let lanes = Lanes::start(&writers, options.lanes, options.queue, options.sink.clone())?;
        let (address, whole_months) = (options.address, options.whole_months);
        Ok(Self {
            inner: Arc::new(Inner { address, readers, writers, replicas, lanes, whole_months }),
        })
    }

    /// Refuses new work, carries out every write that waits, and lets go of the connections.
    pub async fn close(&self) {
        self.inner.lanes.close().await;
        self.inner.writers.close();
        self.inner.readers.close();
        self.inner.replicas.close();
    }

    pub fn stats(&self) -> Stats {
        let (readers, writers) = (self.inner.readers.status(), self.inner.writers.status());
        let gauges = &self.inner.lanes.gauges;
        Stats {
            readers: readers.size,
            readers_busy: readers.size.saturating_sub(readers.available),
            writers: writers.size,
            writers_busy: writers.size.saturating_sub(writers.available),
            queued: gauges.queued.load(Ordering::Relaxed),
            writes: gauges.writes.load(Ordering::Relaxed),
            batches: gauges.batches.load(Ordering::Relaxed),
            failed_batches: gauges.failed_batches.load(Ordering::Relaxed),
            replica_answers: self.inner.replicas.answers.load(Ordering::Relaxed),
            replica_misses: self.inner.replicas.left_to_primary.load(Ordering::Relaxed),
        }
    }

    /// A connection to the primary for reading: what was committed before is seen.
    pub(crate) async fn reader(&self) -> Result<Connection> {
        Ok(self.inner.readers.get().await?)
    }

    /// A connection that writes. A lane keeps one; others give it back as soon as they can.
    pub(crate) async fn writer(&self) -> Result<Connection> {
        Ok(self.inner.writers.get().await?)
    }

    /// Drops the connections that nobody uses.
    pub(crate) fn forget_writers(&self) {
        self.inner.writers.retain(|_, _| false);
    }

    pub(crate) fn address(&self) -> &Address {
        &self.inner.address
    }

    pub(crate) fn replicas(&self) -> &Replicas {
        &self.inner.replicas
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.inner.lanes
    }

    pub(crate) fn whole_months(&self) -> bool {
        self.inner.whole_months
    }

    /// A transaction on the primary that only reads, for more than one statement.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::begin(self.reader().await?))
    }

    /// Has `work` carried out in a transaction of its own, in the lane of `route`; returns once
    /// it is committed. From the first poll on it will be done, whether or not anybody waits.
    pub(crate) async fn write<T, F>(
        &self,
        route: &str,
        weight: Weight,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Tx) -> Step<'a, T> + Send + 'static,
    {
        let (task, answer) = Task::new(work);
        self.inner.lanes.enqueue(route, weight, Job::Alone(Box::new(task)))?;
        Self::answer(answer).await
    }

    /// The same in the lane of upkeep, for a work on up to `rows` rows.
    pub(crate) async fn upkeep<T, F>(&self, rows: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Tx) -> Step<'a, T> + Send + 'static,
    {
        let (task, answer) = Task::new(work);
        let weight = Weight { rows, bytes: 256 };
        self.inner.lanes.enqueue_upkeep(weight, Job::Alone(Box::new(task)))?;
        Self::answer(answer).await
    }

    pub(crate) async fn answer<T>(answer: oneshot::Receiver<Outcome<T>>) -> Result<T, StoreError> {
        answer.await.map_err(|_| StoreError::Unavailable("the lane is gone".into()))?
    }
}
