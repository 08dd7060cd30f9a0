//! How clients connect, and how long they are waited for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Where Socket.IO is served.
    pub path: String,
    /// Where plain WebSockets are served; an upgrade of `/` leads there too.
    pub plain_path: String,
    /// How long a plain WebSocket may take to say who it is.
    #[serde(with = "duration")]
    pub auth_timeout: Duration,
    #[serde(with = "duration")]
    pub ping_interval: Duration,
    #[serde(with = "duration")]
    pub ping_timeout: Duration,
    /// A connection that has joined no namespace by then is closed.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Largest message from a client, in bytes.
    pub max_payload: usize,
    /// Most bytes that wait for one slow client.
    pub send_buffer: usize,
    /// Most bytes that wait for all slow clients together.
    pub node_send_buffer: usize,
    /// How long Socket.IO clients whose connection breaks may go on where they were; zero turns it off.
    #[serde(with = "duration")]
    pub recovery: Duration,
    /// Events kept for that, at most.
    pub recovery_events: usize,
    /// Bytes of events kept for that, at most.
    pub recovery_bytes: usize,
    /// With Redis: they may do so on any node.
    pub recovery_elsewhere: bool,
    /// How long a full send buffer may stay full.
    #[serde(with = "duration")]
    pub slow_drain: Duration,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            path: "/socket.io/".into(),
            plain_path: "/ws".into(),
            auth_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(45),
            max_payload: 1_000_000,
            send_buffer: 1 << 20,
            node_send_buffer: 512 << 20,
            recovery: Duration::from_secs(120),
            recovery_events: 10_000,
            recovery_bytes: 16 << 20,
            recovery_elsewhere: true,
            slow_drain: Duration::from_secs(30),
        }
    }
}
