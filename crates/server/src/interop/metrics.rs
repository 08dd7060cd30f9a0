//! What is counted about Socket.IO servers on the same Redis.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::metrics::labels::ByResult;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It went to sockets of this node, if some are concerned.
    Delivered,
    /// A request that was carried out or answered.
    Served,
    /// Nobody here is in the room.
    Unreached,
    /// From a node of ours.
    Own,
    OtherNamespace,
    Malformed,
    TooLarge,
    /// Too many waited.
    Overrun,
    /// Its name is one of ours, or no name for an event.
    Reserved,
    /// It is not of a declared type, or of one that not everybody may see.
    Undeclared,
    Unknown,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Served => "served",
            Self::Unreached => "unreached",
            Self::Own => "own",
            Self::OtherNamespace => "other_namespace",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Overrun => "overrun",
            Self::Reserved => "reserved",
            Self::Undeclared => "undeclared",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Default)]
pub struct InteropMetrics {
    heard: Family<ByResult, Counter>,
    published: Family<ByResult, Counter>,
    /// Empty unless it is switched on.
    connected: Family<[(&'static str, &'static str); 0], Gauge>,
}

impl InteropMetrics {
    pub(crate) fn register(&self, r: &mut Registry) {
        let heard = "Messages of Socket.IO servers and emitters, by what became of them";
        r.register("tidings_socketio_messages", heard, self.heard.clone());
        let published = "Messages for Socket.IO servers";
        r.register("tidings_socketio_published", published, self.published.clone());
        let connected = "1 while connected to the Redis of Socket.IO servers";
        r.register("tidings_socketio_connected", connected, self.connected.clone());
    }

    pub(super) fn heard(&self, outcome: Outcome) {
        self.heard.get_or_create(&ByResult { result: outcome.as_str() }).inc();
    }

    pub(super) fn sent(&self, count: usize) {
        self.published.get_or_create(&ByResult { result: "sent" }).inc_by(count as u64);
    }

    pub(super) fn lost(&self, count: usize) {
        if count > 0 {
            self.published.get_or_create(&ByResult { result: "lost" }).inc_by(count as u64);
        }
    }

    pub(super) fn connected(&self, is: bool) {
        self.connected.get_or_create(&[]).set(i64::from(is));
    }
}
