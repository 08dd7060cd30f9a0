//! What the stores do, read when somebody asks.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use tidings_store_postgres::PostgresStore;
use tidings_store_sqlite::SqliteStore;

pub(super) struct Sqlite(pub(super) SqliteStore);

pub(super) struct Postgres(pub(super) PostgresStore);

/// Neither says anything of itself.
impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sqlite")
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postgres")
    }
}

impl Collector for Sqlite {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        gauge(&mut encoder, "tidings_store_queue", "Writes that wait", stats.queued)?;
        counter(&mut encoder, "tidings_store_writes", "Writes that were committed", stats.writes)?;
        counter(&mut encoder, "tidings_store_batches", "Transactions of writes", stats.batches)?;
        let failed = stats.failed_batches;
        counter(&mut encoder, "tidings_store_failed_batches", "Of these, undone", failed)
    }
}

impl Collector for Postgres {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        for (usage, open, busy) in [
            ("read", stats.readers, stats.readers_busy),
            ("write", stats.writers, stats.writers_busy),
        ] {
            let name = format!("tidings_store_{usage}_connections");
            gauge(&mut encoder, &name, "Connections to the database", open)?;
            let name = format!("tidings_store_{usage}_connections_busy");
            gauge(&mut encoder, &name, "Connections to the database in use", busy)?;
        }
        let answers = stats.replica_answers;
        counter(
            &mut encoder,
            "tidings_store_replica_answers",
            "Reads that replicas answered",
            answers,
        )?;
        let misses = stats.replica_misses;
        let help = "Reads that the primary answered in place of a replica";
        counter(&mut encoder, "tidings_store_replica_misses", help, misses)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: usize) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
}
