//! What is counted about the bus.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{
        counter::{ConstCounter, Counter},
        gauge::ConstGauge,
    },
    registry::Registry,
};
use tidings_bus::redis::RedisBus;

#[derive(Default)]
pub struct BusMetrics {
    caught_up: Counter,
    looks: Counter,
}

impl BusMetrics {
    pub(crate) fn register(&self, r: &mut Registry) {
        let looks = "Looks at the store for what the bus lost or would have brought";
        r.register("tidings_bus_catch_ups", looks, self.looks.clone());
        let users = "Users who were found behind by these";
        r.register("tidings_bus_caught_up_users", users, self.caught_up.clone());
    }

    pub fn caught_up(&self, users: usize) {
        self.looks.inc();
        self.caught_up.inc_by(users as u64);
    }
}

/// What the bus itself counts, read when somebody asks.
pub(super) struct Redis(pub(super) Arc<RedisBus>);

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

impl Collector for Redis {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        use tidings_core::ports::Bus as _;
        let health = self.0.health();
        let stats = self.0.stats();
        let mut gauge = |name: &str, help: &str, value: f64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let up = f64::from(u8::from(health.connected));
        gauge("tidings_bus_connected", "1 while other nodes are heard", up)?;
        let lag = health.lag.map_or(0.0, |lag| lag.as_secs_f64());
        gauge(
            "tidings_bus_lag_seconds",
            "How long the last probe took through Redis and back",
            lag,
        )?;
        gauge("tidings_bus_subscriptions", "Channels of users and rooms", stats.topics as f64)?;
        gauge("tidings_bus_nodes", "Nodes that are heard, with this one", stats.nodes as f64)?;
        let mut counter = |name: &str, help: &str, value: u64| {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
        };
        counter("tidings_bus_published", "Messages handed to Redis", stats.published)?;
        let unpublished = "Messages that may not have reached Redis";
        counter("tidings_bus_unpublished", unpublished, stats.unpublished)?;
        counter("tidings_bus_received", "Messages from other nodes", stats.received)?;
        counter(
            "tidings_bus_unreadable",
            "Messages in a version or form unknown here",
            stats.unreadable,
        )?;
        let lagged = "Messages dropped because this node did not keep up: it looked into the store";
        counter("tidings_bus_lagged", lagged, stats.lagged)?;
        counter("tidings_bus_connects", "Connections made to listen", stats.connects)
    }
}
