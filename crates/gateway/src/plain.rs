//! Plain WebSocket clients: each text message is one JSON object `{"type":"…",…}`, both ways.
//!
//! They share everything below the messages with Socket.IO: a [`Session`](crate::Session) over its WebSocket, the work
//! queue of [`socketio::Client`](crate::socketio::Client), and the rooms of the namespace `/`, so that a broadcast
//! reaches both. What they do not have: polling, namespaces, acknowledgements, attachments.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_protocol::json::{self, MAX_DEPTH};

use crate::reason::DisconnectReason;
use crate::socketio::Socket;

/// A plain WebSocket client. The same type as a Socket.IO client's, since an application does the same with both;
/// [`Socket::is_plain`] tells them apart.
pub type PlainSocket = Socket;

/// The behaviour of the plain WebSocket endpoint. The calls for one connection come one after another and in order,
/// as with [`Namespace`](crate::Namespace).
#[async_trait]
#[allow(unused_variables)]
pub trait Plain: Send + Sync + 'static {
    /// The connection is open. Until [`Socket::authenticated`] is called it gets no broadcast but those of rooms that it
    /// joins, and it is closed with 4401 after [`Config::auth_timeout`](crate::Config::auth_timeout).
    async fn opened(&self, socket: &Arc<PlainSocket>);

    /// A message, or what was wrong with it. An error costs the client nothing but what you make of it.
    async fn message(&self, socket: &Arc<PlainSocket>, message: Result<PlainMessage, PlainError>);

    /// Called exactly once for each socket that was opened, after all its other calls.
    fn closed(&self, socket: &Arc<PlainSocket>, reason: DisconnectReason) {}

    /// As [`Namespace::overflowed`](crate::Namespace::overflowed).
    fn overflowed(&self, socket: &Arc<PlainSocket>) {}

    /// As [`Namespace::drained`](crate::Namespace::drained).
    async fn drained(&self, socket: &Arc<PlainSocket>) {}
}

/// A message of a plain client.
#[derive(Debug)]
pub struct PlainMessage {
    /// Its `type`.
    pub kind: String,
    /// The whole object, `type` included.
    pub body: Box<RawValue>,
}

/// What is wrong with a message of a plain client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    #[error("messages are text, not binary")]
    Binary,
    #[error("the message is not JSON")]
    Malformed,
    #[error("the message is nested too deeply")]
    TooDeep,
    #[error("the message is not a JSON object")]
    NotAnObject,
    #[error("the message has no field `type` that is a string")]
    NoType,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

pub(crate) fn parse(text: String) -> Result<PlainMessage, PlainError> {
    let outline = json::outline(&text, MAX_DEPTH).map_err(|error| match error {
        json::Error::TooDeep { .. } => PlainError::TooDeep,
        json::Error::Malformed => PlainError::Malformed,
    })?;
    let is_object = outline.root == Some(json::Token::OpenObject);
    let body = RawValue::from_string(text).map_err(|_| PlainError::Malformed)?;
    if !is_object {
        return Err(PlainError::NotAnObject);
    }
    let kind = serde_json::from_str::<Kind<'_>>(body.get()).map_err(|_| PlainError::NoType)?;
    Ok(PlainMessage { kind: kind.kind.into_owned(), body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_objects_with_a_type() {
        let parse = |text: &str| parse(text.to_owned());
        let message = parse(r#" {"room":"a","type":"sub\u0073cribe"}"#).expect("good");
        assert_eq!(message.kind, "subscribe");
        assert_eq!(message.body.get().trim(), r#"{"room":"a","type":"sub\u0073cribe"}"#);
        let error = |text: &str| parse(text).expect_err("bad");
        assert_eq!(error(""), PlainError::Malformed);
        assert_eq!(error(r#"{"type":"a"} x"#), PlainError::Malformed);
        assert_eq!(error(r#"["type"]"#), PlainError::NotAnObject);
        assert_eq!(error("1"), PlainError::NotAnObject);
        assert_eq!(error(r#"{"a":1}"#), PlainError::NoType);
        assert_eq!(error(r#"{"type":1}"#), PlainError::NoType);
        assert_eq!(error(r#"{"type":"a","type":"b"}"#), PlainError::NoType, "which one?");
        let deep = format!(r#"{{"type":"a","b":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        assert_eq!(error(&deep), PlainError::TooDeep);
    }
}
