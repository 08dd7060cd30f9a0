//! What each packet of a client means.

use std::sync::Arc;

use serde_json::value::RawValue;
use tidings_protocol::socketio::{self, Packet, PacketType};

use crate::engine::{Ending, Session};
use crate::frame::Frame;
use crate::hub::Hub;
use crate::namespace::{ConnectError, Event, SendError};
use crate::plain::{PlainError, PlainMessage};
use crate::reason::DisconnectReason;

use super::ack::AckSender;
use super::client::Work;
use super::socket::Socket;

pub(super) async fn perform(session: &Arc<Session>, work: Work) {
    match work {
        Work::Packet(packet) => match packet.kind {
            PacketType::Connect => connect(session, packet).await,
            PacketType::Event | PacketType::BinaryEvent => event(session, packet).await,
            PacketType::Disconnect => disconnect(session, &packet),
            // Acknowledgements went another way; a CONNECT_ERROR is not a client's to send.
            PacketType::Ack | PacketType::BinaryAck | PacketType::ConnectError => {
                violation(session)
            }
        },
        Work::Disconnected(socket, reason) => {
            session.client.remove(&socket);
            match socket.plain() {
                Some(plain) => plain.closed(&socket, reason),
                None => socket.hub().handler.disconnected(&socket, reason),
            }
        }
        Work::Drained => {
            for socket in session.client.all() {
                match socket.plain() {
                    Some(plain) => plain.drained(&socket).await,
                    None => socket.hub().handler.drained(&socket).await,
                }
            }
        }
        Work::Opened(socket) => {
            if let Some(plain) = socket.plain() {
                plain.opened(&socket).await;
            }
        }
        Work::Message(message) => plain_message(session, message).await,
    }
}

async fn plain_message(session: &Arc<Session>, message: Result<PlainMessage, PlainError>) {
    // None after it was sent away.
    let Some(socket) = session.client.all().pop().filter(|socket| !socket.is_dismissed()) else {
        return;
    };
    if let Ok(message) = &message {
        session.gateway.metrics.message_received(&message.kind);
    }
    if let Some(plain) = socket.plain() {
        plain.message(&socket, message).await;
    }
}

async fn connect(session: &Arc<Session>, packet: Packet) {
    let namespace = packet.namespace.as_str();
    if session.client.socket(namespace).is_some() {
        return violation(session);
    }
    let Some(hub) = session.gateway.hub(namespace) else {
        return refuse(session, namespace, &ConnectError::new("Invalid namespace"));
    };
    if session.client.sockets() >= session.gateway.config.max_namespaces {
        return refuse(session, namespace, &ConnectError::new("Too many namespaces"));
    }
    let socket = Socket::new(session, hub);
    match hub.handler.connect(&socket, packet.data).await {
        Ok(()) => welcome(session, hub, &socket).await,
        Err(error) => {
            socket.detach();
            refuse(session, namespace, &error);
        }
    }
}

async fn welcome(session: &Arc<Session>, hub: &Arc<Hub>, socket: &Arc<Socket>) {
    if let Err(reason) = session.client.admit(socket) {
        socket.detach();
        hub.handler.disconnected(socket, reason);
        return;
    }
    session.lock().deadlines.connect = 0;
    let data = format!(r#"{{"sid":"{}"}}"#, socket.id());
    reply(session, &socketio::encode_connect(&hub.name, &data));
    hub.insert(socket);
    hub.handler.connected(socket).await;
}

fn refuse(session: &Arc<Session>, namespace: &str, error: &ConnectError) {
    reply(session, &socketio::encode_connect_error(namespace, &error.json()));
}

/// Sends a packet that the protocol owes the client: one who cannot take even that is gone.
pub(super) fn reply(session: &Arc<Session>, packet: &str) {
    if session.emit(&Frame::text(&["4", packet])) == Err(SendError::Full) {
        session.close(DisconnectReason::SlowConsumer, Ending::Abort);
    }
}

async fn event(session: &Arc<Session>, packet: Packet) {
    let Some(socket) = session.client.socket(packet.namespace.as_str()) else {
        return stray(session, &packet);
    };
    if socket.is_dismissed() {
        return;
    }
    let Some((name, args)) = packet.event() else {
        return violation(session);
    };
    let args: Vec<Box<RawValue>> = args.into_iter().map(ToOwned::to_owned).collect();
    let name = name.into_owned();
    session.gateway.metrics.message_received(&name);
    let ack = packet.ack.map(|id| AckSender::new(&socket, id));
    let event = Event { name, args, attachments: packet.attachments, ack };
    socket.hub().handler.event(&socket, event).await;
}

fn disconnect(session: &Arc<Session>, packet: &Packet) {
    let Some(socket) = session.client.socket(packet.namespace.as_str()) else {
        return stray(session, packet);
    };
    if socket.retire() {
        session.client.remove(&socket);
        socket.detach();
        socket.hub().handler.disconnected(&socket, DisconnectReason::ClientDisconnect);
    }
}

/// A packet for a namespace that the client is not in. We may have disconnected it while the packet was on
/// the way; otherwise it knows no order, and the connection ends, as with socket.io.
fn stray(session: &Arc<Session>, packet: &Packet) {
    if !session.client.was_dismissed(packet.namespace.as_str()) {
        violation(session);
    }
}

fn violation(session: &Arc<Session>) {
    session.close(DisconnectReason::ParseError, Ending::Flush);
}
