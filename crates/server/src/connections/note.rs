//! What is noted of a connection.

use std::{collections::HashMap, sync::Arc};

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
pub fn user_agent(socket: &Socket) -> Option<&str> {
    let text = socket.handshake().header(&http::header::USER_AGENT)?;
    let end = text.char_indices().nth(MAX_USER_AGENT).map_or(text.len(), |(end, _)| end);
    text.get(..end)
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

/// What is written of them. A connection that begins and ends among them is one row, written once.
pub(super) fn notes(node: &str, batch: &[Happened]) -> Vec<ConnectionNote> {
    let mut notes = Vec::with_capacity(batch.len());
    let mut begun = HashMap::new();
    for happened in batch {
        match happened {
            Happened::Opened(session) => {
                begun.insert(Arc::as_ptr(session), notes.len());
                notes.push(ConnectionNote::Opened(Box::new(connection(node, session))));
            }
            Happened::Renewed(session) => {
                let (id, ground) = (id_of(node, session), ground(session));
                notes.push(ConnectionNote::Renewed { id, ground });
            }
            Happened::Closed(session, at, reason) => {
                let (at, reason) = (*at, reason.to_string());
                let place = begun.get(&Arc::as_ptr(session)).and_then(|at| notes.get_mut(*at));
                if let Some(ConnectionNote::Opened(connection)) = place {
                    (connection.disconnected_at, connection.reason) = (Some(at), Some(reason));
                } else {
                    notes.push(ConnectionNote::Closed { id: id_of(node, session), at, reason });
                }
            }
        }
    }
    notes
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
        user_agent: user_agent(socket).map(str::to_owned),
        connected_at: session.opened_at,
        seen_at: session.opened_at,
        disconnected_at: None,
        reason: None,
        ground: ground(session),
    }
}
