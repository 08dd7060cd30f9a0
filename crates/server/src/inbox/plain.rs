//! The plain WebSocket endpoint `/ws` and event streams: the same inbox for clients without Socket.IO.
//!
//! Each message is a JSON object with a `type`: the name of the event or command. A command that
//! carries a `requestId` is answered with `{"type":"ack","requestId":…,"ok":…}`.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json, value::RawValue};
use tidings_gateway::{
    ConnectError, DisconnectReason, Frame, Namespace as _, Plain, PlainError, PlainMessage,
    PlainSocket,
};

use super::{
    arrival::Arrival,
    events,
    namespace::{InboxNamespace, session_of},
};
use crate::guard::Admitted;

/// WebSocket close code for a client that could not prove who it is (RFC 6455 §7.4.2 leaves
/// 4000–4999 to applications).
const UNAUTHENTICATED: u16 = 4401;

pub struct PlainInbox {
    namespace: Arc<InboxNamespace>,
}

impl PlainInbox {
    pub fn new(namespace: Arc<InboxNamespace>) -> Self {
        Self { namespace }
    }

    /// The same as CONNECT: `auth` is `{token?, since?, device?}`.
    async fn connect(&self, socket: &Arc<PlainSocket>, auth: Option<Box<RawValue>>) {
        match self.namespace.connect(socket, auth).await {
            Ok(()) => self.open(socket).await,
            Err(refusal) => refuse(socket, &refusal),
        }
    }

    /// The same for a client whose first request has said everything.
    async fn arrive(&self, socket: &Arc<PlainSocket>, arrival: Arrival) {
        let (claims, request) = (arrival.claims.clone(), arrival.request.clone());
        match self.namespace.admit(socket, claims, request) {
            Ok(()) => {
                self.open(socket).await;
                self.namespace.settle(socket, &arrival).await;
            }
            Err(refusal) => refuse(socket, &refusal),
        }
    }

    async fn open(&self, socket: &Arc<PlainSocket>) {
        socket.authenticated();
        self.namespace.connected(socket).await;
    }

    fn welcome(&self, socket: &Arc<PlainSocket>) {
        let body = json!({
            "connectionId": socket.id(),
            "message": "Welcome to Tidings",
            "timestamp": self.namespace.now(),
        });
        let _ = socket.emit(&Frame::event("welcome", &[&body.to_string()]));
    }

    async fn command(&self, socket: &Arc<PlainSocket>, message: PlainMessage) {
        let Some(session) = session_of(socket) else {
            return self.first_message(socket, message).await;
        };
        let (request_id, arg) = argument(&message.body);
        let args: Vec<_> = arg.into_iter().collect();
        let (mut body, failed) = self.namespace.answer(&session, &message.kind, &args).await;
        match (request_id, failed) {
            (Some(id), _) => {
                if let Some(object) = body.as_object_mut() {
                    object.insert("requestId".to_owned(), id);
                }
                let _ = socket.emit(&events::event("ack", &body));
            }
            // Nobody to tell if the buffer is full: then the client is in worse trouble.
            (None, Some(error)) => drop(socket.emit(&events::event("error", &error))),
            (None, None) => {}
        }
    }

    /// Before anything else a client says who it is: `{"type":"auth","token":…}`.
    async fn first_message(&self, socket: &Arc<PlainSocket>, message: PlainMessage) {
        if message.kind == "auth" {
            return self.connect(socket, Some(message.body)).await;
        }
        let text = "The first message must be {\"type\":\"auth\",\"token\":…}";
        let _ = socket.emit(&events::error("AUTH_FAILED", text));
        socket.close(UNAUTHENTICATED, "Authentication failed");
    }
}

fn refuse(socket: &Arc<PlainSocket>, refusal: &ConnectError) {
    let ConnectError { message, data } = refusal;
    let code = data.as_ref().and_then(|data| data.get("code")?.as_str());
    let _ = socket.emit(&events::error(code.unwrap_or("AUTH_FAILED"), message));
    socket.close(UNAUTHENTICATED, message);
}

/// What a command says beside its `type` and `requestId`; nothing, if that is all.
fn argument(body: &RawValue) -> (Option<Value>, Option<Box<RawValue>>) {
    let mut fields: Map<String, Value> = serde_json::from_str(body.get()).unwrap_or_default();
    fields.remove("type");
    let request_id = fields.remove("requestId");
    if fields.is_empty() {
        return (request_id, None);
    }
    (request_id, serde_json::value::to_raw_value(&fields).ok())
}

#[async_trait]
impl Plain for PlainInbox {
    async fn opened(&self, socket: &Arc<PlainSocket>) {
        if !socket.is_stream() {
            self.welcome(socket);
        }
        let handshake = socket.handshake();
        let admitted = handshake.extension.as_ref().and_then(|e| e.downcast_ref::<Admitted>());
        let arrival = admitted.and_then(|admitted| admitted.arrival.lock().take());
        if let Some(arrival) = arrival {
            return self.arrive(socket, *arrival).await;
        }
        let in_header = admitted.is_some_and(|admitted| admitted.token.is_some());
        if in_header || handshake.query_param("token").is_some() {
            self.connect(socket, None).await;
        }
    }

    async fn message(&self, socket: &Arc<PlainSocket>, message: Result<PlainMessage, PlainError>) {
        match message {
            Ok(message) => self.command(socket, message).await,
            Err(problem) => {
                let _ = socket.emit(&events::error("INVALID", &problem.to_string()));
            }
        }
    }

    fn closed(&self, socket: &Arc<PlainSocket>, reason: DisconnectReason) {
        self.namespace.disconnected(socket, reason);
    }

    fn overflowed(&self, socket: &Arc<PlainSocket>) {
        self.namespace.overflowed(socket);
    }

    async fn drained(&self, socket: &Arc<PlainSocket>) {
        self.namespace.drained(socket).await;
    }
}
