//! A socket of ours as other servers see it: without its token, or any other secret.

use serde_json::json;
use tidings_bus::socketio::SocketDetails;
use tidings_core::time::Timestamp;
use tidings_gateway::Socket;

use super::names;
use crate::{connections, inbox, state::AppState};

pub(super) fn details(state: &AppState, socket: &Socket) -> SocketDetails {
    let handshake = socket.handshake();
    let issued = i64::try_from(handshake.issued_ms).unwrap_or_default();
    let mut headers = serde_json::Map::new();
    for name in [http::header::USER_AGENT, http::header::ORIGIN] {
        if let Some(value) = handshake.header(&name) {
            headers.insert(name.as_str().to_owned(), value.into());
        }
    }
    let session = inbox::session_of(socket);
    let mut rooms = vec![socket.id().to_owned()];
    rooms.extend(socket.rooms().into_iter().filter(|room| !names::is_inner(room)));
    SocketDetails {
        id: socket.id().to_owned(),
        handshake: json!({
            "headers": headers,
            "time": Timestamp::from_millis(issued),
            "address": handshake.client_ip,
            "xdomain": handshake.header(&http::header::ORIGIN).is_some(),
            "secure": state.certificate.is_some(),
            "issued": issued,
            "url": &*handshake.path,
            "query": {
                "EIO": handshake.query_param("EIO"),
                "transport": handshake.query_param("transport"),
            },
            "auth": {},
        }),
        rooms,
        data: json!({
            "userId": session.as_ref().map(|session| &session.user),
            "device": session.as_ref().and_then(|session| session.device.as_ref()),
            "client": connections::client_kind(socket).as_str(),
            "nodeId": state.node_id,
        }),
    }
}
