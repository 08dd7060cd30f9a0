//! Arbitrary and nearly lawful bytes through the bodies of the fuzz targets: no panic, memory within the
//! limit, and the same answer however a stream is cut.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tidings_protocol::websocket::Opcode;

use crate::support::masked;

#[path = "../fuzz_bodies/engineio_payload.rs"]
mod engineio_payload;
#[path = "../fuzz_bodies/socketio_decode.rs"]
mod socketio_decode;
#[path = "../fuzz_bodies/websocket_decode.rs"]
mod websocket_decode;

fn opcode() -> impl Strategy<Value = Opcode> {
    (0..16u8).prop_filter_map("unknown", |bits| Opcode::from_bits(bits).ok())
}

/// Lawful frames in any order, with some bytes changed.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![vec(any::<u8>(), 0..200), ".{0,40}".prop_map(String::into_bytes)];
    let frame = (any::<bool>(), opcode(), payload, any::<[u8; 4]>())
        .prop_map(|(fin, opcode, payload, key)| masked(fin, opcode, &payload, key));
    (vec(frame, 1..6), vec((any::<Index>(), any::<u8>()), 0..3), any::<[u8; 2]>()).prop_map(
        |(frames, changes, head)| {
            let mut stream = frames.concat();
            for (place, byte) in changes {
                *place.get_mut(&mut stream) = byte;
            }
            [head.as_slice(), stream.as_slice()].concat()
        },
    )
}

/// What a parser of JSON and of packets stumbles over.
const PIECES: [&str; 28] = [
    "0",
    "1",
    "2",
    "3",
    "4",
    "51-",
    "62-",
    "/a,",
    "/a?b",
    "7",
    "99999999999999999999",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"x\"",
    "\"",
    "\\",
    "\"_placeholder\":true",
    "\"num\":1",
    "\"\\u005f\"",
    "null",
    "-1.5",
    " ",
    "\u{1e}b",
    "é",
];

proptest! {
    #[test]
    fn any_bytes_as_a_websocket_stream(data in vec(any::<u8>(), 0..600)) {
        websocket_decode::run(&data);
    }

    #[test]
    fn damaged_frames_as_a_websocket_stream(data in stream()) {
        websocket_decode::run(&data);
    }

    #[test]
    fn any_bytes_as_a_polling_body(data in vec(any::<u8>(), 0..300)) {
        engineio_payload::run(&data);
    }

    #[test]
    fn any_text_as_a_polling_body(data in "([0-7b]?[a-zA-Z0-9+/=é]{0,9}\u{1e}?){0,20}") {
        engineio_payload::run(data.as_bytes());
    }

    #[test]
    fn any_bytes_as_socketio_messages(data in vec(any::<u8>(), 0..300)) {
        socketio_decode::run(&data);
    }

    #[test]
    fn any_pieces_as_socketio_messages(pieces in vec(proptest::sample::select(&PIECES[..]), 0..20)) {
        socketio_decode::run(pieces.concat().as_bytes());
    }
}
