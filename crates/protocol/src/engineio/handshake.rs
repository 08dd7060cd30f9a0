//! The open packet, and the errors that a request without a session gets.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A transport that the client may move to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upgrade {
    /// The only one.
    WebSocket,
}

/// The data of the open packet. Clients count its keys: there are exactly these five.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenPacket {
    /// The session, a bearer secret.
    pub sid: String,
    /// `[websocket]` on polling, nothing on a WebSocket.
    pub upgrades: Vec<Upgrade>,
    /// Milliseconds from one ping of the server to the next.
    pub ping_interval: u64,
    /// Milliseconds that the client has for its pong.
    pub ping_timeout: u64,
    /// The largest polling body or message, in bytes.
    pub max_payload: u64,
}

impl OpenPacket {
    /// The JSON object, in the order of the reference server.
    pub fn json(&self) -> String {
        let upgrades: Vec<&str> =
            self.upgrades.iter().map(|Upgrade::WebSocket| "\"websocket\"").collect();
        format!(
            r#"{{"sid":{},"upgrades":[{}],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            Value::from(self.sid.as_str()),
            upgrades.join(","),
            self.ping_interval,
            self.ping_timeout,
            self.max_payload
        )
    }

    /// The text packet: `0` and the JSON object.
    pub fn encode(&self) -> String {
        format!("0{}", self.json())
    }
}

/// Why a request was refused before there was a session to tell; the body of an HTTP 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum ErrorCode {
    /// `transport` is missing, or neither `polling` nor `websocket`.
    #[error("Transport unknown")]
    UnknownTransport = 0,
    /// No session has this `sid`.
    #[error("Session ID unknown")]
    UnknownSession = 1,
    /// A handshake is a GET.
    #[error("Bad handshake method")]
    BadHandshakeMethod = 2,
    /// Anything else that the client did wrong.
    #[error("Bad request")]
    BadRequest = 3,
    /// Refused by a rule of the server.
    #[error("Forbidden")]
    Forbidden = 4,
    /// `EIO` is not 4.
    #[error("Unsupported protocol version")]
    UnsupportedProtocolVersion = 5,
}

impl ErrorCode {
    /// The number on the wire.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The text on the wire.
    pub fn message(self) -> &'static str {
        match self {
            ErrorCode::UnknownTransport => "Transport unknown",
            ErrorCode::UnknownSession => "Session ID unknown",
            ErrorCode::BadHandshakeMethod => "Bad handshake method",
            ErrorCode::BadRequest => "Bad request",
            ErrorCode::Forbidden => "Forbidden",
            ErrorCode::UnsupportedProtocolVersion => "Unsupported protocol version",
        }
    }

    /// The whole body.
    pub fn json(self) -> &'static str {
        match self {
            ErrorCode::UnknownTransport => r#"{"code":0,"message":"Transport unknown"}"#,
            ErrorCode::UnknownSession => r#"{"code":1,"message":"Session ID unknown"}"#,
            ErrorCode::BadHandshakeMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            ErrorCode::BadRequest => r#"{"code":3,"message":"Bad request"}"#,
            ErrorCode::Forbidden => r#"{"code":4,"message":"Forbidden"}"#,
            ErrorCode::UnsupportedProtocolVersion => {
                r#"{"code":5,"message":"Unsupported protocol version"}"#
            }
        }
    }
}
