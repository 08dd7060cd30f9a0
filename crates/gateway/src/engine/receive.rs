//! What a session does with what the client sent, whichever transport brought it.

use std::sync::Arc;

use bytes::Bytes;
use tidings_protocol::engineio::{Packet, PacketRef};

use crate::layer::{Layer, Message};
use crate::reason::DisconnectReason;
use crate::socketio::Incoming;

use super::close::Ending;
use super::session::Session;

/// The client broke the protocol; the session is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation;

impl Session {
    pub(crate) fn receive(self: &Arc<Self>, packet: PacketRef<'_>) -> Result<(), Violation> {
        match packet {
            PacketRef::Message(text) => self.message(Incoming::Text(text)),
            PacketRef::Pong(_) => {
                self.on_pong();
                Ok(())
            }
            PacketRef::Close => {
                self.close(DisconnectReason::TransportClose, Ending::ByClient);
                Ok(())
            }
            // Only servers open and ping.
            PacketRef::Open(_) | PacketRef::Ping(_) => Err(Violation),
            // Late parts of an upgrade, without meaning by now.
            PacketRef::Upgrade | PacketRef::Noop => Ok(()),
        }
    }

    pub(crate) fn receive_binary(self: &Arc<Self>, bytes: Bytes) -> Result<(), Violation> {
        self.message(Incoming::Binary(bytes))
    }

    /// From the body of a POST.
    pub(crate) fn receive_packet(self: &Arc<Self>, packet: Packet) -> Result<(), Violation> {
        match &packet {
            Packet::Binary(bytes) => self.receive_binary(bytes.clone()),
            Packet::Message(text) => self.receive(PacketRef::Message(text)),
            Packet::Pong(data) => self.receive(PacketRef::Pong(data)),
            Packet::Ping(data) => self.receive(PacketRef::Ping(data)),
            Packet::Open(data) => self.receive(PacketRef::Open(data)),
            Packet::Close => self.receive(PacketRef::Close),
            Packet::Upgrade => self.receive(PacketRef::Upgrade),
            Packet::Noop => self.receive(PacketRef::Noop),
        }
    }

    fn message(self: &Arc<Self>, message: Incoming<'_>) -> Result<(), Violation> {
        match &self.gateway.layer {
            Layer::SocketIo(_) => self.client.receive(self, message).map_err(|()| Violation),
            Layer::Engine(engine) => {
                engine.message(
                    self,
                    match message {
                        Incoming::Text(text) => Message::Text(text.to_owned()),
                        Incoming::Binary(bytes) => Message::Binary(bytes),
                    },
                );
                Ok(())
            }
        }
    }
}
