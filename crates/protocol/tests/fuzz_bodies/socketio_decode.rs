//! Any bytes as the messages of a Socket.IO client, separated as in a polling body; those that begin with
//! `b` are binary.

use bytes::Bytes;
use tidings_protocol::json::{MAX_DEPTH, outline};
use tidings_protocol::socketio::{Decoder, Error, Packet, RESERVED_EVENTS};

const MAX_ATTACHMENTS: usize = 4;
const MAX_BYTES: usize = 4096;

pub fn run(data: &[u8]) {
    let mut decoder = Decoder::new(MAX_ATTACHMENTS, MAX_BYTES);
    for message in data.split(|byte| *byte == 0x1e) {
        match feed(&mut decoder, message) {
            Ok(Some(packet)) => check_packet(&packet),
            Ok(None) => {}
            Err(_) => assert!(!decoder.is_waiting(), "nothing is kept after an error"),
        }
        assert!(decoder.buffered() <= MAX_BYTES);
    }
}

fn feed(decoder: &mut Decoder, message: &[u8]) -> Result<Option<Packet>, Error> {
    match (message.strip_prefix(b"b"), std::str::from_utf8(message)) {
        (Some(binary), _) => decoder.binary(Bytes::copy_from_slice(binary)),
        (None, Ok(text)) => decoder.text(text),
        (None, Err(_)) => Ok(None), // refused a layer below
    }
}

fn check_packet(packet: &Packet) {
    assert!(packet.attachments.len() <= MAX_ATTACHMENTS);
    if let Some(data) = &packet.data {
        assert!(outline(data.get(), MAX_DEPTH).is_ok());
    }
    let event = packet.event();
    assert_eq!(
        event.is_some(),
        packet.kind.is_event(),
        "an event has a name, and nothing else has"
    );
    if let Some((name, args)) = event {
        assert!(!RESERVED_EVENTS.contains(&name.as_ref()));
        assert_eq!(args.len(), packet.args().len());
    }
    check_again(packet);
}

/// What was decoded encodes to messages that say the same.
fn check_again(packet: &Packet) {
    let mut decoder = Decoder::new(MAX_ATTACHMENTS, usize::MAX);
    let mut again = decoder.text(&packet.encode());
    for attachment in &packet.attachments {
        assert_eq!(again, Ok(None), "attachments are missing");
        again = decoder.binary(attachment.clone());
    }
    assert_eq!(again.as_ref().map(Option::as_ref), Ok(Some(packet)));
}
