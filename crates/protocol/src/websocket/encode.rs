//! Messages → frames of the server: whole, unmasked, without extension bits (RFC 6455 §5.1, §5.2).

use bytes::{BufMut, Bytes};

use super::{MAX_CONTROL, Opcode, is_valid_close_code};

/// The longest reason of a close frame: a control frame less the two bytes of the code.
pub const MAX_CLOSE_REASON: usize = MAX_CONTROL - 2;

const FIN: u8 = 0x80;

/// The header of a server frame, inline: it is made per frame, beside a payload that many sockets share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; 10],
    len: u8,
}

impl Header {
    /// The two, four or ten bytes to send.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// The header for a payload of `payload_len` bytes, with the shortest length that fits (RFC 6455 §5.2).
pub fn header(opcode: Opcode, payload_len: usize) -> Header {
    let first = FIN | opcode.bits();
    if let Ok(short @ 0..=125) = u8::try_from(payload_len) {
        return Header { bytes: [first, short, 0, 0, 0, 0, 0, 0, 0, 0], len: 2 };
    }
    if let Ok(medium) = u16::try_from(payload_len) {
        let [a, b] = medium.to_be_bytes();
        return Header { bytes: [first, 126, a, b, 0, 0, 0, 0, 0, 0], len: 4 };
    }
    let [a, b, c, d, e, f, g, h] = (payload_len as u64).to_be_bytes();
    Header { bytes: [first, 127, a, b, c, d, e, f, g, h], len: 10 }
}

/// Appends the header for a payload of `payload_len` bytes.
pub fn encode_header(opcode: Opcode, payload_len: usize, out: &mut impl BufMut) {
    out.put_slice(header(opcode, payload_len).as_slice());
}

/// A whole frame, in one buffer of exactly its size.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let header = header(opcode, payload.len());
    let mut out = Vec::with_capacity(header.as_slice().len() + payload.len());
    out.extend_from_slice(header.as_slice());
    out.extend_from_slice(payload);
    Bytes::from(out)
}

/// A close frame. A reason of more than 123 bytes is cut between two characters. A code that must not
/// be sent, such as 1005 ("none was given"), makes an empty close frame, which says just that.
pub fn close_frame(code: u16, reason: &str) -> Bytes {
    if !is_valid_close_code(code) {
        return frame(Opcode::Close, &[]);
    }
    let longest = reason.len().min(MAX_CLOSE_REASON);
    // At most four steps back reach the start of a character.
    let reason = (0..=longest).rev().find_map(|end| reason.get(..end)).unwrap_or_default();
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    frame(Opcode::Close, &payload)
}
