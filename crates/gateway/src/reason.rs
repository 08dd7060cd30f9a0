//! Why a socket or its connection ended.

use std::fmt;

/// Why a socket ended. The names of the first six are those of Socket.IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// The client sent a DISCONNECT packet.
    ClientDisconnect,
    /// [`Socket::disconnect`](crate::Socket::disconnect).
    ServerDisconnect,
    /// The client closed its connection, or its long poll.
    TransportClose,
    /// The connection broke.
    TransportError,
    /// No answer to a ping.
    PingTimeout,
    /// The client broke the protocol.
    ParseError,
    /// No namespace was joined in time.
    ConnectTimeout,
    /// The send buffer was full and did not drain in time.
    SlowConsumer,
    /// The node's send buffers were full and this was the largest.
    NodeBufferFull,
    /// The node is going away; the client should reconnect.
    Shutdown,
    /// The client was sent elsewhere or replaced; it may reconnect.
    Replaced,
    /// What let the connection in (a token, say) is no longer valid; the client may reconnect with another.
    Expired,
    /// A handler of ours failed.
    ServerError,
}

impl DisconnectReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientDisconnect => "client namespace disconnect",
            Self::ServerDisconnect => "server namespace disconnect",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ConnectTimeout => "connect timeout",
            Self::SlowConsumer => "slow consumer",
            Self::NodeBufferFull => "node buffer full",
            Self::Shutdown => "server shutting down",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::ServerError => "server error",
        }
    }

    /// The WebSocket close code that goes with it.
    pub(crate) fn close_code(self) -> u16 {
        match self {
            Self::ParseError => 1002,
            Self::Shutdown => 1001,
            Self::Expired | Self::ConnectTimeout => 1008,
            Self::SlowConsumer | Self::NodeBufferFull => 1013,
            Self::ServerError => 1011,
            _ => 1000,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
