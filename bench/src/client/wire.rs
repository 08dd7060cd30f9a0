//! What the clients here say and look for; frames are those of `tidings-load`.

use tidings_load::wire::text;
use tidings_protocol::socketio;

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
    fn numbers_stand_behind_their_sign() {
        assert_eq!(number(br##"{"message":"bench #120"}"##), Some(120));
        assert_eq!(number(br#"{"message":"bench #"}"#), None);
        assert_eq!(number(b"{}"), None);
    }
}
