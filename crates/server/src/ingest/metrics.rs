//! What is counted about notifications that come by Redis.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::metrics::labels::ByResult;

/// What became of a message on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    Taken,
    /// Another node took it.
    Elsewhere,
    TooLarge,
    /// Too many waited here.
    Overrun,
    /// The stream is full.
    Full,
    /// Redis was away.
    Lost,
}

impl Message {
    fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Elsewhere => "elsewhere",
            Self::TooLarge => "too_large",
            Self::Overrun => "overrun",
            Self::Full => "full",
            Self::Lost => "lost",
        }
    }
}

/// What became of an entry of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Became {
    Accepted,
    /// It had been carried out already.
    Repeated,
    /// An event that was said in a room.
    Said,
    Dead,
}

impl Became {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Said => "said",
            Self::Dead => "dead",
        }
    }
}

#[derive(Default)]
pub struct IngestMetrics {
    messages: Family<ByResult, Counter>,
    entries: Family<ByResult, Counter>,
    /// Empty unless it is switched on.
    connected: Family<[(&'static str, &'static str); 0], Gauge>,
}

impl IngestMetrics {
    pub(crate) fn register(&self, r: &mut Registry) {
        let messages = "Messages on channels in Redis, by what became of them";
        r.register("tidings_ingest_messages", messages, self.messages.clone());
        let entries = "Entries of the stream in Redis, by what became of them";
        r.register("tidings_ingest_entries", entries, self.entries.clone());
        let connected = "1 while the channels in Redis are listened to";
        r.register("tidings_ingest_connected", connected, self.connected.clone());
        // Of a series that begins with 1 nobody sees the increase.
        self.entries.get_or_create(&ByResult { result: Became::Dead.as_str() }).inc_by(0);
    }

    pub(crate) fn message(&self, message: Message) {
        self.messages.get_or_create(&ByResult { result: message.as_str() }).inc();
    }

    pub(crate) fn entry(&self, became: Became) {
        self.entries.get_or_create(&ByResult { result: became.as_str() }).inc();
    }

    pub(super) fn connected(&self, is: bool) {
        self.connected.get_or_create(&[]).set(i64::from(is));
    }
}
