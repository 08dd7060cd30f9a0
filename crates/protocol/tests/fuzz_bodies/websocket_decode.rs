//! Any bytes as the stream of a WebSocket client: the same in one piece as in many, within its limit, and
//! what comes out can be sent again.

use bytes::Bytes;
use tidings_protocol::websocket::{
    Decoder, Error, MAX_CONTROL, Message, Opcode, close_frame, frame,
};

/// The first byte chooses the limit, the second the size of the pieces, the others are the stream.
pub fn run(data: &[u8]) {
    let [limit, piece, stream @ ..] = data else { return };
    let limit = usize::from(*limit) * 16;
    let whole = decode(stream, limit, stream.len().max(1));
    let pieces = decode(stream, limit, usize::from(*piece).max(1));
    assert_eq!(whole, pieces, "the way a stream is cut must not change what it says");
    for message in &whole.0 {
        check_again(message);
    }
}

/// Everything up to the end, an error or a close frame.
fn decode(stream: &[u8], limit: usize, piece: usize) -> (Vec<Message>, Option<Error>) {
    let mut decoder = Decoder::new(limit);
    let mut messages = Vec::new();
    for mut input in stream.chunks(piece) {
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut input), Err(error), "an error is final");
                    assert_eq!(decoder.heap_size(), 0);
                    return (messages, Some(error));
                }
            }
            if matches!(messages.last(), Some(Message::Close(_))) {
                return (messages, None);
            }
        }
        assert!(input.is_empty(), "more is asked for only when all is used");
        assert!(
            decoder.heap_size() <= limit.saturating_add(MAX_CONTROL),
            "memory passes the limit"
        );
        assert!(decoder.buffered() <= decoder.heap_size() + 14);
    }
    (messages, None)
}

/// A message, sent as one masked frame, comes out as it was.
fn check_again(message: &Message) {
    let sent = match message {
        Message::Text(text) => frame(Opcode::Text, text.as_bytes()),
        Message::Binary(data) => frame(Opcode::Binary, data),
        Message::Ping(data) => frame(Opcode::Ping, data),
        Message::Pong(data) => frame(Opcode::Pong, data),
        Message::Close(None) => close_frame(1005, ""),
        Message::Close(Some(close)) => close_frame(close.code, &close.reason),
    };
    let (again, error) = decode(&zero_masked(&sent), usize::MAX, sent.len());
    assert_eq!((again.as_slice(), error), (std::slice::from_ref(message), None));
}

/// Makes a client's frame of a server's: the mask bit and a key of zeros, which changes no byte.
fn zero_masked(frame: &Bytes) -> Vec<u8> {
    let header = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    let mut masked = frame.to_vec();
    masked[1] |= 0x80;
    masked.splice(header..header, [0; 4]);
    masked
}
