//! What an application implements to serve a Socket.IO namespace.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::reason::DisconnectReason;
use crate::recovery::{Arrival, Claim, Kept, Returning, SavedSession};
use crate::socketio::{AckSender, Socket};

/// A namespace's behaviour.
///
/// For one connection, everything but acknowledgements happens one after another and in order: `connect`,
/// `connected`, each `event`, `disconnected`. While a handler waits, further packets of the connection wait too
/// (bounded), but pings, acknowledgements and a closed connection are still noticed:
/// [`Socket::is_connected`] tells.
#[async_trait]
#[allow(unused_variables)]
pub trait Namespace: Send + Sync + 'static {
    /// A CONNECT packet. On `Ok` the CONNECT reply is queued and then `connected` is called. Whatever is emitted in
    /// here goes out before the reply.
    async fn connect(
        &self,
        socket: &Arc<Socket>,
        auth: Option<Box<RawValue>>,
    ) -> Result<(), ConnectError>;

    /// After `connect`, for a client that was here a short while ago and asks to go on: with its id, the rooms returned
    /// here, and the events that it missed in those which it was in. Whoever knows the secret can ask: compare who it
    /// is, and authorise each room again. On `Err` it is a client like any other. What follows, also when nothing is
    /// left to be recovered, is `connected`; [`Socket::recovered`] tells. The id changes only then. Rooms that are
    /// joined before `connected` by other means than this may tell the client something twice.
    ///
    /// `disconnected` of the socket from before may be called later than this: tell sockets apart by
    /// [`Arc::ptr_eq`], not by their id.
    async fn recover(
        &self,
        socket: &Arc<Socket>,
        returning: &Returning,
    ) -> Result<Vec<String>, ()> {
        Err(())
    }

    /// As `recover`, for a client whose session is not here (any more), or was refused it: the session may be another
    /// node's. It is as little as there a client's right to ask.
    async fn arrive(&self, socket: &Arc<Socket>, claim: &Claim) -> Option<Arrival> {
        None
    }

    /// The client has gone and may come back, here or with its [`passport`](SavedSession::passport) elsewhere. Do not wait.
    fn saved(&self, session: &Arc<SavedSession>) {}

    /// What is to be kept of a client that may come back ([`SavedSession::kept`](crate::SavedSession::kept)); it is
    /// dropped when it can no longer. Called when its connection has ended, and when it is back before we noticed that;
    /// under locks of the gateway: do nothing but collect it.
    fn keep(&self, socket: &Arc<Socket>) -> Option<Kept> {
        None
    }

    /// The socket is connected, the reply queued. Not called if the connection ended during `connect`.
    async fn connected(&self, socket: &Arc<Socket>) {}

    async fn event(&self, socket: &Arc<Socket>, event: Event);

    /// Called exactly once for each socket whose `connect` returned `Ok`, after all its other calls.
    fn disconnected(&self, socket: &Arc<Socket>, reason: DisconnectReason) {}

    /// The socket's send buffer has just become full: a frame for it was refused, and others will be until
    /// `drained`. Called once per episode, from whoever emitted: return soon, and emit nothing.
    fn overflowed(&self, socket: &Arc<Socket>) {}

    /// A full send buffer has drained to its half: the time to say what was missed.
    async fn drained(&self, socket: &Arc<Socket>) {}
}

/// A namespace that exists only for its rooms.
pub(crate) struct Unserved;

#[async_trait]
impl Namespace for Unserved {
    async fn connect(&self, _: &Arc<Socket>, _: Option<Box<RawValue>>) -> Result<(), ConnectError> {
        Err(ConnectError::new("Invalid namespace"))
    }

    async fn event(&self, _: &Arc<Socket>, _: Event) {}
}

/// An event from a client.
#[derive(Debug)]
pub struct Event {
    pub name: String,
    /// As sent, each a JSON text; placeholders of attachments are untouched.
    pub args: Vec<Box<RawValue>>,
    pub attachments: Vec<Bytes>,
    /// Present if the client asked for an acknowledgement.
    pub ack: Option<AckSender>,
}

/// Refuses a CONNECT: the client gets `{"message":…,"data":…}` as its `connect_error`.
#[derive(Debug, Clone)]
pub struct ConnectError {
    pub message: String,
    pub data: Option<serde_json::Value>,
}

impl ConnectError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    pub fn with_data(message: impl Into<String>, data: serde_json::Value) -> Self {
        Self { message: message.into(), data: Some(data) }
    }

    pub(crate) fn json(&self) -> String {
        let mut body = serde_json::json!({ "message": self.message });
        if let (Some(data), Some(object)) = (&self.data, body.as_object_mut()) {
            object.insert("data".to_owned(), data.clone());
        }
        body.to_string()
    }
}

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the socket is closed")]
    Closed,
    /// The send buffer is full; [`Namespace::drained`] tells when it no longer is.
    #[error("the send buffer is full")]
    Full,
}

/// Why an acknowledgement did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    #[error("the socket is closed")]
    Closed,
    #[error("the send buffer is full, or too many acknowledgements are owed")]
    Full,
    #[error("no acknowledgement in time")]
    Timeout,
}
