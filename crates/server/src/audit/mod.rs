//! The audit log's way into the store.
//!
//! Whoever records something waits for nothing: entries wait in a bounded queue that
//! `workers/audit.rs` writes in batches. What strangers can make happen as often as they like is
//! counted instead of written again.

mod recent;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tidings_core::{
    audit::{AuditEntry, AuditId, Happening},
    ports::{Clock, Store, StoreError},
    time::Timestamp,
};
use tokio::sync::Notify;

use crate::{backlog::Backlog, metrics::Metrics, secret::random_bytes};
use recent::Recent;

/// Entries that may wait for the store.
const WAITING: usize = 10_000;
/// Entries in one transaction.
const BATCH: usize = 500;
/// Between two looks at what happened again.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Where everything that is audited is recorded.
pub struct Audit {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    waiting: Mutex<Waiting>,
    /// There is something to write.
    pub(crate) recorded: Notify,
}

struct Waiting {
    queue: Backlog<AuditEntry>,
    recent: Recent,
    numbers: Numbers,
    counted_at: Timestamp,
}

impl Audit {
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let now = clock.now();
        let waiting = Waiting {
            queue: Backlog::new(WAITING),
            recent: Recent::new(now),
            numbers: Numbers::default(),
            counted_at: now,
        };
        Self { clock, metrics, waiting: Mutex::new(waiting), recorded: Notify::new() }
    }

    /// Records something that costs whoever did it at least as much as it costs us.
    pub fn record(&self, happening: Happening) {
        let now = self.clock.now();
        let mut waiting = self.waiting.lock();
        let entry = waiting.numbers.entry(happening, now);
        self.push(&mut waiting, entry);
        self.recorded.notify_one();
    }

    /// Records something that may happen any number of times: within a minute the same is one
    /// entry with a count.
    pub fn record_often(&self, happening: Happening) {
        let now = self.clock.now();
        let mut waiting = self.waiting.lock();
        let Waiting { recent, numbers, .. } = &mut *waiting;
        if let Some(entry) = recent.count(happening, now, |h, now| numbers.entry(h, now)) {
            self.push(&mut waiting, entry);
            self.recorded.notify_one();
        }
    }

    fn push(&self, waiting: &mut Waiting, entry: AuditEntry) {
        let Err(full) = waiting.queue.push(entry) else { return };
        self.metrics.audit_dropped(1);
        if full.is_news {
            tracing::warn!(
                waiting = WAITING,
                "the audit log is behind: entries are left out until the store has taken some"
            );
        }
    }

    /// Writes everything that waits.
    pub async fn flush(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.write(store, COUNT_EVERY).await
    }

    /// The same, with what was counted since.
    pub async fn close(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.write(store, Duration::ZERO).await
    }

    async fn write(&self, store: &dyn Store, count_every: Duration) -> Result<(), StoreError> {
        loop {
            let batch = self.take(count_every);
            if batch.is_empty() {
                return Ok(());
            }
            if let Err(problem) = store.append_audit(batch.clone()).await {
                let lost = self.waiting.lock().queue.put_back(batch);
                self.metrics.audit_dropped(lost as u64);
                return Err(problem);
            }
            self.waiting.lock().queue.written();
        }
    }

    fn take(&self, count_every: Duration) -> Vec<AuditEntry> {
        let now = self.clock.now();
        let mut waiting = self.waiting.lock();
        let mut batch = waiting.queue.take(BATCH);
        // After the first of them, or a count would come before what it counts.
        if waiting.queue.is_empty() && now.since(waiting.counted_at) >= count_every {
            waiting.counted_at = now;
            batch.extend(waiting.recent.take_counted(now));
        }
        batch
    }
}

/// Numbers the entries of a millisecond, so that their ids are in the order of what happened
/// (RFC 9562 §6.2, method 1).
#[derive(Default)]
struct Numbers {
    at: Timestamp,
    next: u16,
}

impl Numbers {
    fn entry(&mut self, happening: Happening, now: Timestamp) -> AuditEntry {
        self.next = if now == self.at { self.next.wrapping_add(1) } else { 0 };
        self.at = now;
        numbered(happening, now, self.next)
    }
}

/// Something that happened now, as an entry.
pub(crate) fn new_entry(happening: Happening, now: Timestamp) -> AuditEntry {
    numbered(happening, now, 0)
}

fn numbered(happening: Happening, now: Timestamp, number: u16) -> AuditEntry {
    let mut tail: [u8; 10] = random_bytes();
    // Four bits of these are the version's.
    let [first, second] = (number & 0x0fff).to_be_bytes();
    (tail[0], tail[1]) = (first, second);
    happening.entry(AuditId::new_v7(now, tail), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SystemClock, inbox::publisher_channel};
    use tidings_core::{
        audit::{Actor, AuditFilter},
        ports::AuditLog as _,
    };
    use tidings_store_sqlite::{Options, SqliteStore, migrations};

    fn open(dir: &tempfile::TempDir) -> SqliteStore {
        let path = dir.path().join("tidings.db");
        migrations::up(&path).unwrap();
        SqliteStore::open(Options::new(path, publisher_channel().0)).unwrap()
    }

    fn happened(n: usize) -> Happening {
        Happening::new("key.made", Actor::Operator).target(n)
    }

    #[tokio::test]
    async fn while_the_store_is_away_entries_wait_and_what_finds_no_room_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new("test"));
        let audit = Audit::new(Arc::new(SystemClock), Arc::clone(&metrics));
        let away = open(&dir);
        away.close();
        for n in 0..WAITING {
            audit.record(happened(n));
        }
        assert!(audit.flush(&away).await.is_err());
        assert!(metrics.render().contains("audit_entries_dropped_total{server_id=\"test\"} 0"));
        audit.record(happened(WAITING));
        audit.record(happened(WAITING + 1));
        assert!(metrics.render().contains("audit_entries_dropped_total{server_id=\"test\"} 2"));

        let back = open(&dir);
        audit.flush(&back).await.unwrap();
        let stored = back.audit(AuditFilter::default(), None, 2 * WAITING).await.unwrap();
        assert_eq!(stored.len(), WAITING, "all that found room");
        audit.record(happened(7));
        audit.close(&back).await.unwrap();
        let stored = back.audit(AuditFilter::default(), None, 2 * WAITING).await.unwrap();
        assert_eq!(stored.len(), WAITING + 1);
        back.close();
    }
}
