//! The rules of Engine.IO packets and payloads.

use bytes::Bytes;
use insta::assert_snapshot;
use tidings_protocol::engineio::*;

const LIMITS: PayloadLimits = PayloadLimits { max_packets: 3 };

fn payload(body: &str) -> Result<Vec<Packet>, Error> {
    decode_payload(body, LIMITS)
}

#[test]
fn each_type_of_packet_is_decoded() {
    assert_eq!(decode_text("0{}"), Ok(Packet::Open("{}".into())));
    assert_eq!(decode_text("1"), Ok(Packet::Close));
    assert_eq!(decode_text("2"), Ok(Packet::Ping(String::new())));
    assert_eq!(decode_text("2probe"), Ok(Packet::Ping("probe".into())));
    assert_eq!(decode_text("3probe"), Ok(Packet::Pong("probe".into())));
    assert_eq!(decode_text("4hello"), Ok(Packet::Message("hello".into())));
    assert_eq!(decode_text("4"), Ok(Packet::Message(String::new())));
    assert_eq!(decode_text("5"), Ok(Packet::Upgrade));
    assert_eq!(decode_text("6"), Ok(Packet::Noop));
}

#[test]
fn an_owned_text_becomes_the_data_of_its_packet() {
    let text = String::from("4a message that is not copied");
    let place = text.as_ptr();
    let Ok(Packet::Message(data)) = decode_text(text) else { panic!("not a message") };
    assert_eq!((data.as_str(), data.as_ptr()), ("a message that is not copied", place));
}

#[test]
fn an_empty_packet_is_refused() {
    assert_eq!(decode_text(""), Err(Error::EmptyPacket));
}

#[test]
fn an_unknown_type_is_refused() {
    assert_eq!(decode_text("7"), Err(Error::UnknownType('7')));
    assert_eq!(decode_text("abc"), Err(Error::UnknownType('a')));
    assert_eq!(decode_text("€"), Err(Error::UnknownType('€')));
}

#[test]
fn close_upgrade_and_noop_carry_no_data() {
    for (text, kind) in [("1x", '1'), ("5x", '5'), ("6x", '6')] {
        assert_eq!(decode_text(text), Err(Error::UnexpectedData(kind)));
    }
}

#[test]
fn a_base64_packet_is_refused_in_a_text_message() {
    assert_eq!(decode_text("bAQID"), Err(Error::UnexpectedBinary));
}

#[test]
fn a_payload_is_split_at_its_separators() {
    let packets =
        vec![Packet::Message("a".into()), Packet::Ping(String::new()), Packet::Message("b".into())];
    assert_eq!(payload("4a\u{1e}2\u{1e}4b"), Ok(packets));
}

#[test]
fn binary_in_a_payload_is_base64_with_or_without_padding() {
    for body in ["bAQIDBA==", "bAQIDBA"] {
        assert_eq!(payload(body), Ok(vec![Packet::Binary(Bytes::from_static(&[1, 2, 3, 4]))]));
    }
    assert_eq!(payload("b"), Ok(vec![Packet::Binary(Bytes::new())]));
}

#[test]
fn bad_base64_is_refused() {
    for body in ["bA", "b=", "bAQ=I", "b-_-_", "bAQID BA==", "b€"] {
        assert_eq!(payload(body), Err(Error::InvalidBase64), "{body}");
    }
}

#[test]
fn an_empty_packet_in_a_payload_is_refused() {
    for body in ["", "\u{1e}", "4a\u{1e}", "\u{1e}4a", "4a\u{1e}\u{1e}4b"] {
        assert_eq!(payload(body), Err(Error::EmptyPacket), "{body:?}");
    }
}

#[test]
fn a_payload_that_is_not_utf8_is_refused() {
    assert_eq!(decode_payload(b"4\xff", LIMITS), Err(Error::InvalidUtf8));
}

#[test]
fn a_payload_has_at_most_so_many_packets() {
    assert_eq!(payload("2\u{1e}2\u{1e}2").map(|packets| packets.len()), Ok(3));
    assert_eq!(payload("2\u{1e}2\u{1e}2\u{1e}2"), Err(Error::TooManyPackets { limit: 3 }));
}

#[test]
fn a_body_is_built_of_encoded_parts() {
    let mut body = PayloadBuilder::new();
    assert!(body.is_empty());
    body.push_text("42[\"a\"]");
    body.push_text_parts([b"42[\"n\",{\"seq\":7,".as_slice(), b"\"type\":\"like\"}]"]);
    let before = body.len();
    body.push_binary(&[1, 2, 3, 4]);
    assert_eq!(body.len(), before + 1 + binary_len(4));
    assert_eq!(body.packets(), 3);
    let body = String::from_utf8(body.finish().to_vec()).unwrap();
    assert_snapshot!(body.escape_debug(), @r#"42[\"a\"]\u{1e}42[\"n\",{\"seq\":7,\"type\":\"like\"}]\u{1e}bAQIDBA=="#);
}

#[test]
fn the_length_of_base64_is_known_beforehand() {
    for len in 0..20 {
        assert_eq!(encode_text(&Packet::Binary(vec![0; len].into())).len(), binary_len(len));
    }
}

#[test]
fn the_open_packet_has_exactly_five_keys() {
    let open = OpenPacket {
        sid: "k4JW\"MP8".into(),
        upgrades: vec![],
        ping_interval: 25_000,
        ping_timeout: 20_000,
        max_payload: 1_000_000,
    };
    assert_snapshot!(
        open.encode(),
        @r#"0{"sid":"k4JW\"MP8","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
    );
    assert_eq!(serde_json::to_string(&open).unwrap(), open.json());
    assert_eq!(serde_json::from_str::<OpenPacket>(&open.json()).unwrap(), open);
}

#[test]
fn errors_have_the_bodies_of_the_reference_server() {
    use ErrorCode::*;
    let all = [
        UnknownTransport,
        UnknownSession,
        BadHandshakeMethod,
        BadRequest,
        Forbidden,
        UnsupportedProtocolVersion,
    ];
    for (index, error) in all.into_iter().enumerate() {
        assert_eq!(usize::from(error.code()), index);
        let body = serde_json::json!({"code": error.code(), "message": error.message()});
        assert_eq!(serde_json::from_str::<serde_json::Value>(error.json()).unwrap(), body);
        assert_eq!(error.to_string(), error.message());
    }
    let bodies = all.map(ErrorCode::json).join("\n");
    assert_snapshot!(bodies, @r#"
    {"code":0,"message":"Transport unknown"}
    {"code":1,"message":"Session ID unknown"}
    {"code":2,"message":"Bad handshake method"}
    {"code":3,"message":"Bad request"}
    {"code":4,"message":"Forbidden"}
    {"code":5,"message":"Unsupported protocol version"}
    "#);
}
