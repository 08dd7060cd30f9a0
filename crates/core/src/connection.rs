//! Connections as the history keeps them: who was connected from where, by what, until when.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    ids::{DeviceId, UserId},
    revocation::TokenHash,
    time::Timestamp,
};

/// Connections on a page, unless asked otherwise, and at most.
pub const DEFAULT_PAGE: usize = 20;
pub const MAX_PAGE: usize = 100;

/// Longest user agent that is kept, in characters.
pub const MAX_USER_AGENT: usize = 256;

/// Why a connection ended whose node did not live to say it.
pub const NODE_LOST: &str = "node lost";

/// The id of a connection: a UUIDv7 of when it began, so that ids are in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionId(pub Uuid);

impl ConnectionId {
    /// Follows from what a node knows of a connection anyway, so that none has to remember it.
    pub fn of(node: &str, socket_id: &str, connected_at: Timestamp) -> Self {
        let mut hash = Sha256::new();
        hash.update(node.as_bytes());
        hash.update([0]);
        hash.update(socket_id.as_bytes());
        let mut tail = [0; 10];
        for (to, from) in tail.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        let millis = u64::try_from(connected_at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
    }

    /// No connection that began at this instant, or later, has a smaller id.
    pub fn first_of(at: Timestamp) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid())
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ConnectionId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClientKind {
    #[serde(rename = "socket.io")]
    SocketIo,
    #[serde(rename = "websocket")]
    WebSocket,
    #[serde(rename = "sse")]
    Sse,
}

impl ClientKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SocketIo => "socket.io",
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
        }
    }
}

impl FromStr for ClientKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::SocketIo, Self::WebSocket, Self::Sse];
        all.into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no kind of client"))
    }
}

/// The token that a connection stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ground {
    pub token: TokenHash,
    pub ends_at: Timestamp,
}

/// One connection, open or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    pub id: ConnectionId,
    pub user: UserId,
    pub socket_id: String,
    pub node: String,
    pub client: ClientKind,
    pub device: Option<DeviceId>,
    pub ip: IpAddr,
    /// At most [`MAX_USER_AGENT`] characters.
    pub user_agent: Option<String>,
    pub connected_at: Timestamp,
    /// When its node last said that it holds it, or that it has ended.
    pub seen_at: Timestamp,
    pub disconnected_at: Option<Timestamp>,
    pub reason: Option<String>,
    pub ground: Ground,
}

/// Something that happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionNote {
    /// It is there, or was, if its end is known already. Said again of one that was taken for lost, it was not.
    Opened(Box<Connection>),
    /// It stands on another token of the same user.
    Renewed {
        id: ConnectionId,
        ground: Ground,
    },
    Closed {
        id: ConnectionId,
        at: Timestamp,
        reason: String,
    },
}

/// Which connections; all that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    pub user: Option<UserId>,
    /// Open ones, or ended ones.
    pub active: Option<bool>,
}

/// Connections that nobody will say the end of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// Of nodes that were not heard of since.
    Silent { since: Timestamp },
    /// What a node of this name held before it was started.
    Restarted { node: String, at: Timestamp },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_one_id_in_the_order_of_time() {
        let at = Timestamp::from_millis;
        let id = ConnectionId::of("a", "x", at(5));
        assert_eq!(id, ConnectionId::of("a", "x", at(5)));
        assert_ne!(id, ConnectionId::of("b", "x", at(5)), "another node");
        assert_ne!(ConnectionId::of("ab", "c", at(5)), ConnectionId::of("a", "bc", at(5)));
        assert!(id < ConnectionId::of("a", "x", at(6)), "it came back");
    }

    #[test]
    fn a_kind_of_client_is_its_name() {
        for kind in [ClientKind::SocketIo, ClientKind::WebSocket, ClientKind::Sse] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert!("telnet".parse::<ClientKind>().is_err());
    }
}
