//! The rules of Socket.IO text packets.

use serde_json::value::RawValue;
use tidings_protocol::json;
use tidings_protocol::socketio::{
    Error, MAX_ACK_ID, Namespace, Packet, PacketType, RESERVED_EVENTS,
};

use crate::support::{packet, packets};

fn written(args: &[&RawValue]) -> Vec<String> {
    args.iter().map(|arg| arg.get().to_owned()).collect()
}

fn data(packet: &Packet) -> Option<&str> {
    packet.data.as_ref().map(|data| data.get())
}

fn nested(levels: usize) -> String {
    format!("2{}\"x\"{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn an_event_has_a_name_and_arguments() {
    let packet = packet(r#"2["echo","x",{"a":[1]}]"#).unwrap();
    assert_eq!(
        (packet.kind, packet.ack, packet.namespace.as_str()),
        (PacketType::Event, None, "/")
    );
    let (name, args) = packet.event().unwrap();
    assert_eq!(name, "echo");
    assert_eq!(written(&args), [r#""x""#, r#"{"a":[1]}"#]);
}

#[test]
fn an_event_may_ask_for_an_answer() {
    let packet = packet(r#"212["q"]"#).unwrap();
    assert_eq!((packet.kind, packet.ack), (PacketType::Event, Some(12)));
    assert!(packet.args().is_empty());
}

#[test]
fn an_ack_has_an_id_and_arguments() {
    let packet = packet(r#"3/admin,0["a",null]"#).unwrap();
    assert_eq!(
        (packet.kind, packet.ack, packet.namespace.as_str()),
        (PacketType::Ack, Some(0), "/admin")
    );
    assert_eq!(written(&packet.args()), [r#""a""#, "null"]);
    assert!(packet.event().is_none());
    assert!(crate::support::packet("31[]").unwrap().args().is_empty());
}

#[test]
fn a_namespace_ends_at_its_comma_or_with_the_text() {
    for (text, name) in [
        ("0", "/"),
        ("0/,", "/"),
        ("0/admin,", "/admin"),
        ("0/admin", "/admin"),
        ("0/a/b,{}", "/a/b"),
    ] {
        assert_eq!(packet(text).unwrap().namespace, name, "{text}");
    }
}

#[test]
fn the_query_string_of_a_namespace_is_cut_off() {
    let packet = packet(r#"0/admin?token=1234,{"token":"123"}"#).unwrap();
    assert_eq!(packet.namespace, "/admin");
    assert_eq!(data(&packet), Some(r#"{"token":"123"}"#));
    assert!(crate::support::packet("0/?a=b,").unwrap().namespace.is_root());
}

#[test]
fn namespaces_are_found_by_their_name() {
    let map = std::collections::HashMap::from([(Namespace::ROOT, 1), (Namespace::new("admin"), 2)]);
    assert_eq!((map.get("/"), map.get("/admin"), map.get("admin")), (Some(&1), Some(&2), None));
}

#[test]
fn an_unknown_type_is_refused() {
    assert_eq!(packet("7[\"x\"]"), Err(Error::UnknownType('7')));
    assert_eq!(packet("abc"), Err(Error::UnknownType('a')));
    assert_eq!(packet(""), Err(Error::EmptyPacket));
}

#[test]
fn malformed_json_is_refused() {
    for text in [
        r#"2["x""#,
        r#"2["x"]]"#,
        r#"2["x",]"#,
        r#"2["x\q"]"#,
        r#"2["x",01]"#,
        r#"0{"a"}"#,
        "30[}",
        "2[\"\u{1}\"]",
    ] {
        assert_eq!(packet(text), Err(Error::Json(json::Error::Malformed)), "{text}");
    }
}

#[test]
fn an_event_is_a_non_empty_array_that_begins_with_a_name() {
    for text in [
        "2",
        "2 ",
        "2{}",
        "2\"x\"",
        "2null",
        "2[]",
        "2[null]",
        "2[true]",
        "2[[\"x\"]]",
        "2[{}]",
        "2/a",
    ] {
        assert_eq!(packet(text), Err(Error::BadPayload(PacketType::Event)), "{text}");
    }
}

#[test]
fn an_event_name_may_be_a_number() {
    let packet = packet("2[-1.5e3,7]").unwrap();
    assert_eq!(packet.event().unwrap().0, "-1.5e3");
    assert_eq!(written(&packet.args()), ["7"]);
}

#[test]
fn an_event_name_may_have_escapes_but_not_half_a_surrogate_pair() {
    assert_eq!(packet(r#"2["\u0061\"\ud83d\ude00"]"#).unwrap().event().unwrap().0, "a\"😀");
    assert_eq!(packet(r#"2["\ud800"]"#), Err(Error::Json(json::Error::Malformed)));
}

#[test]
fn reserved_event_names_are_refused_however_written() {
    for name in RESERVED_EVENTS {
        assert_eq!(packet(&format!("2[\"{name}\"]")), Err(Error::ReservedEvent));
    }
    assert_eq!(packet(r#"2["\u0063onnect"]"#), Err(Error::ReservedEvent));
    assert!(packet(r#"2["connected"]"#).is_ok());
}

#[test]
fn an_ack_is_an_array() {
    for text in ["30", "30{}", "30\"x\"", "30null"] {
        assert_eq!(packet(text), Err(Error::BadPayload(PacketType::Ack)), "{text}");
    }
}

#[test]
fn an_ack_needs_an_id() {
    assert_eq!(packet("3[]"), Err(Error::BadAckId));
    assert_eq!(packets().text("61-[]"), Err(Error::BadAckId));
}

#[test]
fn an_ack_id_that_is_no_number_is_refused() {
    assert!(packet(r#"2abc["x"]"#).is_err());
    assert!(packet(r#"2-1["x"]"#).is_err());
    assert!(packet(r#"21.5["x"]"#).is_err());
}

#[test]
fn an_ack_id_fits_a_javascript_number() {
    assert_eq!(packet(&format!("2{MAX_ACK_ID}[\"x\"]")).unwrap().ack, Some(MAX_ACK_ID));
    assert_eq!(packet(&format!("2{}[\"x\"]", MAX_ACK_ID + 1)), Err(Error::BadAckId));
    assert_eq!(packet(r#"299999999999999999999999["x"]"#), Err(Error::BadAckId));
}

#[test]
fn connect_and_disconnect_have_no_ack_id() {
    for text in ["01{}", "11", "41{}"] {
        assert_eq!(packet(text), Err(Error::BadAckId), "{text}");
    }
}

#[test]
fn connect_carries_an_object_or_nothing() {
    assert_eq!(data(&packet("0").unwrap()), None);
    assert_eq!(data(&packet(r#"0{"token":"t"}"#).unwrap()), Some(r#"{"token":"t"}"#));
    for text in ["0[]", "0\"x\"", "0null", "0true"] {
        assert_eq!(packet(text), Err(Error::BadPayload(PacketType::Connect)), "{text}");
    }
}

#[test]
fn disconnect_carries_nothing() {
    assert_eq!(packet("1/admin,").unwrap().kind, PacketType::Disconnect);
    for text in ["1{}", "1[]", "1null", "1/admin,\"x\""] {
        assert_eq!(packet(text), Err(Error::BadPayload(PacketType::Disconnect)), "{text}");
    }
}

#[test]
fn connect_error_carries_an_object_or_a_string() {
    assert!(packet(r#"4{"message":"no"}"#).is_ok());
    assert!(packet(r#"4"no""#).is_ok());
    assert_eq!(packet("4[]"), Err(Error::BadPayload(PacketType::ConnectError)));
}

#[test]
fn json_may_be_nested_128_levels_deep() {
    assert!(packet(&format!("2[\"x\",{}]", &nested(127)[1..])).is_ok());
    let too_deep = Err(Error::Json(json::Error::TooDeep { limit: 128 }));
    assert_eq!(packet(&format!("2[\"x\",{}]", &nested(128)[1..])), too_deep);
    assert_eq!(packet(&nested(129)), Err(Error::Json(json::Error::TooDeep { limit: 128 })));
}

#[test]
fn a_million_open_brackets_do_not_overflow_the_stack() {
    let deep = format!("2{}", "[".repeat(999_999));
    assert_eq!(packet(&deep), Err(Error::Json(json::Error::TooDeep { limit: 128 })));
    assert_eq!(json::parse_raw(&deep[1..], usize::MAX).err(), Some(json::Error::Malformed));
}

#[test]
fn brackets_and_quotes_within_strings_do_not_count() {
    let name = "[".repeat(500);
    let packet = packet(&format!(r#"2["{name}","\"[[{{\\","]"]"#)).unwrap();
    assert_eq!(packet.event().unwrap().0, name);
    assert_eq!(packet.args().len(), 2);
}

#[test]
fn spaces_around_the_json_are_accepted() {
    let packet = packet("2 [ \"x\" , 1 ] ").unwrap();
    assert_eq!(packet.event().unwrap().0, "x");
    assert_eq!(data(&packet), Some("[ \"x\" , 1 ]"));
}

#[test]
fn a_text_over_the_limit_is_refused() {
    let mut decoder = tidings_protocol::socketio::Decoder::new(1, 10);
    assert!(decoder.text(r#"2["12345"]"#).is_ok());
    assert_eq!(decoder.text(r#"2["123456"]"#), Err(Error::TooBig { limit: 10 }));
}
