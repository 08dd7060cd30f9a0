//! The client's side of a WebSocket: frames without a mask come in, frames with one go out.

use tidings_protocol::websocket::{self, Opcode};

use crate::target::Target;

/// Any key will do: what is sent is no secret, and no proxy caches it.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const MASKED: u8 = 0x80;
/// Longest frame that is taken; a longer one ends the connection.
pub const MAX_FRAME: usize = 16 << 20;

/// The request that opens a WebSocket.
pub fn upgrade(target: &Target, headers: &str) -> String {
    let Target { host, path, .. } = target;
    format!(
        "GET {path}?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// Appends a frame, masked as a client must.
pub fn put(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(websocket::header(opcode, payload.len()).as_slice());
    if let Some(length) = out.get_mut(at + 1) {
        *length |= MASKED;
    }
    out.extend_from_slice(&KEY);
    let masked = payload.iter().zip(KEY.iter().cycle());
    out.extend(masked.map(|(byte, key)| byte ^ key));
}

/// A text frame.
pub fn text(payload: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    put(Opcode::Text, payload.as_bytes(), &mut out);
    out
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub opcode: Opcode,
    pub is_final: bool,
    pub payload: &'a [u8],
    /// Bytes that it takes with its header.
    pub length: usize,
}

/// Why a stream of frames cannot be read on.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

/// The frame at the start of `bytes`, if it is there whole.
pub fn frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, Broken> {
    let Some([first, second, rest @ ..]) = bytes.get(..) else { return Ok(None) };
    let (header, payload) = match second {
        126 => match rest.first_chunk() {
            Some(length) => (4, u64::from(u16::from_be_bytes(*length))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (10, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        short @ 0..=125 => (2, u64::from(*short)),
        // A server never masks.
        _ => return Err(Broken),
    };
    let payload = usize::try_from(payload).map_err(|_| Broken)?;
    if payload > MAX_FRAME || first & 0x70 != 0 {
        return Err(Broken);
    }
    let opcode = Opcode::from_bits(first & 0x0f).map_err(|_| Broken)?;
    let length = header + payload;
    let frame = bytes.get(header..length);
    Ok(frame.map(|payload| Frame { opcode, is_final: first & 0x80 != 0, payload, length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_is_what_a_server_reads() {
        for length in [1, 125, 126, 70_000] {
            let payload = "x".repeat(length);
            let sent = text(&payload);
            let mut decoder = websocket::Decoder::new(1 << 20);
            let read = decoder.decode(&mut &sent[..]).unwrap();
            assert_eq!(read, Some(websocket::Message::Text(payload)));
        }
    }

    #[test]
    fn what_a_server_sends_is_what_a_client_reads() {
        for length in [0, 1, 125, 126, 70_000] {
            let payload = vec![b'x'; length];
            let sent = websocket::frame(Opcode::Text, &payload);
            let read = frame(&sent).unwrap().unwrap();
            assert!(read.opcode == Opcode::Text && read.is_final);
            assert!(read.payload == payload && read.length == sent.len());
            for cut in 0..sent.len().min(12) {
                assert_eq!(frame(&sent[..cut.min(sent.len() - 1)]), Ok(None));
            }
        }
        let close = websocket::close_frame(1000, "bye");
        assert_eq!(frame(&close).unwrap().unwrap().opcode, Opcode::Close);
    }

    #[test]
    fn what_no_server_sends_ends_the_connection() {
        assert_eq!(frame(&[0x81, 0x85, 0, 0, 0, 0, 0]), Err(Broken), "masked");
        assert_eq!(frame(&[0xc1, 0x01, b'x']), Err(Broken), "a reserved bit");
        assert_eq!(frame(&[0x83, 0x00]), Err(Broken), "an unknown opcode");
        let huge = [&[0x82, 127][..], &u64::MAX.to_be_bytes()].concat();
        assert_eq!(frame(&huge), Err(Broken));
    }
}
