//! The rules for messages of several frames (RFC 6455 §5.4, §8.1), and for memory.

use tidings_protocol::websocket::{Decoder, Error, MAX_CONTROL, Opcode};

use crate::support::*;

#[test]
fn fragments_are_put_together() {
    let stream = [
        more(Opcode::Text, b"Hel"),
        more(Opcode::Continuation, b""),
        last(Opcode::Continuation, b"lo"),
    ];
    assert_eq!(decode(&stream.concat()), Ok(vec![text("Hello")]));
}

#[test]
fn control_frames_may_come_between_fragments() {
    let stream =
        [more(Opcode::Binary, b"a"), last(Opcode::Ping, b"p"), last(Opcode::Continuation, b"b")];
    assert_eq!(decode(&stream.concat()), Ok(vec![ping(b"p"), binary(b"ab")]));
}

#[test]
fn a_continuation_needs_a_message() {
    assert_eq!(decode(&last(Opcode::Continuation, b"x")), Err(Error::UnexpectedContinuation));
    let stream = [last(Opcode::Text, b"a"), more(Opcode::Continuation, b"")].concat();
    assert_eq!(decode(&stream), Err(Error::UnexpectedContinuation));
}

#[test]
fn a_message_must_end_before_the_next_begins() {
    for opcode in [Opcode::Text, Opcode::Binary] {
        let stream = [more(Opcode::Text, b"a"), last(opcode, b"b")].concat();
        assert_eq!(decode(&stream), Err(Error::UnfinishedMessage));
    }
}

#[test]
fn a_character_may_be_cut_by_fragments() {
    let euro = "€".as_bytes();
    let stream = [more(Opcode::Text, &euro[..1]), more(Opcode::Continuation, &euro[1..2])].concat();
    let stream = [stream, last(Opcode::Continuation, &euro[2..])].concat();
    assert_eq!(decode(&stream), Ok(vec![text("€")]));
}

#[test]
fn invalid_utf8_fails_with_its_fragment() {
    assert_eq!(decode(&more(Opcode::Text, b"ok \xf4\x90")), Err(Error::InvalidUtf8));
    let stream = [more(Opcode::Text, b"\xe2\x82"), more(Opcode::Continuation, b"x")].concat();
    assert_eq!(decode(&stream), Err(Error::InvalidUtf8));
}

#[test]
fn invalid_utf8_fails_within_an_unfinished_frame() {
    let stream = last(Opcode::Text, &[&b"\xff"[..], &[b'x'; 100]].concat());
    assert_eq!(decode(&stream[..10]), Err(Error::InvalidUtf8));
}

#[test]
fn text_may_not_end_within_a_character() {
    assert_eq!(decode(&last(Opcode::Text, b"\xe2\x82")), Err(Error::InvalidUtf8));
    let stream = [more(Opcode::Text, b"\xe2\x82"), last(Opcode::Continuation, b"")].concat();
    assert_eq!(decode(&stream), Err(Error::InvalidUtf8));
}

#[test]
fn binary_messages_are_not_utf8() {
    let stream = [more(Opcode::Binary, b"\xff"), last(Opcode::Continuation, b"\xfe")].concat();
    assert_eq!(decode(&stream), Ok(vec![binary(b"\xff\xfe")]));
}

#[test]
fn a_message_may_be_as_long_as_the_limit() {
    assert_eq!(decode_within(5, &last(Opcode::Text, b"Hello")), Ok(vec![text("Hello")]));
    assert_eq!(decode_within(0, &last(Opcode::Text, b"")), Ok(vec![text("")]));
}

#[test]
fn a_frame_over_the_limit_is_refused_from_its_header() {
    let stream = last(Opcode::Text, b"Hello!");
    assert_eq!(decode_within(5, &stream[..6]), Err(Error::TooBig { limit: 5 }));
    assert_eq!(decode_within(5, &stream[..5]), Ok(vec![]), "the header is not complete");
}

#[test]
fn the_limit_holds_over_all_fragments() {
    let stream = [more(Opcode::Binary, b"abc"), last(Opcode::Continuation, b"def")].concat();
    assert_eq!(decode_within(6, &stream), Ok(vec![binary(b"abcdef")]));
    assert_eq!(decode_within(5, &stream), Err(Error::TooBig { limit: 5 }));
}

#[test]
fn control_frames_do_not_count_against_the_limit() {
    let stream = [
        more(Opcode::Binary, b"abc"),
        last(Opcode::Ping, &[1; 100]),
        last(Opcode::Continuation, b""),
    ];
    assert_eq!(decode_within(3, &stream.concat()), Ok(vec![ping(&[1; 100]), binary(b"abc")]));
}

#[test]
fn a_declared_length_takes_no_memory() {
    let mut decoder = Decoder::new(usize::MAX);
    let mut huge = vec![0x82, 0xff, 0x7f];
    huge.extend([0xff; 7]);
    huge.extend([0; 4]);
    assert_eq!(decoder.decode(&mut huge.as_slice()), Ok(None));
    assert_eq!(decoder.heap_size(), 0);
    assert_eq!(decoder.decode(&mut b"abc".as_slice()), Ok(None));
    assert!(decoder.heap_size() < 64);
    assert_eq!(decoder.buffered(), 3);
}

#[test]
fn nothing_is_kept_between_messages() {
    let mut decoder = Decoder::new(1_000_000);
    for opcode in [Opcode::Text, Opcode::Binary, Opcode::Ping, Opcode::Pong] {
        let stream = last(opcode, &[b'x'; 100]);
        for piece in stream.chunks(7) {
            decoder.decode(&mut { piece }).unwrap();
        }
        assert_eq!((decoder.heap_size(), decoder.buffered()), (0, 0));
    }
    assert!(size_of::<Decoder>() <= 144, "{} bytes per idle connection", size_of::<Decoder>());
}

#[test]
fn memory_stays_within_the_limit_for_a_million_tiny_fragments() {
    let limit = 1_000_000;
    let mut decoder = Decoder::new(limit);
    decoder.decode(&mut more(Opcode::Binary, b"x").as_slice()).unwrap();
    let tiny = more(Opcode::Continuation, b"x");
    let (mut size, mut growths) = (decoder.heap_size(), 0);
    for _ in 1..limit {
        assert_eq!(decoder.decode(&mut tiny.as_slice()), Ok(None));
        growths += usize::from(decoder.heap_size() != size);
        size = decoder.heap_size();
    }
    assert!(growths <= 20, "copied {growths} times");
    assert!(decoder.heap_size() <= limit + MAX_CONTROL);
    assert_eq!(decoder.decode(&mut tiny.as_slice()), Err(Error::TooBig { limit }));
    assert_eq!(decoder.heap_size(), 0);
}
