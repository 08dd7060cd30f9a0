//! A session that begins as a WebSocket, and the opening handshake that upgrades share.

use std::sync::Arc;

use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use tidings_protocol::engineio::ErrorCode;
use tidings_protocol::websocket::{Decoder, accept_key, is_valid_key};

use crate::frame::Frame;
use crate::gateway::Permit;
use crate::handshake::Handshake;
use crate::layer::Layer;

use super::conn::Conn;
use super::http::{Body, empty, error};
use super::link::Transport;
use super::session::Session;
use super::takeover::Carried;

const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Why a request is no WebSocket handshake.
pub(super) enum Refusal {
    Malformed,
    /// Not version 13.
    Version,
    /// Something else, where only WebSockets are served.
    Other,
}

impl Refusal {
    pub(super) fn response(&self) -> Response<Body> {
        match self {
            Self::Malformed => error(ErrorCode::BadRequest),
            Self::Version => {
                let mut response = empty(StatusCode::UPGRADE_REQUIRED);
                response.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
                response
            }
            Self::Other => {
                let mut response = Self::Version.response();
                let headers = response.headers_mut();
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                response
            }
        }
    }
}

/// The answer to a WebSocket handshake (RFC 6455 §4.2).
pub(super) fn accept(parts: &Parts) -> Result<Response<Body>, Refusal> {
    let upgrades =
        has_token(parts, &UPGRADE, "websocket") && has_token(parts, &CONNECTION, "upgrade");
    if parts.method != Method::GET || !upgrades {
        return Err(Refusal::Malformed);
    }
    if parts.headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(Refusal::Version);
    }
    let key = parts.headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let Some(key) = key.filter(|key| is_valid_key(key)) else {
        return Err(Refusal::Malformed);
    };
    let accept = HeaderValue::try_from(accept_key(key)).map_err(|_| Refusal::Malformed)?;
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

pub(super) fn has_token(parts: &Parts, name: &HeaderName, token: &str) -> bool {
    let values = parts.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// Opens a session on the stream.
pub(super) fn open(permit: Permit, handshake: Handshake, carried: Carried) {
    let Carried { stream, early, unsent } = carried;
    let (read, write) = stream.split();
    let Some(session) = Session::open(permit, handshake, Transport::WebSocket(write), unsent)
    else {
        return;
    };
    if session.say_first(&Frame::text(&[&session.open_packet()])) {
        session.opened();
    }
    let decoder = Decoder::new(session.gateway.config.max_payload);
    Conn::start(session, read, decoder, &early);
}

impl Session {
    /// Tells the layer above that the session is open.
    pub(super) fn opened(self: &Arc<Self>) {
        if let Layer::Engine(engine) = &self.gateway.layer {
            engine.opened(self);
        }
    }
}
