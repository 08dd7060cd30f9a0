//! Lanes: the tasks that write inboxes, each with a connection of its own, many requests in one
//! transaction.
//!
//! A batch is the first request that waits and whatever queued up while the last batch was
//! committed; there is no timer. One caller alone gets a commit of its own at once, hundreds
//! share one flush of the log. Requests go to a lane by their user, so that those which would
//! wait for each other's locks are carried out by one; upkeep has a lane of its own, so that an
//! announcement to everybody is in nobody's way.

mod bulk;
mod job;
mod run;
mod teller;
mod tx;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use deadpool_postgres::Pool;
use tidings_core::ports::{ChangeSink, StoreError};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::failure::Result;

pub(crate) use bulk::accept_in;
pub(crate) use job::{Job, Outcome, Step, Task, Weight};
#[cfg(test)]
pub(crate) use run::SETTINGS;
pub(crate) use tx::Tx;

/// Most bytes of writes that wait. With many small ones the queue's length is the bound, with
/// few large ones this.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// Counters that anybody may read while the lanes work.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) queued: AtomicUsize,
    queued_bytes: AtomicUsize,
    /// Writes in committed batches.
    pub(crate) writes: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) failed_batches: AtomicU64,
}

/// A job with what it weighs.
struct Waiting {
    job: Job,
    weight: Weight,
}

pub(crate) struct Lanes {
    /// `None` once closed. The last one is for upkeep.
    queues: RwLock<Option<Vec<mpsc::UnboundedSender<Waiting>>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Tells the sink; ends with the last lane.
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    hasher: RandomState,
    most: usize,
    pub(crate) gauges: Arc<Gauges>,
}

impl Lanes {
    /// How many connections `lanes` lanes keep.
    pub(crate) fn connections(lanes: usize) -> usize {
        lanes.max(1) + 1
    }

    /// Starts the lanes; at most `most` writes wait.
    pub(crate) fn start(
        pool: &Pool,
        lanes: usize,
        most: usize,
        sink: Arc<dyn ChangeSink>,
    ) -> Result<Self> {
        let (teller, thread) = teller::Teller::start(sink)?;
        let gauges = Arc::<Gauges>::default();
        let mut queues = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..Self::connections(lanes) {
            let (sender, queue) = mpsc::unbounded_channel();
            let lane = run::Lane::new(pool.clone(), queue, teller.clone(), gauges.clone());
            queues.push(sender);
            tasks.push(tokio::spawn(lane.run()));
        }
        Ok(Self {
            queues: RwLock::new(Some(queues)),
            tasks: Mutex::new(tasks),
            thread: Mutex::new(Some(thread)),
            hasher: RandomState::new(),
            most,
            gauges,
        })
    }

    /// Queues a job where those of the same user (or key) go.
    pub(crate) fn enqueue(&self, route: &str, weight: Weight, job: Job) -> Outcome<()> {
        self.send(weight, job, |queues| {
            let hash = self.hasher.hash_one(route);
            usize::try_from(hash % (queues - 1).max(1) as u64).unwrap_or(0)
        })
    }

    pub(crate) fn enqueue_upkeep(&self, weight: Weight, job: Job) -> Outcome<()> {
        self.send(weight, job, |queues| queues - 1)
    }

    fn send(&self, weight: Weight, job: Job, choose: impl FnOnce(usize) -> usize) -> Outcome<()> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let queues = queues.as_ref().ok_or_else(closed)?;
        // Counted before it is sent: the lane may take it off at once.
        let bytes = self.gauges.queued_bytes.fetch_add(weight.bytes, Ordering::Relaxed);
        let jobs = self.gauges.queued.fetch_add(1, Ordering::Relaxed);
        let full =
            jobs >= self.most || (bytes > 0 && bytes.saturating_add(weight.bytes) > QUEUE_BYTES);
        let sent = match (full, queues.get(choose(queues.len()))) {
            (true, _) => Err(StoreError::Busy),
            (false, None) => Err(closed()),
            (false, Some(queue)) => queue.send(Waiting { job, weight }).map_err(|_| closed()),
        };
        if sent.is_err() {
            self.gauges.leave(weight);
        }
        sent
    }

    /// Refuses new work and waits until all that was queued is done.
    pub(crate) async fn close(&self) {
        self.queues.write().unwrap_or_else(PoisonError::into_inner).take();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A panic of its own it has logged.
            let _ = task.await;
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(|| thread.join()).await;
        }
    }
}

impl Gauges {
    fn leave(&self, weight: Weight) {
        self.queued_bytes.fetch_sub(weight.bytes, Ordering::Relaxed);
        self.queued.fetch_sub(1, Ordering::Relaxed);
    }
}
