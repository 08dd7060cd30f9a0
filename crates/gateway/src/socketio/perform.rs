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
use crate::recovery::{Arrival, Claim, Restoring};

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
    let claim = hub.past.as_ref().and_then(|_| Claim::parse(packet.data.as_deref()));
    if let (Some(claim), Some((_, resume))) = (claim, socket.recovery()) {
        resume.hold(claim.offset);
    }
    match hub.handler.connect(&socket, packet.data).await {
        Ok(()) => welcome(session, hub, &socket, claim).await,
        Err(error) => {
            socket.detach();
            refuse(session, namespace, &error);
        }
    }
}

async fn welcome(
    session: &Arc<Session>,
    hub: &Arc<Hub>,
    socket: &Arc<Socket>,
    claim: Option<Claim>,
) {
    let way = match claim {
        Some(claim) => way_back(hub, socket, claim).await,
        None => None,
    };
    if let Err(reason) = session.client.admit(socket) {
        socket.detach();
        hub.handler.disconnected(socket, reason);
        return;
    }
    session.lock().deadlines.connect = 0;
    let greet = || {
        let pid = socket.recovery().map(|(_, resume)| resume.pid());
        let pid = pid.map_or_else(String::new, |pid| format!(r#","pid":"{}""#, pid.as_str()));
        let data = format!(r#"{{"sid":"{}"{pid}}}"#, socket.id());
        Frame::text(&["4", &socketio::encode_connect(&hub.name, &data)])
    };
    match socket.recovery() {
        None => {
            send_reply(session, &greet());
            hub.insert(socket);
        }
        Some((past, resume)) => {
            let mut greeted = Ok(());
            let reply = || greeted = session.emit(&greet());
            let restored = match &way {
                Some(WayBack::Here(restoring)) => past.restore(socket, resume, restoring, reply),
                Some(WayBack::From(claim, arrival)) => {
                    past.adopt(socket, resume, (claim, arrival), reply)
                }
                None => false,
            };
            if !restored {
                greeted = session.emit(&greet());
                past.arrive(socket, resume);
            }
            check(session, greeted);
        }
    }
    hub.handler.connected(socket).await;
}

/// A session that a client may go on with.
enum WayBack {
    Here(Restoring),
    /// It is another node's.
    From(Claim, Arrival),
}

async fn way_back(hub: &Arc<Hub>, socket: &Arc<Socket>, claim: Claim) -> Option<WayBack> {
    if let Some((returning, old)) = hub.past.as_ref()?.find(claim)
        && let Ok(rooms) = hub.handler.recover(socket, &returning).await
    {
        if let Some(old) = old {
            // We still had it for connected.
            old.supersede();
        }
        return Some(WayBack::Here(Restoring { claim, rooms }));
    }
    let arrival = hub.handler.arrive(socket, &claim).await?;
    Some(WayBack::From(claim, arrival))
}

fn refuse(session: &Arc<Session>, namespace: &str, error: &ConnectError) {
    reply(session, &socketio::encode_connect_error(namespace, &error.json()));
}

/// Sends a packet that the protocol owes the client: one who cannot take even that is gone.
pub(super) fn reply(session: &Arc<Session>, packet: &str) {
    send_reply(session, &Frame::text(&["4", packet]));
}

fn send_reply(session: &Arc<Session>, packet: &Frame) {
    check(session, session.emit(packet));
}

fn check(session: &Arc<Session>, replied: Result<(), SendError>) {
    if replied == Err(SendError::Full) {
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
