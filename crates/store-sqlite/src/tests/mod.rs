//! What the conformance suite cannot see: batches, failures of the disk, query plans.

mod batches;
mod failures;
mod plans;

use std::sync::{Arc, mpsc};

use tempfile::TempDir;
use tidings_core::ports::Accept;
use tidings_testkit::{ManualClock, RecordingSink, message};

use crate::{Options, SqliteStore, migrations, writer::Weight};

/// A store on a fresh database.
pub(crate) struct Bench {
    pub(crate) store: SqliteStore,
    pub(crate) sink: Arc<RecordingSink>,
    pub(crate) clock: ManualClock,
    pub(crate) dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|options| options)
    }

    pub(crate) fn with(edit: impl FnOnce(Options) -> Options) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("tidings.db");
        migrations::up(&path).unwrap();
        let sink = RecordingSink::new();
        let store = SqliteStore::open(edit(Options::new(path, sink.clone()))).unwrap();
        Self { store, sink, clock: ManualClock::default(), dir }
    }

    /// A request with one message to alice.
    pub(crate) fn request(&self) -> Accept {
        let now = self.clock.tick();
        Accept { messages: vec![message(now).build()], idempotency: None, now }
    }

    /// Holds the writer in a batch of its own until the guard is dropped.
    pub(crate) async fn hold_writer(&self) -> Held {
        let (release, wait) = mpsc::channel::<()>();
        let (started, starts) = tokio::sync::oneshot::channel();
        let store = self.store.clone();
        let holding = tokio::spawn(async move {
            let work = move |_: &mut crate::writer::Tx<'_>| {
                started.send(()).unwrap();
                let _ = wait.recv();
                Ok(())
            };
            store.write(Weight::default(), work).await
        });
        starts.await.unwrap();
        Held { release, holding }
    }
}

pub(crate) struct Held {
    release: mpsc::Sender<()>,
    holding: tokio::task::JoinHandle<Result<(), tidings_core::ports::StoreError>>,
}

impl Held {
    pub(crate) async fn release(self) {
        drop(self.release);
        self.holding.await.unwrap().unwrap();
    }
}
