//! What a client sends.

use bytes::Bytes;
use tidings_protocol::socketio;
use tidings_protocol::websocket::{CloseFrame, Decoder, Error, Message, Opcode, header};

pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame of a client: masked.
pub fn masked(fin: bool, opcode: Opcode, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut bytes = header(opcode, payload.len()).as_slice().to_vec();
    bytes[0] &= if fin { 0xff } else { 0x7f };
    bytes[1] |= 0x80;
    bytes.extend(key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The last or only frame of a message.
pub fn last(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    masked(true, opcode, payload, KEY)
}

/// A frame with more to come.
pub fn more(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    masked(false, opcode, payload, KEY)
}

/// Decodes a whole stream with a limit of 1 MB.
pub fn decode(stream: &[u8]) -> Result<Vec<Message>, Error> {
    decode_within(1_000_000, stream)
}

pub fn decode_within(limit: usize, stream: &[u8]) -> Result<Vec<Message>, Error> {
    let mut decoder = Decoder::new(limit);
    let mut input = stream;
    let mut messages = Vec::new();
    while let Some(message) = decoder.decode(&mut input)? {
        messages.push(message);
    }
    Ok(messages)
}

pub fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

pub fn binary(data: &[u8]) -> Message {
    Message::Binary(Bytes::copy_from_slice(data))
}

pub fn ping(data: &[u8]) -> Message {
    Message::Ping(Bytes::copy_from_slice(data))
}

pub fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: reason.to_owned() }))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// A decoder of Socket.IO as a gateway makes it.
pub fn packets() -> socketio::Decoder {
    socketio::Decoder::new(4, 1_000_000)
}

/// One text packet without attachments.
pub fn packet(text: &str) -> Result<socketio::Packet, socketio::Error> {
    packets().text(text).map(|packet| packet.unwrap())
}
