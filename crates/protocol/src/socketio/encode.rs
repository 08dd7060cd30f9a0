//! Packets → text, without the Engine.IO type `4` in front.
//!
//! The JSON is given as text and copied as it is: it was made once, by whoever knows its shape.

use std::fmt::Write as _;

use super::{Packet, PacketType};

/// What stands in front of the JSON. Whoever builds a frame in one buffer, or a head to share beside a
/// tail, writes it there instead of taking a `String` from the functions below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// With attachments, an event or an ack becomes its binary form by itself.
    pub kind: PacketType,
    /// `/` is not written.
    pub namespace: &'a str,
    /// The ack id.
    pub ack: Option<u64>,
    /// How many binary messages follow.
    pub attachments: usize,
}

impl<'a> Head<'a> {
    /// The head of a packet without id and attachments.
    pub fn new(kind: PacketType, namespace: &'a str) -> Head<'a> {
        Head { kind, namespace, ack: None, attachments: 0 }
    }

    /// Appends `<type>[<attachments>-][<namespace>,][<ack id>]`.
    pub fn write_to(&self, out: &mut String) {
        let kind = match self.kind {
            PacketType::Event if self.attachments > 0 => PacketType::BinaryEvent,
            PacketType::Ack if self.attachments > 0 => PacketType::BinaryAck,
            kind => kind,
        };
        out.push(kind.digit());
        // Writing to a String cannot fail.
        if kind.is_binary() {
            let _ = write!(out, "{}-", self.attachments);
        }
        if !matches!(self.namespace, "" | "/") {
            out.push_str(self.namespace);
            out.push(',');
        }
        if let Some(id) = self.ack {
            let _ = write!(out, "{id}");
        }
    }

    /// The whole text, with `json` behind the head.
    pub fn encode(&self, json: &str) -> String {
        // Type, two numbers, two signs: 32 bytes hold nearly every head.
        let mut out = String::with_capacity(32 + self.namespace.len() + json.len());
        self.write_to(&mut out);
        out.push_str(json);
        out
    }
}

impl Packet {
    /// The text of the packet; its attachments follow as binary messages.
    pub fn encode(&self) -> String {
        let head = Head {
            kind: self.kind,
            namespace: self.namespace.as_str(),
            ack: self.ack,
            attachments: self.attachments.len(),
        };
        head.encode(self.data.as_ref().map_or("", |data| data.get()))
    }
}

/// Confirms a namespace; `data` is the object `{"sid":…}`, as text.
pub fn encode_connect(namespace: &str, data: &str) -> String {
    Head::new(PacketType::Connect, namespace).encode(data)
}

/// Refuses a namespace; `json` is the object `{"message":…}`, as text.
pub fn encode_connect_error(namespace: &str, json: &str) -> String {
    Head::new(PacketType::ConnectError, namespace).encode(json)
}

/// Ends a namespace.
pub fn encode_disconnect(namespace: &str) -> String {
    Head::new(PacketType::Disconnect, namespace).encode("")
}

/// An event; `data_json` is the whole array, name first, as text.
pub fn encode_event(
    namespace: &str,
    ack: Option<u64>,
    data_json: &str,
    attachments: usize,
) -> String {
    Head { kind: PacketType::Event, namespace, ack, attachments }.encode(data_json)
}

/// An acknowledgement; `data_json` is the array of its arguments, as text.
pub fn encode_ack(namespace: &str, id: u64, data_json: &str, attachments: usize) -> String {
    Head { kind: PacketType::Ack, namespace, ack: Some(id), attachments }.encode(data_json)
}
