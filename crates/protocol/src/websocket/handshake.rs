//! The key of the opening handshake (RFC 6455 §4.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// Appended to the client's key (RFC 6455 §1.3): an answer that only a WebSocket server would give.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
pub fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.trim().as_bytes());
    hash.update(GUID.as_bytes());
    STANDARD.encode(hash.finalize())
}

/// Whether a `Sec-WebSocket-Key` is the base64 of sixteen bytes (RFC 6455 §4.1), which is always 22
/// digits and two signs of padding.
pub fn is_valid_key(key: &str) -> bool {
    match key.trim().as_bytes().split_last_chunk::<2>() {
        Some((digits, b"==")) => digits.len() == 22 && digits.iter().all(is_base64_digit),
        _ => false,
    }
}

fn is_base64_digit(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}
