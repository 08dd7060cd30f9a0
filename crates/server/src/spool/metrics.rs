//! What is counted about the spool, and about the breakers before the store.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tidings_core::time::Timestamp;

use super::{Level, Reason, SpoolError};
use crate::metrics::labels::ByReason;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Default)]
pub struct SpoolMetrics {
    records: Gauge,
    bytes: Gauge,
    oldest: Gauge<f64, AtomicU64>,
    spooled: Counter,
    shown: Counter,
    refused: Family<ByReason, Counter>,
    replayed: Family<Outcome, Counter>,
    dead: Family<ByReason, Counter>,
    breaker: Family<Operation, Gauge>,
}

impl SpoolMetrics {
    pub(crate) fn register(&self, r: &mut Registry) {
        let records = "Requests that wait for the database";
        r.register("tidings_spool_records", records, self.records.clone());
        r.register("tidings_spool_bytes", "Room that the spool takes", self.bytes.clone());
        let oldest = "Age of the first request that waits";
        r.register("tidings_spool_oldest_seconds", oldest, self.oldest.clone());
        r.register("tidings_spool_accepted", "Requests spooled", self.spooled.clone());
        let shown = "Notifications shown to devices before they were stored";
        r.register("tidings_spool_shown", shown, self.shown.clone());
        let refused = "Requests that the spool had no room for";
        r.register("tidings_spool_refused", refused, self.refused.clone());
        let replayed = "Requests carried out from the spool, by what became of them";
        r.register("tidings_spool_replayed", replayed, self.replayed.clone());
        let dead = "Requests that the store never took, by reason";
        r.register("tidings_spool_dead", dead, self.dead.clone());
        let breaker = "1 while the database is left alone";
        r.register("tidings_store_breaker_open", breaker, self.breaker.clone());
        // Of a series that begins with 1 nobody sees that it rose.
        for reason in ["full", "disk"] {
            self.refused.get_or_create(&ByReason { reason }).inc_by(0);
        }
        for operation in ["read", "write"] {
            self.breaker(operation, false);
        }
        for reason in Reason::ALL {
            self.dead.get_or_create(&ByReason { reason: reason.as_str() }).inc_by(0);
        }
    }

    pub fn level(&self, level: Level, now: Timestamp) {
        self.records.set(i64::try_from(level.records).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(level.bytes).unwrap_or(i64::MAX));
        self.oldest.set(level.oldest.map_or(0.0, |at| now.since(at).as_secs_f64()));
    }

    pub fn spooled(&self) {
        self.spooled.inc();
    }

    pub fn shown(&self) {
        self.shown.inc();
    }

    pub fn refused(&self, problem: &SpoolError) {
        let reason = match problem {
            SpoolError::Full => "full",
            SpoolError::Failed(_) => "disk",
        };
        self.refused.get_or_create(&ByReason { reason }).inc();
    }

    /// `won`: what was accepted is in the inboxes, or on its way there.
    pub fn replayed(&self, won: bool) {
        let outcome = if won { "stored" } else { "replaced" };
        self.replayed.get_or_create(&Outcome { outcome }).inc();
    }

    pub fn buried(&self, reason: Reason) {
        self.dead.get_or_create(&ByReason { reason: reason.as_str() }).inc();
    }

    pub fn breaker(&self, operation: &'static str, open: bool) {
        self.breaker.get_or_create(&Operation { operation }).set(i64::from(open));
    }
}
