//! Publishes committed changes: from the store's writer to the bus.

use std::sync::Arc;

use tidings_core::{
    inbox::{ChangeKind, InboxChange},
    ports::{Bus, ChangeSink},
};
use tokio::sync::mpsc;

use crate::metrics::Metrics;

/// Batches of changes that may wait for the bus before the store's writer waits too.
const WAITING: usize = 1_024;

/// The store's end: hears of every commit.
struct Committed(mpsc::Sender<Vec<Arc<InboxChange>>>);

impl ChangeSink for Committed {
    fn committed(&self, changes: Vec<Arc<InboxChange>>) {
        // The writer has a thread of its own, so it may block. An error means that the server
        // is ending: clients ask the store when they come back.
        if self.0.blocking_send(changes).is_err() {
            tracing::debug!("changes committed after the publisher ended");
        }
    }
}

/// The bus's end: carries on what the store committed, in order.
pub struct Publisher {
    changes: mpsc::Receiver<Vec<Arc<InboxChange>>>,
}

/// The two ends of the way from the store to the bus.
pub fn channel() -> (Arc<dyn ChangeSink>, Publisher) {
    let (sender, changes) = mpsc::channel(WAITING);
    (Arc::new(Committed(sender)), Publisher { changes })
}

impl Publisher {
    /// Runs until the store is closed.
    pub async fn run(mut self, bus: Arc<dyn Bus>, metrics: Arc<Metrics>) {
        while let Some(changes) = self.changes.recv().await {
            count(&changes, &metrics);
            if let Err(problem) = bus.publish(&changes).await {
                // Hints only: devices that miss one see the gap at the next.
                tracing::warn!(%problem, changes = changes.len(), "changes were not published");
            }
        }
    }
}

fn count(changes: &[Arc<InboxChange>], metrics: &Metrics) {
    for change in changes {
        if let ChangeKind::Added { message, .. } = &change.kind {
            metrics.notification_created(&message.kind);
        }
    }
}
