//! Frames of the server, and the opening handshake.

use bytes::BytesMut;
use insta::assert_snapshot;
use tidings_protocol::websocket::{
    MAX_CLOSE_REASON, Opcode, accept_key, close_frame, encode_header, frame, header, is_valid_key,
};

use crate::support::hex;

#[test]
fn the_hello_of_the_rfc_is_encoded() {
    assert_snapshot!(hex(&frame(Opcode::Text, b"Hello")), @"81 05 48 65 6c 6c 6f");
}

#[test]
fn each_opcode_has_its_bits() {
    assert_snapshot!(hex(&frame(Opcode::Continuation, b"")), @"80 00");
    assert_snapshot!(hex(&frame(Opcode::Text, b"")), @"81 00");
    assert_snapshot!(hex(&frame(Opcode::Binary, b"\x01")), @"82 01 01");
    assert_snapshot!(hex(&frame(Opcode::Ping, b"")), @"89 00");
    assert_snapshot!(hex(&frame(Opcode::Pong, b"p")), @"8a 01 70");
}

#[test]
fn a_header_has_the_shortest_length() {
    assert_snapshot!(hex(header(Opcode::Binary, 125).as_slice()), @"82 7d");
    assert_snapshot!(hex(header(Opcode::Binary, 126).as_slice()), @"82 7e 00 7e");
    assert_snapshot!(hex(header(Opcode::Binary, 65_535).as_slice()), @"82 7e ff ff");
    assert_snapshot!(hex(header(Opcode::Binary, 65_536).as_slice()), @"82 7f 00 00 00 00 00 01 00 00");
}

#[test]
fn a_header_may_be_appended_to_any_buffer() {
    let (mut vec, mut bytes) = (Vec::new(), BytesMut::new());
    encode_header(Opcode::Text, 300, &mut vec);
    encode_header(Opcode::Text, 300, &mut bytes);
    assert_eq!(vec, header(Opcode::Text, 300).as_slice());
    assert_eq!(bytes, header(Opcode::Text, 300).as_slice());
}

#[test]
fn a_close_frame_has_code_and_reason() {
    assert_snapshot!(hex(&close_frame(1000, "")), @"88 02 03 e8");
    assert_snapshot!(hex(&close_frame(1001, "bye")), @"88 05 03 e9 62 79 65");
}

#[test]
fn a_close_code_that_must_not_be_sent_is_left_out() {
    for code in [0, 1004, 1005, 1006, 1015, 5000] {
        assert_eq!(hex(&close_frame(code, "why")), "88 00");
    }
}

#[test]
fn a_long_close_reason_is_cut_between_characters() {
    let exact = close_frame(1000, &"x".repeat(MAX_CLOSE_REASON + 1));
    assert_eq!(exact.len(), 2 + 125);
    let frame = close_frame(1000, &format!("{}€", "x".repeat(MAX_CLOSE_REASON - 2)));
    assert_eq!(frame.len(), 2 + 2 + MAX_CLOSE_REASON - 2);
    assert!(std::str::from_utf8(&frame[4..]).is_ok());
}

#[test]
fn the_accept_key_of_the_rfc_is_computed() {
    assert_snapshot!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), @"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_key_is_the_base64_of_sixteen_bytes() {
    for good in
        ["dGhlIHNhbXBsZSBub25jZQ==", "x3A/tqHx+eWZvXOE+OAfcQ==", " dGhlIHNhbXBsZSBub25jZQ== "]
    {
        assert!(is_valid_key(good), "{good}");
    }
    for bad in [
        "",
        "==",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQA=",
        "dGhlIHNhbXBsZSBub25jZQA==",
        "dGhlIHNhbXBs-SBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jé==",
    ] {
        assert!(!is_valid_key(bad), "{bad}");
    }
}
