//! Copies of the database that may be read: standbys that follow the primary, each a little behind.
//!
//! Lists and history come from them, nothing else. A list is taken from a replica only if that has
//! caught up with the inbox: the primary tells its counter, which is one look at one row, and the
//! replica does the rest. So whoever has just changed something sees it, on whatever node that was.
//! History has no counter; it is taken from a replica that is at most [`BEHIND`] behind. Whatever
//! goes wrong with a replica, the primary answers.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::Pool;
use tidings_core::{
    ids::UserId,
    inbox::{Page, PageQuery},
};

use crate::{
    Options, PostgresStore,
    connection::{self, Connection, Use},
    failure::Result,
    inboxes::Inbox,
    page,
    snapshot::Snapshot,
    sql::{self, together},
};

/// One that failed is left alone for so long.
const REST: Duration = Duration::from_secs(10);
/// Every node writes something every few seconds, so a replica that is not this far is stuck.
const BEHIND: &str = "SELECT NOT pg_is_in_recovery()
    OR coalesce(pg_last_xact_replay_timestamp() > now() - interval '60 seconds', false)";

pub(crate) struct Replicas {
    all: Vec<Replica>,
    next: AtomicUsize,
    /// Answers that replicas gave.
    pub(crate) answers: AtomicU64,
    /// Times when one was asked, or should have been, and the primary answered.
    pub(crate) left_to_primary: AtomicU64,
}

struct Replica {
    pool: Pool,
    rests_until: Mutex<Option<Instant>>,
}

impl Replica {
    fn rests(&self) -> bool {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn failed(&self) {
        let until = Instant::now() + REST;
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

impl Replicas {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let replica = |address| {
            let pool = connection::pool(options, address, Use::Replica, options.readers)?;
            Ok(Replica { pool, rests_until: Mutex::default() })
        };
        Ok(Self {
            all: options.replicas.iter().map(replica).collect::<Result<_>>()?,
            next: AtomicUsize::default(),
            answers: AtomicU64::default(),
            left_to_primary: AtomicU64::default(),
        })
    }

    pub(crate) fn close(&self) {
        self.all.iter().for_each(|replica| replica.pool.close());
    }

    /// What the next replica answers; `None`: the primary is to be asked.
    pub(crate) async fn ask<T, W>(&self, work: impl FnOnce(Connection) -> W) -> Option<T>
    where
        W: Future<Output = Result<Option<T>>>,
    {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.all.len();
        let replica = (0..count)
            .filter_map(|n| self.all.get(turn.wrapping_add(n) % count))
            .find(|replica| !replica.rests());
        let answer = match replica {
            None if count == 0 => return None,
            None => None,
            Some(replica) => {
                let asked = async { work(replica.pool.get().await?).await };
                asked.await.unwrap_or_else(|failure| {
                    tracing::warn!(event = "store_replica_failed", %failure, "the primary answers");
                    replica.failed();
                    None
                })
            }
        };
        let counter = if answer.is_some() { &self.answers } else { &self.left_to_primary };
        counter.fetch_add(1, Ordering::Relaxed);
        answer
    }
}

impl PostgresStore {
    /// A page, if a replica has caught up with the inbox.
    pub(crate) async fn page_of_replica(&self, query: &PageQuery) -> Option<Page> {
        let ask = async |conn| {
            let snapshot = Snapshot::begin(conn);
            let (here, there) =
                together!(self.inbox_of(&query.user), Inbox::of(&snapshot, &query.user));
            if !has_caught_up(here?.as_ref(), there?.as_ref()) {
                snapshot.end().await?;
                return Ok(None);
            }
            page::page(snapshot, query).await.map(Some)
        };
        self.replicas().ask(ask).await
    }

    async fn inbox_of(&self, user: &UserId) -> Result<Option<Inbox>> {
        Inbox::of(&self.reader().await?, user).await
    }

    /// What a replica says of the past, if it is not far behind.
    pub(crate) async fn past_of_replica<T, W>(
        &self,
        work: impl FnOnce(Connection) -> W,
    ) -> Option<T>
    where
        W: Future<Output = Result<T>>,
    {
        let ask = async |conn: Connection| {
            let near = sql::row(&conn, BEHIND, &[]).await?;
            let near: Option<bool> = near.map(|row| row.try_get(0)).transpose()?;
            if near == Some(true) { work(conn).await.map(Some) } else { Ok(None) }
        };
        self.replicas().ask(ask).await
    }
}

/// Whether all that happened to the inbox here has happened there. Acknowledgements take no rev.
fn has_caught_up(here: Option<&Inbox>, there: Option<&Inbox>) -> bool {
    let (Some(here), Some(there)) = (here, there) else { return false };
    here.number == there.number
        && here.state.rev <= there.state.rev
        && here.delivered_up_to <= there.delivered_up_to
}
