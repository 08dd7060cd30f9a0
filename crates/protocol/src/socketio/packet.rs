//! A packet and what it means.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::Namespace;
use crate::json::{self, Token};

/// Names that the libraries emit themselves; a peer must not be able to forge them.
pub const RESERVED_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// The type of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketType {
    /// `0`: joins a namespace, or confirms it.
    Connect,
    /// `1`: leaves a namespace.
    Disconnect,
    /// `2`: an event.
    Event,
    /// `3`: the answer to an event with an id.
    Ack,
    /// `4`: a refused connect.
    ConnectError,
    /// `5`: an event with attachments.
    BinaryEvent,
    /// `6`: an answer with attachments.
    BinaryAck,
}

impl PacketType {
    /// The digit on the wire.
    pub fn digit(self) -> char {
        match self {
            PacketType::Connect => '0',
            PacketType::Disconnect => '1',
            PacketType::Event => '2',
            PacketType::Ack => '3',
            PacketType::ConnectError => '4',
            PacketType::BinaryEvent => '5',
            PacketType::BinaryAck => '6',
        }
    }

    /// The type of a digit.
    pub fn from_digit(digit: char) -> Option<PacketType> {
        match digit {
            '0' => Some(PacketType::Connect),
            '1' => Some(PacketType::Disconnect),
            '2' => Some(PacketType::Event),
            '3' => Some(PacketType::Ack),
            '4' => Some(PacketType::ConnectError),
            '5' => Some(PacketType::BinaryEvent),
            '6' => Some(PacketType::BinaryAck),
            _ => None,
        }
    }

    /// An event, with attachments or without.
    pub fn is_event(self) -> bool {
        matches!(self, PacketType::Event | PacketType::BinaryEvent)
    }

    /// An acknowledgement, with attachments or without.
    pub fn is_ack(self) -> bool {
        matches!(self, PacketType::Ack | PacketType::BinaryAck)
    }

    /// Followed by attachments.
    pub fn is_binary(self) -> bool {
        matches!(self, PacketType::BinaryEvent | PacketType::BinaryAck)
    }
}

/// A packet with all its attachments.
#[derive(Debug, Clone)]
pub struct Packet {
    /// What it is.
    pub kind: PacketType,
    /// Where it belongs.
    pub namespace: Namespace,
    /// On an event: the sender waits for an answer with this id. On an ack: the id it answers.
    pub ack: Option<u64>,
    /// The JSON as it was sent, checked; where an attachment belongs there is
    /// `{"_placeholder":true,"num":<index>}`.
    pub data: Option<Box<RawValue>>,
    /// What the placeholders stand for.
    pub attachments: Vec<Bytes>,
}

impl Packet {
    /// A packet without data.
    pub fn new(kind: PacketType, namespace: Namespace) -> Packet {
        Packet { kind, namespace, ack: None, data: None, attachments: Vec::new() }
    }

    /// The name and the arguments of an event; `None` for any other packet.
    pub fn event(&self) -> Option<(Cow<'_, str>, Vec<&RawValue>)> {
        if !self.kind.is_event() {
            return None;
        }
        let name = self.event_name()?;
        let mut args = self.elements();
        if !args.is_empty() {
            args.remove(0);
        }
        Some((name, args))
    }

    /// The name of an event, without a look at its arguments. A number, which the reference server
    /// allows too, is given as it is written.
    pub fn event_name(&self) -> Option<Cow<'_, str>> {
        if !self.kind.is_event() {
            return None;
        }
        match json::Tokens::new(self.data.as_ref()?.get()).nth(1)? {
            Token::String(written) => json::unescape(written).ok(),
            Token::Scalar(number) => Some(Cow::Borrowed(number)),
            _ => None,
        }
    }

    /// The arguments of an acknowledgement, or those of an event after its name.
    pub fn args(&self) -> Vec<&RawValue> {
        match self.event() {
            Some((_, args)) => args,
            None => self.elements(),
        }
    }

    /// The elements of the data, if it is an array.
    fn elements(&self) -> Vec<&RawValue> {
        let parse = |data| serde_json::from_str::<Vec<&RawValue>>(data).ok();
        self.data.as_ref().and_then(|data| parse(data.get())).unwrap_or_default()
    }
}

/// Two packets are equal if they would be written alike.
impl PartialEq for Packet {
    fn eq(&self, other: &Packet) -> bool {
        let text = |packet: &Packet| packet.data.as_ref().map(|data| data.get().to_owned());
        self.kind == other.kind
            && self.namespace == other.namespace
            && self.ack == other.ack
            && text(self) == text(other)
            && self.attachments == other.attachments
    }
}
