//! The rules of Socket.IO packets with attachments.

use bytes::Bytes;
use tidings_protocol::socketio::{Decoder, Error, PacketType};

use crate::support::packets;

const ONE: &str = r#"51-["bin",{"_placeholder":true,"num":0}]"#;

fn bytes(data: &'static [u8]) -> Bytes {
    Bytes::from_static(data)
}

/// Two attachments are announced; the data is an event with `json` as its argument.
fn with_two(json: &str) -> Result<bool, Error> {
    packets().text(&format!("52-[\"bin\",{json}]")).map(|packet| packet.is_none())
}

#[test]
fn a_packet_waits_for_its_attachments() {
    let mut decoder = packets();
    let text = r#"62-/a,7[{"_placeholder":true,"num":1},[{"num":0,"_placeholder":true}]]"#;
    assert_eq!(decoder.text(text), Ok(None));
    assert!(decoder.is_waiting());
    assert_eq!(decoder.binary(bytes(b"zero")), Ok(None));
    assert_eq!(decoder.buffered(), text.len() + 4);
    let packet = decoder.binary(bytes(b"one")).unwrap().unwrap();
    assert_eq!(
        (packet.kind, packet.ack, packet.namespace.as_str()),
        (PacketType::BinaryAck, Some(7), "/a")
    );
    assert_eq!(packet.attachments, [bytes(b"zero"), bytes(b"one")]);
    assert_eq!(packet.args()[0].get(), r#"{"_placeholder":true,"num":1}"#);
    assert_eq!(packet.encode(), text);
    assert!(!decoder.is_waiting());
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn a_binary_event_is_an_event() {
    let mut decoder = packets();
    decoder.text(ONE).unwrap();
    let packet = decoder.binary(bytes(&[1])).unwrap().unwrap();
    assert_eq!(packet.kind, PacketType::BinaryEvent);
    assert_eq!(packet.event().unwrap().0, "bin");
}

#[test]
fn a_packet_with_no_attachments_is_complete() {
    let packet = packets().text(r#"50-["x"]"#).unwrap().unwrap();
    assert_eq!((packet.kind, packet.attachments.len()), (PacketType::BinaryEvent, 0));
}

#[test]
fn binary_while_none_is_expected_is_refused() {
    let mut decoder = packets();
    assert_eq!(decoder.binary(bytes(b"x")), Err(Error::UnexpectedBinary));
    decoder.text(ONE).unwrap();
    decoder.binary(bytes(b"x")).unwrap();
    assert_eq!(decoder.binary(bytes(b"y")), Err(Error::UnexpectedBinary), "one too many");
}

#[test]
fn text_while_binary_is_expected_is_refused() {
    let mut decoder = packets();
    decoder.text(ONE).unwrap();
    assert_eq!(decoder.text(r#"2["x"]"#), Err(Error::UnexpectedText));
    assert!(!decoder.is_waiting());
}

#[test]
fn a_count_of_attachments_is_a_number_and_a_dash() {
    for text in [
        r#"5["x"]"#,
        r#"5-["x"]"#,
        r#"51["x"]"#,
        r#"5a-["x"]"#,
        r#"5-1-["x"]"#,
        r#"51.0-["x"]"#,
        "5",
        "51",
    ] {
        assert_eq!(packets().text(text), Err(Error::BadAttachmentCount), "{text}");
    }
}

#[test]
fn a_count_of_attachments_has_a_limit() {
    assert_eq!(packets().text(r#"54-["x"]"#), Ok(None));
    assert_eq!(packets().text(r#"55-["x"]"#), Err(Error::BadAttachmentCount));
    assert_eq!(packets().text(r#"599999999999999999999999-["x"]"#), Err(Error::BadAttachmentCount));
}

#[test]
fn attachments_and_text_share_one_limit_of_bytes() {
    let mut decoder = Decoder::new(4, ONE.len() + 3);
    decoder.text(ONE).unwrap();
    assert!(decoder.binary(bytes(b"abc")).unwrap().is_some());
    decoder.text(ONE).unwrap();
    assert_eq!(decoder.binary(bytes(b"abcd")), Err(Error::TooBig { limit: ONE.len() + 3 }));
    assert!(!decoder.is_waiting());
}

#[test]
fn a_placeholder_has_an_attachment() {
    for good in [
        r#"{"_placeholder":true,"num":1}"#,
        r#"[[{"a":{"num":0,"_placeholder":true}}]]"#,
        r#"{"_placeholder":true,"num":7,"num":1}"#,
        r#"{ "_placeholder" : true , "num" : 0 }"#,
    ] {
        assert_eq!(with_two(good), Ok(true), "{good}");
    }
    for bad in [
        r#"{"_placeholder":true,"num":2}"#,
        r#"{"_placeholder":true,"num":-1}"#,
        r#"{"_placeholder":true,"num":0.5}"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true,"num":[0]}"#,
        r#"{"_placeholder":true,"num":null}"#,
        r#"{"_placeholder":true}"#,
        r#"{"_placeholder":false,"_placeholder":true,"num":9}"#,
        r#"{"_placeholder":true,"num":1,"num":2}"#,
        r#"{"\u005fplaceholder":true,"n\u0075m":2}"#,
        r#"[0,[{"a":{"_placeholder":true,"num":99999999999999999999}}]]"#,
        r#"{"_placeholder":true,"num":0,"a":{"_placeholder":true,"num":3}}"#,
        r#"{"a":{},"_placeholder":true,"b":[],"num":3}"#,
    ] {
        assert_eq!(with_two(bad), Err(Error::BadPlaceholder), "{bad}");
    }
}

#[test]
fn what_only_looks_like_a_placeholder_is_data() {
    for data in [
        r#"{"_placeholder":false,"num":9}"#,
        r#"{"_placeholder":"true","num":9}"#,
        r#"{"_placeholder":1,"num":9}"#,
        r#"["_placeholder",true,"num",9]"#,
        r#"{"a":"_placeholder","b":true,"num":9}"#,
        r#"{"_placeholder":{"x":true},"num":9}"#,
        r#"{"_placeholder":true,"_placeholder":null,"num":9}"#,
        r#""{\"_placeholder\":true,\"num\":9}""#,
    ] {
        assert_eq!(with_two(data), Ok(true), "{data}");
    }
    assert!(
        packets().text(r#"2["x",{"_placeholder":true,"num":9}]"#).unwrap().is_some(),
        "not a binary packet"
    );
}

#[test]
fn nothing_is_allocated_for_announced_attachments() {
    let mut decoder = Decoder::new(usize::MAX, 1000);
    assert_eq!(decoder.text(&format!("5{}-[\"x\"]", u32::MAX)), Ok(None));
    assert!(decoder.buffered() < 100);
}
