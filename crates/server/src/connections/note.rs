//! What is noted of a connection.

use std::sync::Arc;

use tidings_core::{
    connection::{ClientKind, Connection, ConnectionId, ConnectionNote, Ground, MAX_USER_AGENT},
    time::Timestamp,
};
use tidings_gateway::{DisconnectReason, Socket};

use crate::inbox::InboxSession;

pub fn client_kind(socket: &Socket) -> ClientKind {
    match (socket.is_stream(), socket.is_plain()) {
        (true, _) => ClientKind::Sse,
        (false, true) => ClientKind::WebSocket,
        (false, false) => ClientKind::SocketIo,
    }
}

/// What the client calls itself, cut where it is too long.
pub fn user_agent(socket: &Socket) -> Option<String> {
    let text = socket.handshake().header(&http::header::USER_AGENT)?;
    Some(text.chars().take(MAX_USER_AGENT).collect())
}

/// Something that happened to a connection, as the connection itself: what is written of it is put
/// together when it is written, and a crowd that connects leaves nothing behind in memory.
#[derive(Clone)]
pub enum Happened {
    Opened(Arc<InboxSession>),
    /// It stands on another token now.
    Renewed(Arc<InboxSession>),
    Closed(Arc<InboxSession>, Timestamp, DisconnectReason),
}

impl Happened {
    pub(super) fn note(&self, node: &str) -> ConnectionNote {
        match self {
            Self::Opened(session) => ConnectionNote::Opened(Box::new(connection(node, session))),
            Self::Renewed(session) => {
                ConnectionNote::Renewed { id: id_of(node, session), ground: ground(session) }
            }
            Self::Closed(session, at, reason) => ConnectionNote::Closed {
                id: id_of(node, session),
                at: *at,
                reason: reason.to_string(),
            },
        }
    }
}

fn id_of(node: &str, session: &InboxSession) -> ConnectionId {
    ConnectionId::of(node, session.socket.id(), session.opened_at)
}

fn ground(session: &InboxSession) -> Ground {
    let claims = session.claims();
    Ground { token: claims.hash, ends_at: claims.expires_at() }
}

fn connection(node: &str, session: &InboxSession) -> Connection {
    let socket = &session.socket;
    Connection {
        id: id_of(node, session),
        user: session.user.clone(),
        socket_id: socket.id().to_owned(),
        node: node.to_owned(),
        client: client_kind(socket),
        device: session.device.clone(),
        ip: socket.handshake().client_ip.to_canonical(),
        user_agent: user_agent(socket),
        connected_at: session.opened_at,
        seen_at: session.opened_at,
        disconnected_at: None,
        reason: None,
        ground: ground(session),
    }
}
