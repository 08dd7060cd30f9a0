//! What a gateway can be told. Plain data; the server fills it from its own configuration.

use std::time::Duration;

use http::HeaderName;
use http::header::{AUTHORIZATION, ORIGIN, USER_AGENT};

use crate::recovery::Recovery;

/// Settings of one [`Gateway`](crate::Gateway).
#[derive(Debug, Clone)]
pub struct Config {
    /// Path under which Engine.IO is served, with a slash at both ends.
    pub path: String,
    /// Path of the plain WebSocket endpoint, such as `/ws`. With one, an upgrade on exactly `/` is for it too.
    pub plain_path: Option<String>,
    /// Time between the handshake and the first ping, and from one ping to the next.
    pub ping_interval: Duration,
    /// How long a client may take to answer a ping.
    pub ping_timeout: Duration,
    /// Largest message or POST body taken from a client, in bytes; told to it in the open packet.
    pub max_payload: usize,
    /// A session that has joined no namespace for this long is closed.
    pub connect_timeout: Duration,
    /// Whether Socket.IO clients whose connection breaks are recovered, and how much is kept for that. With it their
    /// CONNECT reply has a `pid`, and every event an offset as its last argument.
    pub recovery: Option<Recovery>,
    /// A plain WebSocket that is not authenticated by then is closed with 4401.
    pub auth_timeout: Duration,
    /// How long a probing WebSocket may take until it is upgraded.
    pub upgrade_timeout: Duration,
    /// Bytes that may wait for one socket before [`SendError::Full`](crate::SendError::Full).
    pub send_buffer: usize,
    /// Bytes that may wait for all sockets together; beyond it the largest queue is closed first.
    pub node_send_buffer: usize,
    /// How long a full send buffer has to drain to its half before the transport is closed.
    pub slow_drain: Duration,
    /// Engine.IO sessions this node may hold.
    pub max_connections: usize,
    /// Share of `max_connections` from which new sessions are answered 503.
    pub saturation: f64,
    /// TCP connections without a request yet; beyond it the oldest of them is cut.
    pub half_open: usize,
    /// TCP connections of all kinds that the process has files for; beyond it the oldest without a request is cut.
    pub sockets: usize,
    /// Decoded packets of one connection that may wait for its handler; beyond it we stop reading.
    pub inbound_backlog: usize,
    /// Namespaces one connection may join.
    pub max_namespaces: usize,
    /// Time to send a complete request head. It also ends idle keep-alive connections, so it should be longer
    /// than `ping_interval`: a polling client sends a pong that often.
    pub header_read_timeout: Duration,
    /// Time to send a complete POST body.
    pub body_read_timeout: Duration,
    /// Largest request head in bytes.
    pub max_header_bytes: usize,
    /// Request headers copied into the [`Handshake`](crate::Handshake); all others are forgotten
    /// once the [`Guard`](crate::Guard) has seen them, since they would be kept as long as the connection.
    pub kept_headers: Vec<HeaderName>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "/socket.io/".to_owned(),
            plain_path: None,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 1_000_000,
            connect_timeout: Duration::from_secs(45),
            recovery: None,
            auth_timeout: Duration::from_secs(10),
            upgrade_timeout: Duration::from_secs(10),
            send_buffer: 1 << 20,
            node_send_buffer: 512 << 20,
            slow_drain: Duration::from_secs(30),
            max_connections: 10_000,
            saturation: 0.95,
            half_open: 10_000,
            sockets: usize::MAX,
            inbound_backlog: 256,
            max_namespaces: 8,
            header_read_timeout: Duration::from_secs(30),
            body_read_timeout: Duration::from_secs(20),
            max_header_bytes: 32 << 10,
            kept_headers: vec![
                AUTHORIZATION,
                ORIGIN,
                USER_AGENT,
                HeaderName::from_static("x-request-id"),
                HeaderName::from_static("traceparent"),
            ],
        }
    }
}

impl Config {
    /// Number of sessions from which new ones are refused.
    pub(crate) fn capacity(&self) -> usize {
        let share = self.saturation.clamp(0.0, 1.0);
        (self.max_connections as f64 * share).ceil() as usize
    }
}
