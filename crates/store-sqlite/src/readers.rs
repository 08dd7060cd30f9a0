//! The readers: a few connections that only read, each call in one snapshot.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tidings_core::ports::StoreError;
use tokio::sync::Semaphore;

use crate::{
    connection,
    failure::{Failure, Result},
};

pub(crate) struct Readers {
    pool: Arc<Pool>,
    turns: Arc<Semaphore>,
}

/// Idle connections. They are opened when first needed: an idle server holds none.
struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, most: usize) -> Self {
        Self {
            pool: Arc::new(Pool { path, idle: Mutex::new(Vec::new()) }),
            turns: Arc::new(Semaphore::new(most.max(1))),
        }
    }

    /// Runs `work` on a blocking thread, inside one read transaction.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let closed = |_| StoreError::Unavailable("the store is closed".into());
        let turn = self.turns.clone().acquire_owned().await.map_err(closed)?;
        let pool = self.pool.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // Moved in: the turn ends when the connection is back, also if the caller left.
            let _turn = turn;
            let mut lease = pool.take()?;
            lease.snapshot(work)
        });
        match reading.await {
            Ok(outcome) => outcome.map_err(StoreError::from),
            Err(error) => Err(StoreError::Internal(format!("a read did not end: {error}"))),
        }
    }

    pub(crate) fn close(&self) {
        self.turns.close();
        self.pool.idle().clear();
    }
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // A Vec of connections is whole after any panic.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>) -> Result<Lease> {
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connection::open_reader(&self.path)?,
        };
        Ok(Lease { conn: Some(conn), pool: self.clone() })
    }
}

/// A connection that goes back to its pool, also when a read panics.
struct Lease {
    conn: Option<Connection>,
    pool: Arc<Pool>,
}

impl Lease {
    fn snapshot<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let conn = self.conn.as_mut().ok_or_else(|| Failure::corrupt("an empty lease"))?;
        // Deferred: the snapshot is taken by the first SELECT. Dropping it ends it.
        let tx = conn.transaction()?;
        work(&tx)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.pool.idle().push(conn);
        }
    }
}
