//! The description of the events: AsyncAPI 3.0, for Socket.IO, plain WebSockets and event streams.
//!
//! Each event and command is described once, here; what differs between the transports (objects
//! with a `type` instead of arguments, `ack` instead of acknowledgements) follows by rule, as in
//! the gateway.

mod commands;
mod events;
mod message;
mod presence;
mod schemas;

use axum::routing::MethodRouter;
use bytes::Bytes;
use http::header;
use serde_json::{Map, Value, json};

use crate::state::AppState;
use message::Message;
use schemas::Schemas;

/// A way to speak with the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    SocketIo,
    WebSocket,
    Stream,
}

impl Transport {
    const ALL: [Self; 3] = [Self::SocketIo, Self::WebSocket, Self::Stream];

    fn name(self) -> &'static str {
        match self {
            Self::SocketIo => "socketio",
            Self::WebSocket => "websocket",
            Self::Stream => "stream",
        }
    }

    /// Whether its messages are objects with a `type`.
    fn is_plain(self) -> bool {
        self != Self::SocketIo
    }
}

/// Answers with the description, which is made once.
pub(super) fn page(state: &AppState) -> MethodRouter<AppState> {
    let text = Bytes::from(document(state).to_string());
    let json = [(header::CONTENT_TYPE, "application/json")];
    axum::routing::get(move || async move { (json, text) })
}

/// The whole description, with the types of event that the configuration declares.
fn document(state: &AppState) -> Value {
    let mut parts = Parts {
        channels: Map::new(),
        operations: Map::new(),
        messages: Map::new(),
        schemas: Schemas::new(),
    };
    for transport in Transport::ALL {
        parts.describe(state, transport);
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidings",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Notifications, rooms and presence as they happen. See the OpenAPI description for what is done over HTTP.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "websocket": server("ws", "Socket.IO v5 on Engine.IO v4, and plain WebSockets"),
            "http": server("http", "Server-sent events"),
        },
        "channels": parts.channels,
        "operations": parts.operations,
        "components": {
            "messages": parts.messages,
            "schemas": parts.schemas.0,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                "tokenInQuery": { "type": "httpApiKey", "name": "token", "in": "query" },
                "ticket": {
                    "type": "httpApiKey", "name": "ticket", "in": "query",
                    "description": "Of POST /api/v1/stream-tickets; not for Socket.IO",
                },
            },
        },
    })
}

fn server(protocol: &str, description: &str) -> Value {
    let security = ["token", "tokenInQuery", "ticket"]
        .map(|scheme| reference("components/securitySchemes", scheme));
    json!({
        "host": "{host}",
        "protocol": protocol,
        "description": description,
        "variables": { "host": { "default": "localhost:3001" } },
        "security": security,
    })
}

fn reference(section: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/{section}/{name}") })
}

struct Parts {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Schemas,
}

impl Parts {
    fn describe(&mut self, state: &AppState, transport: Transport) {
        let mut in_channel = Map::new();
        let mut sent = Vec::new();
        for event in events::all(state).iter().filter(|event| event.is_on(transport)) {
            sent.push(self.add(&mut in_channel, transport, "event", event));
        }
        let name = transport.name();
        let operation = json!({
            "action": "send",
            "channel": reference("channels", name),
            "summary": "Everything that the server tells",
            "messages": sent,
        });
        self.operations.insert(format!("{name}.send"), operation);
        if transport != Transport::Stream {
            for (command, answer) in commands::all() {
                self.command(&mut in_channel, transport, &command, &answer);
            }
        }
        let config = &state.config.gateway;
        let (address, server, description) = match transport {
            Transport::SocketIo => (&*config.path, "websocket", commands::SOCKET_IO),
            Transport::WebSocket => (&*config.plain_path, "websocket", commands::PLAIN),
            Transport::Stream => ("/api/v1/stream", "http", events::STREAM),
        };
        let channel = json!({
            "address": address,
            "description": description,
            "servers": [reference("servers", server)],
            "messages": in_channel,
        });
        self.channels.insert(name.to_owned(), channel);
    }

    fn command(
        &mut self,
        in_channel: &mut Map<String, Value>,
        transport: Transport,
        command: &Message,
        answer: &Message,
    ) {
        let asked = self.add(in_channel, transport, "command", command);
        let answered = self.add(in_channel, transport, "answer", answer);
        let name = transport.name();
        let operation = json!({
            "action": "receive",
            "channel": reference("channels", name),
            "summary": command.summary,
            "messages": [asked],
            "reply": { "channel": reference("channels", name), "messages": [answered] },
        });
        self.operations.insert(format!("{name}.{}", command.id()), operation);
    }

    /// Describes a message in a channel; gives the reference to it.
    fn add(
        &mut self,
        in_channel: &mut Map<String, Value>,
        transport: Transport,
        role: &str,
        message: &Message,
    ) -> Value {
        let form = if transport.is_plain() { "plain." } else { "" };
        let id = format!("{form}{role}.{}", message.id());
        let described = match (transport.is_plain(), role) {
            (false, _) => message.of_socketio(),
            (true, "answer") => message.of_plain_answer(&self.schemas),
            (true, _) => message.of_plain(&self.schemas, role == "command"),
        };
        self.messages.insert(id.clone(), described);
        in_channel.insert(id.clone(), reference("components/messages", &id));
        reference(&format!("channels/{}/messages", transport.name()), &id)
    }
}
