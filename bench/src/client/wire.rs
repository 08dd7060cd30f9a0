//! The client's side of the wire: frames without a mask come in, frames with one go out.

use tidings_protocol::{
    socketio,
    websocket::{self, Opcode},
};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const MASKED: u8 = 0x80;

/// The request that opens a WebSocket.
pub fn upgrade(host: &str) -> String {
    format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// CONNECT to the main namespace with a token.
pub fn connect(token: &str) -> Vec<u8> {
    let auth = serde_json::json!({ "token": token }).to_string();
    text(&format!("4{}", socketio::encode_connect("/", &auth)))
}

/// A text frame, masked as a client must.
pub fn text(payload: &str) -> Vec<u8> {
    let mut frame = websocket::header(Opcode::Text, payload.len()).as_slice().to_vec();
    if let Some(length) = frame.get_mut(1) {
        *length |= MASKED;
    }
    frame.extend(MASK);
    let masked = payload.bytes().zip(MASK.into_iter().cycle());
    frame.extend(masked.map(|(byte, key)| byte ^ key));
    frame
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub is_text: bool,
    pub is_close: bool,
    pub payload: &'a [u8],
    /// Bytes that it takes with its header.
    pub length: usize,
}

/// The frame at the start of `bytes`, if it is there whole.
pub fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let [first, second] = *bytes.first_chunk::<2>()?;
    let rest = bytes.get(2..)?;
    let (header, payload) = match second {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let length = header + payload;
    let payload = bytes.get(header..length)?;
    Some(Frame { is_text: first == 0x81, is_close: first == 0x88, payload, length })
}

/// The number of a notification: its message ends in `#` and digits.
pub fn number(payload: &[u8]) -> Option<u64> {
    let at = payload.iter().position(|byte| *byte == b'#')?;
    let digits = payload.get(at + 1..)?.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, digit| {
        Some(number.unwrap_or(0u64).wrapping_mul(10) + u64::from(digit - b'0'))
    })
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
            let read = frame(&sent).unwrap();
            assert!(read.is_text && read.payload == payload && read.length == sent.len());
            assert_eq!(frame(&sent[..sent.len() - 1]), None);
        }
        assert!(frame(&websocket::close_frame(1000, "bye")).unwrap().is_close);
    }

    #[test]
    fn numbers_stand_behind_their_sign() {
        assert_eq!(number(br##"{"message":"bench #120"}"##), Some(120));
        assert_eq!(number(br#"{"message":"bench #"}"#), None);
        assert_eq!(number(b"{}"), None);
    }
}
