//! What the gateway counts. The server gives the names; the default counts nothing.

use crate::reason::DisconnectReason;

#[allow(unused_variables)]
pub trait Metrics: Send + Sync + 'static {
    /// An Engine.IO session opened on `transport`, "polling" or "websocket".
    fn connected(&self, transport: &str) {}
    /// A session moved from polling to WebSocket.
    fn upgraded(&self) {}
    /// A session ended.
    fn disconnected(&self, transport: &str, reason: DisconnectReason) {}
    /// A TCP connection did not become a TLS one: "timeout" or "handshake".
    fn tls_refused(&self, reason: &'static str) {}
    /// A request was refused before there was a session.
    fn refused(&self, status: u16) {}
    /// There were too many TCP connections without a request; the oldest was cut.
    fn half_open_cut(&self) {}
    /// `count` copies of an event were queued or written. `event` is the name as it stands in JSON.
    fn message_sent(&self, event: &str, count: usize) {}
    /// An event came from a client. Its name is the client's choice: map unknown ones to one label.
    fn message_received(&self, event: &str) {}
    /// A socket's send buffer was full and it missed a frame.
    fn overflowed(&self) {}
}

pub(crate) struct Silent;

impl Metrics for Silent {}
