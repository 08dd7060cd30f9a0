//! Plain WebSockets: how one is opened, and what its messages become.

use std::sync::Arc;

use http::header::UPGRADE;
use http::request::Parts;
use http::{Method, Response};
use tidings_protocol::websocket::{Decoder, Message};

use crate::gateway::{Inner, Permit};
use crate::handshake::Handshake;
use crate::plain::{self, PlainError};
use crate::reason::DisconnectReason;

use super::close::Ending;
use super::conn::Conn;
use super::http::Body;
use super::link::Transport;
use super::session::{Session, Speech};
use super::takeover::Carried;
use super::websocket::{Refusal, accept, has_token};

/// Who has not said in time who it is.
pub(super) const UNAUTHENTICATED: (u16, &str) = (4401, "authentication timeout");

impl Inner {
    /// Whether a request is for the plain endpoint: on its path, or an upgrade to WebSocket on `/`.
    pub(crate) fn is_plain(&self, parts: &Parts) -> bool {
        let (Some(path), true) = (&self.config.plain_path, self.plain.is_some()) else {
            return false;
        };
        let asked = parts.uri.path();
        asked == path || (asked == "/" && is_upgrade(parts))
    }
}

/// Whether the client wants a WebSocket, well-formed or not.
fn is_upgrade(parts: &Parts) -> bool {
    parts.method == Method::GET && has_token(parts, &UPGRADE, "websocket")
}

/// The answer to a WebSocket handshake, or to anything else on the endpoint.
pub(super) fn answer(parts: &Parts) -> Result<Response<Body>, Refusal> {
    if is_upgrade(parts) { accept(parts) } else { Err(Refusal::Other) }
}

/// Opens a session on the stream.
pub(super) fn open(permit: Permit, handshake: Handshake, carried: Carried) {
    let Carried { stream, early, unsent } = carried;
    let (read, write) = stream.split();
    let transport = Transport::WebSocket(write);
    let Some(session) = Session::open_as(Speech::Plain, permit, handshake, transport, unsent)
    else {
        return;
    };
    session.client.open_plain(&session);
    let decoder = Decoder::new(session.gateway.config.max_payload);
    Conn::start(session, read, decoder, &early);
}

impl Session {
    /// What a plain client sent; control frames but pings, which all WebSockets answer alike.
    pub(super) fn receive_plain(self: &Arc<Self>, message: Message) {
        match message {
            Message::Text(text) => self.client.receive_plain(self, plain::parse(text)),
            Message::Binary(_) => self.client.receive_plain(self, Err(PlainError::Binary)),
            Message::Pong(_) => self.on_pong(),
            Message::Close(close) => {
                let (code, text) =
                    close.map_or((1000, String::new()), |close| (close.code, close.reason));
                self.close_with(DisconnectReason::TransportClose, Ending::Flush, code, &text);
            }
            Message::Ping(_) => {}
        }
    }
}
