//! One packet: a digit for its type, then its data.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// A packet of Engine.IO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// `0`: the handshake, from the server; see [`super::OpenPacket`].
    Open(String),
    /// `1`: the transport is to be closed.
    Close,
    /// `2`: the heartbeat of the server, or `2probe` of a client that upgrades.
    Ping(String),
    /// `3`: the answer.
    Pong(String),
    /// `4`: text, here that of a Socket.IO packet.
    Message(String),
    /// A binary message: as it is on a WebSocket, `b` and base64 over polling.
    Binary(Bytes),
    /// `5`: the client moves to the probed transport.
    Upgrade,
    /// `6`: ends a pending poll during an upgrade.
    Noop,
}

/// A [`Packet`] that borrows from the text it was decoded from: nothing is copied on the hot path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketRef<'a> {
    /// `0`
    Open(&'a str),
    /// `1`
    Close,
    /// `2`
    Ping(&'a str),
    /// `3`
    Pong(&'a str),
    /// `4`
    Message(&'a str),
    /// `5`
    Upgrade,
    /// `6`
    Noop,
}

impl From<PacketRef<'_>> for Packet {
    fn from(packet: PacketRef<'_>) -> Packet {
        match packet {
            PacketRef::Open(data) => Packet::Open(data.to_owned()),
            PacketRef::Close => Packet::Close,
            PacketRef::Ping(data) => Packet::Ping(data.to_owned()),
            PacketRef::Pong(data) => Packet::Pong(data.to_owned()),
            PacketRef::Message(data) => Packet::Message(data.to_owned()),
            PacketRef::Upgrade => Packet::Upgrade,
            PacketRef::Noop => Packet::Noop,
        }
    }
}

/// Why a packet or a polling body was refused. The session is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not even a type.
    #[error("empty packet")]
    EmptyPacket,
    /// A type outside of `0`–`6`.
    #[error("unknown packet type {0:?}")]
    UnknownType(char),
    /// Close, upgrade and noop carry nothing.
    #[error("packet of type {0:?} with data")]
    UnexpectedData(char),
    /// On a WebSocket, binary travels in binary messages.
    #[error("base64 packet in a text message")]
    UnexpectedBinary,
    /// Data after `b` that is not base64.
    #[error("invalid base64")]
    InvalidBase64,
    /// A polling body that is not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// More packets in one body than allowed.
    #[error("more than {limit} packets in one payload")]
    TooManyPackets {
        /// See [`super::PayloadLimits`].
        limit: usize,
    },
}

/// Decodes one text packet (the text message of a WebSocket) without copying.
pub fn decode_ref(text: &str) -> Result<PacketRef<'_>, Error> {
    let mut chars = text.chars();
    let kind = chars.next().ok_or(Error::EmptyPacket)?;
    let data = chars.as_str();
    match kind {
        '0' => Ok(PacketRef::Open(data)),
        '1' => empty(kind, data, PacketRef::Close),
        '2' => Ok(PacketRef::Ping(data)),
        '3' => Ok(PacketRef::Pong(data)),
        '4' => Ok(PacketRef::Message(data)),
        '5' => empty(kind, data, PacketRef::Upgrade),
        '6' => empty(kind, data, PacketRef::Noop),
        'b' => Err(Error::UnexpectedBinary),
        other => Err(Error::UnknownType(other)),
    }
}

fn empty<'a>(kind: char, data: &str, packet: PacketRef<'a>) -> Result<PacketRef<'a>, Error> {
    if data.is_empty() { Ok(packet) } else { Err(Error::UnexpectedData(kind)) }
}

/// Decodes one text packet. A `String` is kept and becomes the data of the packet.
pub fn decode_text(text: impl Into<String>) -> Result<Packet, Error> {
    let mut text = text.into();
    let make: fn(String) -> Packet = match decode_ref(&text)? {
        PacketRef::Open(_) => Packet::Open,
        PacketRef::Ping(_) => Packet::Ping,
        PacketRef::Pong(_) => Packet::Pong,
        PacketRef::Message(_) => Packet::Message,
        bare @ (PacketRef::Close | PacketRef::Upgrade | PacketRef::Noop) => return Ok(bare.into()),
    };
    text.drain(..1); // the type, one ASCII digit: `decode_ref` has seen it
    Ok(make(text))
}

/// The text form of a packet, which for binary is the one of polling, `b` and base64.
pub fn encode_text(packet: &Packet) -> String {
    match packet {
        Packet::Open(data) => tagged('0', data),
        Packet::Close => "1".to_owned(),
        Packet::Ping(data) => tagged('2', data),
        Packet::Pong(data) => tagged('3', data),
        Packet::Message(data) => tagged('4', data),
        Packet::Binary(data) => {
            let mut text = String::with_capacity(super::binary_len(data.len()));
            text.push('b');
            STANDARD.encode_string(data, &mut text);
            text
        }
        Packet::Upgrade => "5".to_owned(),
        Packet::Noop => "6".to_owned(),
    }
}

fn tagged(kind: char, data: &str) -> String {
    let mut text = String::with_capacity(1 + data.len());
    text.push(kind);
    text.push_str(data);
    text
}
