//! The rules for single frames (RFC 6455 §5.2, §5.5).

use tidings_protocol::websocket::{Decoder, Error, Message, Opcode};

use crate::support::*;

#[test]
fn the_masked_hello_of_the_rfc_is_decoded() {
    let stream = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(decode(&stream), Ok(vec![text("Hello")]));
}

#[test]
fn an_unmasked_frame_is_refused_before_its_payload_comes() {
    assert_eq!(decode(&[0x81, 0x05]), Err(Error::Unmasked));
    assert_eq!(decode(&[0x81, 0x7f]), Err(Error::Unmasked));
}

#[test]
fn each_reserved_bit_is_refused_with_the_first_byte() {
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(decode(&[0x81 | bit]), Err(Error::ReservedBits));
    }
}

#[test]
fn each_unknown_opcode_is_refused_with_the_first_byte() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(decode(&[0x80 | opcode]), Err(Error::UnknownOpcode(opcode)));
    }
}

#[test]
fn a_fragmented_control_frame_is_refused() {
    for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong] {
        assert_eq!(decode(&more(opcode, b"")), Err(Error::FragmentedControl));
    }
}

#[test]
fn a_control_frame_carries_at_most_125_bytes() {
    assert_eq!(decode(&last(Opcode::Ping, &[7; 125])), Ok(vec![ping(&[7; 125])]));
    assert_eq!(decode(&last(Opcode::Ping, &[7; 126])), Err(Error::ControlTooLong));
    assert_eq!(decode(&last(Opcode::Pong, &[7; 70_000])), Err(Error::ControlTooLong));
}

#[test]
fn the_top_bit_of_a_long_length_is_refused() {
    let mut stream = vec![0x82, 0xff, 0x80];
    stream.extend([0; 7]);
    assert_eq!(decode(&stream), Err(Error::InvalidLength), "even before the key");
}

#[test]
fn a_length_need_not_be_the_shortest_form() {
    let medium = [0x82, 0xfe, 0, 1, 0, 0, 0, 0, b'x'];
    let long = [0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, b'x'];
    assert_eq!(decode(&medium), Ok(vec![binary(b"x")]));
    assert_eq!(decode(&long), Ok(vec![binary(b"x")]));
}

#[test]
fn every_form_of_length_is_read() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let data = vec![0xa5; len];
        assert_eq!(decode(&last(Opcode::Binary, &data)), Ok(vec![binary(&data)]), "{len} bytes");
    }
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let stream = last(Opcode::Binary, &[9; 300]);
    let mut decoder = Decoder::new(1000);
    for (index, byte) in stream.iter().enumerate() {
        let message = decoder.decode(&mut std::slice::from_ref(byte)).unwrap();
        assert_eq!(message.is_some(), index + 1 == stream.len());
    }
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn what_follows_a_message_stays_in_the_input() {
    let stream = [last(Opcode::Text, b"a"), last(Opcode::Text, b"b")].concat();
    let mut decoder = Decoder::new(10);
    let mut input = stream.as_slice();
    assert_eq!(decoder.decode(&mut input), Ok(Some(text("a"))));
    assert_eq!(input.len(), stream.len() / 2);
    assert_eq!(decoder.decode(&mut input), Ok(Some(text("b"))));
    assert_eq!(decoder.decode(&mut input), Ok(None));
}

#[test]
fn an_error_is_final() {
    let mut decoder = Decoder::new(10);
    assert_eq!(decoder.decode(&mut [0x83].as_slice()), Err(Error::UnknownOpcode(3)));
    let good = last(Opcode::Text, b"a");
    assert_eq!(decoder.decode(&mut good.as_slice()), Err(Error::UnknownOpcode(3)));
}

#[test]
fn a_close_frame_may_be_empty() {
    assert_eq!(decode(&last(Opcode::Close, b"")), Ok(vec![Message::Close(None)]));
}

#[test]
fn a_close_payload_of_one_byte_is_refused() {
    assert_eq!(decode(&last(Opcode::Close, &[3])), Err(Error::TruncatedCloseCode));
}

#[test]
fn only_close_codes_for_the_wire_are_accepted() {
    let good = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ];
    let bad = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
    for code in good {
        assert_eq!(
            decode(&last(Opcode::Close, &u16::to_be_bytes(code))),
            Ok(vec![close(code, "")])
        );
    }
    for code in bad {
        let result = decode(&last(Opcode::Close, &u16::to_be_bytes(code)));
        assert_eq!(result, Err(Error::InvalidCloseCode(code)));
    }
}

#[test]
fn a_close_reason_is_utf8() {
    assert_eq!(decode(&last(Opcode::Close, b"\x03\xe8bye")), Ok(vec![close(1000, "bye")]));
    assert_eq!(decode(&last(Opcode::Close, b"\x03\xe8\xff")), Err(Error::InvalidUtf8));
}

#[test]
fn errors_have_the_close_codes_of_the_rfc() {
    assert_eq!(Error::Unmasked.close_code(), 1002);
    assert_eq!(Error::InvalidCloseCode(7).close_code(), 1002);
    assert_eq!(Error::InvalidUtf8.close_code(), 1007);
    assert_eq!(Error::TooBig { limit: 1 }.close_code(), 1009);
}
