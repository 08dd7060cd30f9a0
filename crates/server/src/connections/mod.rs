//! The history of connections on its way into the store.
//!
//! A connection waits for nothing: what happens to it is noted in a bounded queue that
//! `workers/connections.rs` writes in batches.

mod archive;
mod note;

use std::sync::Arc;

use parking_lot::Mutex;
use tidings_core::ports::{Store, StoreError};
use tokio::sync::Notify;

use crate::{backlog::Backlog, metrics::Metrics};

pub use archive::Archive;
pub use note::{Happened, client_kind, user_agent};

/// Notes that may wait for the store: as many as come in seconds when everybody connects anew.
const WAITING: usize = 50_000;
/// Notes in one transaction: with more the same pages are written less often, but whatever else is to be written
/// waits for longer.
const BATCH: usize = 1_000;

pub struct ConnectionHistory {
    /// `None`: nothing is kept.
    waiting: Option<Mutex<Backlog<Happened>>>,
    node: String,
    metrics: Arc<Metrics>,
    /// There is something to write.
    pub(crate) noted: Notify,
}

impl ConnectionHistory {
    /// Of this node.
    pub fn new(node: &str, is_kept: bool, metrics: Arc<Metrics>) -> Self {
        let waiting = is_kept.then(|| Mutex::new(Backlog::new(WAITING)));
        Self { waiting, node: node.to_owned(), metrics, noted: Notify::new() }
    }

    pub fn is_kept(&self) -> bool {
        self.waiting.is_some()
    }

    /// Takes down what happened, if anything is kept.
    pub fn note(&self, happened: Happened) {
        let Some(waiting) = &self.waiting else { return };
        let mut waiting = waiting.lock();
        let was_empty = waiting.is_empty();
        let pushed = waiting.push(happened);
        drop(waiting);
        match pushed {
            Ok(()) if was_empty => self.noted.notify_one(),
            Ok(()) => {}
            Err(full) => {
                self.metrics.connection_notes_dropped(1);
                if full.is_news {
                    tracing::warn!(
                        waiting = WAITING,
                        "the history of connections is behind: it has gaps until the store has taken some"
                    );
                }
            }
        }
    }

    /// Writes everything that waits.
    pub async fn flush(&self, store: &dyn Store) -> Result<(), StoreError> {
        let Some(waiting) = &self.waiting else { return Ok(()) };
        loop {
            let batch = waiting.lock().take(BATCH);
            if batch.is_empty() {
                return Ok(());
            }
            let notes = note::notes(&self.node, &batch);
            if let Err(problem) = store.note_connections(notes).await {
                let lost = waiting.lock().put_back(batch);
                self.metrics.connection_notes_dropped(lost as u64);
                return Err(problem);
            }
            waiting.lock().written();
        }
    }
}
