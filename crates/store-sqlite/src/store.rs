//! The store itself: a writer thread, a pool of readers, and how calls reach them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::Ordering},
    thread::JoinHandle,
};

use rusqlite::Connection;
use tidings_core::ports::{ChangeSink, StoreError};
use tokio::sync::mpsc;

use crate::{
    cache::Cache,
    connection,
    failure::{Failure, Result},
    migrations,
    readers::Readers,
    writer::{Gauges, Job, Tx, Weight, Write, Writer},
};

/// Most bytes of writes that wait. With many small ones [`Options::queue`] is the bound, with
/// few large ones this.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// How the store is opened.
#[derive(Clone)]
pub struct Options {
    pub path: PathBuf,
    /// Most reads at the same time.
    pub readers: usize,
    /// Most writes that wait; one more is [`StoreError::Busy`].
    pub queue: usize,
    /// Hears of every committed change.
    pub sink: Arc<dyn ChangeSink>,
    pub synchronous: Synchronous,
}

impl Options {
    /// The defaults: 4 readers, 10,000 writes that wait, every commit synced to the disk.
    pub fn new(path: impl Into<PathBuf>, sink: Arc<dyn ChangeSink>) -> Self {
        let path = path.into();
        Self { path, readers: 4, queue: 10_000, sink, synchronous: Synchronous::Full }
    }
}

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Synced to the disk: survives a power cut.
    #[default]
    Full,
    /// Written to the log: survives a crash of the process, not of the machine.
    Normal,
}

impl Synchronous {
    pub(crate) fn as_pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

/// What the writer did since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Writes that wait now.
    pub queued: usize,
    /// Writes in committed batches.
    pub writes: u64,
    pub batches: u64,
    pub failed_batches: u64,
}

/// The store on one SQLite file. Clones are handles of the same store.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` once closed.
    queue: RwLock<Option<mpsc::Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    readers: Readers,
    gauges: Arc<Gauges>,
    cache: Arc<Cache>,
}

impl SqliteStore {
    /// Opens a database whose schema is current; it changes nothing by itself.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        Self::start(options).map_err(StoreError::from)
    }

    fn start(options: Options) -> Result<Self> {
        if !options.path.exists() {
            let message = format!(
                "there is no database at {}: run `tidings migrate up`",
                options.path.display()
            );
            return Err(StoreError::Unavailable(message).into());
        }
        let conn = connection::open_writer(&options.path, options.synchronous)?;
        migrations::check_current(&conn)?;
        let (sender, queue) = mpsc::channel(options.queue.max(1));
        let gauges = Arc::<Gauges>::default();
        let cache = Arc::new(Cache::new());
        let (sink, shared) = (options.sink, cache.clone());
        let writer =
            Writer { conn, queue, sink, gauges: gauges.clone(), cache: shared, keeps_many: false };
        let thread = std::thread::Builder::new()
            .name("tidings-writer".into())
            .spawn(move || run(writer))
            .map_err(|error| StoreError::Unavailable(format!("no thread to write: {error}")))?;
        Ok(Self {
            inner: Arc::new(Inner {
                queue: RwLock::new(Some(sender)),
                thread: Mutex::new(Some(thread)),
                readers: Readers::new(options.path, options.readers),
                gauges,
                cache,
            }),
        })
    }

    /// Refuses new work, carries out every write that waits, and lets go of the file. Blocks
    /// until that is done.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Writes that wait.
    pub fn queue_len(&self) -> usize {
        self.inner.gauges.queued.load(Ordering::Relaxed)
    }

    pub fn stats(&self) -> Stats {
        let gauges = &self.inner.gauges;
        Stats {
            queued: self.queue_len(),
            writes: gauges.writes.load(Ordering::Relaxed),
            batches: gauges.batches.load(Ordering::Relaxed),
            failed_batches: gauges.failed_batches.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    /// Runs `work` in one snapshot of the database.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.inner.readers.read(work).await
    }

    /// Has `work` carried out by the writer; returns once it is committed. From the first poll
    /// on it will be done, whether or not anybody waits for the answer.
    pub(crate) async fn write<T, F>(&self, weight: Weight, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (job, answer) = Write::boxed(weight, work);
        self.inner.enqueue(job)?;
        answer.await.map_err(|gone| StoreError::from(Failure::from(gone)))?
    }
}

/// Whoever waits for a writer that is gone gets an error: the answers' senders go with it.
fn run(writer: Writer) {
    if catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
        tracing::error!(event = "store_writer_panicked", "the writer is gone: nothing is stored");
    }
}

impl Inner {
    fn enqueue(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or_else(closed)?;
        let bytes = job.weight().bytes;
        // Counted before it is sent: the writer may take it off at once.
        let waiting = self.gauges.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.gauges.queued.fetch_add(1, Ordering::Relaxed);
        let sent = if waiting > 0 && waiting.saturating_add(bytes) > QUEUE_BYTES {
            Err(StoreError::Busy)
        } else {
            queue.try_send(job).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => StoreError::Busy,
                mpsc::error::TrySendError::Closed(_) => closed(),
            })
        };
        if sent.is_err() {
            self.gauges.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.gauges.queued.fetch_sub(1, Ordering::Relaxed);
        }
        sent
    }

    fn close(&self) {
        // The writer ends when the last sender is gone and the queue is empty.
        self.queue.write().unwrap_or_else(PoisonError::into_inner).take();
        self.readers.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        // The sink may hold the last handle; then this is the writer's own thread.
        if thread.thread().id() != std::thread::current().id() {
            // A panic of its own it has logged.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
