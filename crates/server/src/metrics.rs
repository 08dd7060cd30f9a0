//! Metrics in the Prometheus text format. Names and labels are documented in
//! `docs/operations.md`; times are in seconds.

pub(crate) mod labels;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicI64, AtomicU64},
    time::Duration,
};

use parking_lot::RwLock;
use prometheus_client::{
    collector::Collector,
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tidings_gateway::DisconnectReason;

use labels::{ByReason, ByResult};

use crate::{
    bus::BusMetrics, ingest::IngestMetrics, interop::InteropMetrics, spool::metrics::SpoolMetrics,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventType {
    event_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    r#type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Channel {
    channel: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

/// 1 ms to 10 s.
const BUCKETS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Events that clients may send; every other name is counted as `other`, so that strangers
/// cannot fill the memory with labels.
const KNOWN_EVENTS: [&str; 23] = [
    "heartbeat",
    "notification:ack",
    "notification:read",
    "notification:unread",
    "notification:seen",
    "notification:archive",
    "notification:unarchive",
    "notification:delete",
    "notification:readAll",
    "notifications:sync",
    "auth:refresh",
    "room:join",
    "room:leave",
    "room:message",
    "subscribe",
    "unsubscribe",
    "subscribe:thread",
    "unsubscribe:thread",
    "presence:update",
    "presence-update",
    "status:change",
    "typing:start",
    "typing:stop",
];

/// Names of sent events that get a label of their own.
const MAX_EVENTS: usize = 200;

pub struct Metrics {
    registry: RwLock<Registry>,
    active: Gauge<i64, AtomicI64>,
    limit: Gauge<i64, AtomicI64>,
    opened: Counter<u64, AtomicU64>,
    closed: Family<ByReason, Counter>,
    refused: Family<Status, Counter>,
    sent: Family<EventType, Counter>,
    /// Those of `sent` by the names of events that have a label.
    events: RwLock<HashMap<String, Counter>>,
    received: Family<EventType, Counter>,
    buffers_full: Counter,
    dismissed: Family<ByReason, Counter>,
    commands_refused: Family<ByReason, Counter>,
    half_open_cut: Counter,
    audit_dropped: Counter,
    connection_notes_dropped: Counter,
    outbox: Family<ByResult, Counter>,
    created: Family<Kind, Counter>,
    delivered: Family<Channel, Counter>,
    latency: Histogram,
    presence: Counter,
    online: Gauge,
    typing: Gauge,
    /// Empty without TLS.
    certificate_expiry: Family<[(&'static str, &'static str); 0], Gauge>,
    certificate_reloads: Family<ByResult, Counter>,
    tls_refused: Family<ByReason, Counter>,
    pub spool: SpoolMetrics,
    pub bus: BusMetrics,
    pub interop: InteropMetrics,
    pub ingest: IngestMetrics,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histogram,
}

impl Metrics {
    pub fn new(server_id: &str) -> Self {
        let labels = [("server_id".into(), server_id.to_owned().into())];
        let mut registry = Registry::with_labels(labels.into_iter());
        let metrics = Self {
            registry: RwLock::default(),
            active: Gauge::default(),
            limit: Gauge::default(),
            opened: Counter::default(),
            closed: Family::default(),
            refused: Family::default(),
            sent: Family::default(),
            events: RwLock::default(),
            received: Family::default(),
            buffers_full: Counter::default(),
            dismissed: Family::default(),
            commands_refused: Family::default(),
            half_open_cut: Counter::default(),
            audit_dropped: Counter::default(),
            connection_notes_dropped: Counter::default(),
            outbox: Family::default(),
            created: Family::default(),
            delivered: Family::default(),
            latency: Histogram::new(BUCKETS),
            presence: Counter::default(),
            online: Gauge::default(),
            typing: Gauge::default(),
            certificate_expiry: Family::default(),
            certificate_reloads: Family::default(),
            tls_refused: Family::default(),
            spool: SpoolMetrics::default(),
            bus: BusMetrics::default(),
            interop: InteropMetrics::default(),
            ingest: IngestMetrics::default(),
            requests: Family::default(),
            request_seconds: Histogram::new(BUCKETS),
        };
        metrics.register(&mut registry);
        *metrics.registry.write() = registry;
        metrics
    }

    fn register(&self, r: &mut Registry) {
        let active = "Connections that are open";
        r.register("websocket_connections_active", active, self.active.clone());
        let limit = "Connections that may be open";
        r.register("websocket_connections_limit", limit, self.limit.clone());
        r.register("websocket_connections", "Connections ever opened", self.opened.clone());
        let closed = "Connections that ended, by reason";
        r.register("websocket_disconnections", closed, self.closed.clone());
        let refused = "Connections refused before they began, by HTTP status";
        r.register("websocket_connections_refused", refused, self.refused.clone());
        let sent = "Events sent to clients";
        r.register("websocket_messages_sent", sent, self.sent.clone());
        let received = "Events received from clients";
        r.register("websocket_messages_received", received, self.received.clone());
        let full = "Times that a client's send buffer ran full";
        r.register("websocket_send_buffer_full", full, self.buffers_full.clone());
        let dismissed = "Connections that were closed and told not to come back by themselves";
        r.register("websocket_dismissals", dismissed, self.dismissed.clone());
        let commands = "Commands of clients that were refused, by code";
        r.register("websocket_commands_refused", commands, self.commands_refused.clone());
        let cut = "Connections cut because too many had not asked for anything yet";
        r.register("websocket_half_open_cut", cut, self.half_open_cut.clone());
        let dropped = "Entries that the audit log had no room for";
        r.register("audit_entries_dropped", dropped, self.audit_dropped.clone());
        let dropped = "Beginnings and ends that the history of connections had no room for";
        r.register("connection_notes_dropped", dropped, self.connection_notes_dropped.clone());
        let outbox =
            "What applications published from their own transactions, by what became of it";
        r.register("outbox_entries", outbox, self.outbox.clone());
        let created = "Notifications put into inboxes";
        r.register("notifications_created", created, self.created.clone());
        let delivered = "Notifications sent to devices";
        r.register("notifications_delivered", delivered, self.delivered.clone());
        let latency = "From acceptance to the device's socket";
        r.register("notification_delivery_latency_seconds", latency, self.latency.clone());
        let presence = "Presence updates sent to clients";
        r.register("presence_updates_sent", presence, self.presence.clone());
        let online = "Users whom others see online";
        r.register("presence_users_online", online, self.online.clone());
        r.register("presence_users_typing", "Users who are typing", self.typing.clone());
        self.register_tls(r);
        self.spool.register(r);
        self.bus.register(r);
        self.interop.register(r);
        self.ingest.register(r);
        // What an alert waits for is there from the start: of a series that begins with 1 nobody sees the increase.
        self.refused.get_or_create(&Status { status: 503 }).inc_by(0);
        self.outbox_taken(0, 0);
        r.register("http_requests", "API requests", self.requests.clone());
        let seconds = "Time to answer API requests";
        r.register("http_request_duration_seconds", seconds, self.request_seconds.clone());
    }

    fn register_tls(&self, r: &mut Registry) {
        let expiry = "When the certificate ends, in seconds since 1970";
        r.register(
            "tidings_tls_certificate_expiry_seconds",
            expiry,
            self.certificate_expiry.clone(),
        );
        let reloads = "Times that the certificate's files were read again";
        r.register("tidings_tls_certificate_reloads", reloads, self.certificate_reloads.clone());
        let refused = "TCP connections that did not become TLS ones";
        r.register("tidings_tls_handshakes_refused", refused, self.tls_refused.clone());
    }

    /// Adds what others count.
    pub(crate) fn with(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.write());
    }

    /// Adds what is read when somebody asks.
    pub fn watch(&self, collector: Box<dyn Collector>) {
        self.registry.write().register_collector(collector);
    }

    /// The text that a Prometheus server scrapes.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry.read());
        text
    }

    pub fn connections_limited(&self, most: usize) {
        self.limit.set(i64::try_from(most).unwrap_or(i64::MAX));
    }

    pub fn connection_opened(&self) {
        self.active.inc();
        self.opened.inc();
    }

    pub fn connection_closed(&self) {
        self.active.dec();
    }

    pub fn active_connections(&self) -> i64 {
        self.active.get()
    }

    pub fn send_buffer_full(&self) {
        self.buffers_full.inc();
    }

    pub fn dismissed(&self, reason: &'static str) {
        self.dismissed.get_or_create(&ByReason { reason }).inc();
    }

    pub fn command_refused(&self, reason: &'static str) {
        self.commands_refused.get_or_create(&ByReason { reason }).inc();
    }

    pub fn audit_dropped(&self, entries: u64) {
        self.audit_dropped.inc_by(entries);
    }

    pub fn connection_notes_dropped(&self, notes: u64) {
        self.connection_notes_dropped.inc_by(notes);
    }

    pub fn outbox_taken(&self, accepted: u64, dead: u64) {
        for (result, count) in [("accepted", accepted), ("dead", dead)] {
            self.outbox.get_or_create(&ByResult { result }).inc_by(count);
        }
    }

    pub fn notification_created(&self, kind: &str) {
        self.created.get_or_create(&Kind { r#type: kind.to_owned() }).inc();
    }

    pub fn notification_delivered(&self, channel: &'static str, latency: Duration) {
        self.delivered.get_or_create(&Channel { channel }).inc();
        self.latency.observe(latency.as_secs_f64());
    }

    /// `at` in seconds since the Unix epoch.
    pub fn certificate_expires(&self, at: i64) {
        self.certificate_expiry.get_or_create(&[]).set(at);
    }

    pub fn certificate_reloaded(&self, fine: bool) {
        let result = if fine { "ok" } else { "failed" };
        self.certificate_reloads.get_or_create(&ByResult { result }).inc();
    }

    pub fn presence_sent(&self, count: usize) {
        self.presence.inc_by(count as u64);
    }

    pub fn users_online(&self, count: usize) {
        self.online.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn users_typing(&self, count: usize) {
        self.typing.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// `method` is the client's to choose: unknown ones share a label.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels =
            RequestLabels { method: known_method(method), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.observe(took.as_secs_f64());
    }
}

impl Metrics {
    /// Applications name the events of their rooms: so many names get a label, the rest share
    /// one.
    fn sent_counter(&self, event: &str) -> Counter {
        let mut events = self.events.write();
        let known = events.len() < MAX_EVENTS || events.contains_key(event);
        let event_type = if known { event } else { "other" }.to_owned();
        let counter = self.sent.get_or_create(&EventType { event_type }).clone();
        if known {
            events.insert(event.to_owned(), counter.clone());
        }
        counter
    }
}

fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// What the gateway counts.
impl tidings_gateway::Metrics for Metrics {
    fn disconnected(&self, _transport: &str, reason: DisconnectReason) {
        self.closed.get_or_create(&ByReason { reason: reason.as_str() }).inc();
    }

    fn refused(&self, status: u16) {
        self.refused.get_or_create(&Status { status }).inc();
    }

    fn tls_refused(&self, reason: &'static str) {
        self.tls_refused.get_or_create(&ByReason { reason }).inc();
    }

    fn half_open_cut(&self) {
        self.half_open_cut.inc();
    }

    fn message_sent(&self, event: &str, count: usize) {
        // Every event that is sent comes by here: one that was sent before allocates nothing.
        let known = self.events.read().get(event).map(|counter| counter.inc_by(count as u64));
        if known.is_none() {
            self.sent_counter(event).inc_by(count as u64);
        }
    }

    fn message_received(&self, event: &str) {
        let name = KNOWN_EVENTS.into_iter().find(|known| *known == event).unwrap_or("other");
        self.received.get_or_create(&EventType { event_type: name.to_owned() }).inc();
    }
}
