//! Any bytes as a polling body and as a WebSocket text message.

use tidings_protocol::engineio::{
    Error, Packet, PayloadBuilder, PayloadLimits, decode_payload, decode_ref, decode_text,
    encode_payload, encode_text,
};

const LIMITS: PayloadLimits = PayloadLimits { max_packets: 16 };

pub fn run(data: &[u8]) {
    match decode_payload(data, LIMITS) {
        Ok(packets) => check_body(&packets),
        Err(Error::InvalidUtf8) => assert!(std::str::from_utf8(data).is_err()),
        Err(_) => {}
    }
    if let Ok(text) = std::str::from_utf8(data) {
        check_text(text);
    }
}

/// What was decoded encodes to a body that says the same, by either way of encoding.
fn check_body(packets: &[Packet]) {
    assert!((1..=LIMITS.max_packets).contains(&packets.len()));
    let body = encode_payload(packets);
    assert_eq!(decode_payload(&body, LIMITS).as_deref(), Ok(packets));
    let mut builder = PayloadBuilder::new();
    for packet in packets {
        match packet {
            Packet::Binary(data) => builder.push_binary(data),
            text => builder.push_text(&encode_text(text)),
        }
    }
    assert_eq!(builder.len(), body.len());
    assert_eq!(builder.finish(), body.as_bytes());
}

/// The borrowing decoder agrees with the owning one, and nothing of the text is lost.
fn check_text(text: &str) {
    let owned = decode_text(text);
    assert_eq!(decode_ref(text).map(Packet::from), owned);
    if let Ok(packet) = owned {
        assert_eq!(encode_text(&packet), text);
    }
}
