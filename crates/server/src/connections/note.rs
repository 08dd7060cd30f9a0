//! What is noted of a connection.

use tidings_core::{
    connection::{ClientKind, Connection, ConnectionId, ConnectionNote, Ground, MAX_USER_AGENT},
    time::Timestamp,
};
use tidings_gateway::{DisconnectReason, Socket};

use crate::{auth::Claims, inbox::InboxSession};

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

fn id_of(node: &str, session: &InboxSession) -> ConnectionId {
    ConnectionId::of(node, session.socket.id(), session.opened_at)
}

fn ground(claims: &Claims) -> Ground {
    Ground { token: claims.hash, ends_at: claims.expires_at() }
}

pub fn opened(node: &str, session: &InboxSession) -> ConnectionNote {
    let socket = &session.socket;
    ConnectionNote::Opened(Box::new(Connection {
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
        ground: ground(&session.claims()),
    }))
}

/// It stands on another token now.
pub fn renewed(node: &str, session: &InboxSession) -> ConnectionNote {
    ConnectionNote::Renewed { id: id_of(node, session), ground: ground(&session.claims()) }
}

pub fn closed(
    node: &str,
    session: &InboxSession,
    at: Timestamp,
    reason: DisconnectReason,
) -> ConnectionNote {
    ConnectionNote::Closed { id: id_of(node, session), at, reason: reason.to_string() }
}
