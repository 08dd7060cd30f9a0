//! Captured frames of the reference server and client, each written and read.

use bytes::Bytes;
use insta::{assert_debug_snapshot, assert_snapshot};
use tidings_protocol::engineio::{
    OpenPacket, Packet as Engine, PayloadBuilder, PayloadLimits, Upgrade, decode_payload,
    decode_text, encode_text,
};
use tidings_protocol::socketio::{
    Packet, PacketType, encode_ack, encode_connect, encode_connect_error, encode_disconnect,
    encode_event,
};
use tidings_protocol::websocket::{Opcode, frame};

use crate::support::{decode, hex, last, packet, packets};

/// Through all three layers: the bytes of a client's text frame → a Socket.IO packet.
fn received(message: &str) -> Packet {
    let messages = decode(&last(Opcode::Text, message.as_bytes())).unwrap();
    let [tidings_protocol::websocket::Message::Text(text)] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    let Ok(Engine::Message(inner)) = decode_text(text.as_str()) else { panic!("{text}") };
    packet(&inner).unwrap()
}

fn message(socketio: String) -> String {
    encode_text(&Engine::Message(socketio))
}

// §1 Engine.IO and Socket.IO: polling, upgrade, ack, ping, binary

#[test]
fn s1_the_handshake_answers_with_the_open_packet() {
    let open = OpenPacket {
        sid: "k4JWVmP8WEX8BySVAAAA".into(),
        upgrades: vec![Upgrade::WebSocket],
        ping_interval: 1000,
        ping_timeout: 800,
        max_payload: 1_000_000,
    };
    assert_snapshot!(
        open.encode(),
        @r#"0{"sid":"k4JWVmP8WEX8BySVAAAA","upgrades":["websocket"],"pingInterval":1000,"pingTimeout":800,"maxPayload":1000000}"#
    );
}

#[test]
fn s1_a_client_connects_by_post() {
    let packets = decode_payload("40", PayloadLimits { max_packets: 16 }).unwrap();
    assert_eq!(packets, [Engine::Message("0".into())]);
    assert_eq!(packet("0"), Ok(Packet::new(PacketType::Connect, "/".into())));
}

#[test]
fn s1_a_poll_gets_two_packets() {
    let mut body = PayloadBuilder::new();
    body.push_text(&message(encode_connect("/", r#"{"sid":"2iXl8SlM7EpOAWDMAAAA"}"#)));
    body.push_text(&message(encode_event("/", None, r#"["welcome",{"id":1}]"#, 0)));
    let body = String::from_utf8(body.finish().to_vec()).unwrap();
    assert_eq!(body, "40{\"sid\":\"2iXl8SlM7EpOAWDMAAAA\"}\u{1e}42[\"welcome\",{\"id\":1}]");
}

#[test]
fn s1_the_upgrade_is_probed_and_the_poll_released() {
    assert_eq!(decode_text("2probe"), Ok(Engine::Ping("probe".into())));
    assert_snapshot!(encode_text(&Engine::Pong("probe".into())), @"3probe");
    assert_snapshot!(encode_text(&Engine::Noop), @"6");
    assert_eq!(decode_text("5"), Ok(Engine::Upgrade));
    assert_snapshot!(hex(&frame(Opcode::Text, b"3probe")), @"81 06 33 70 72 6f 62 65");
}

#[test]
fn s1_an_event_is_acknowledged() {
    assert_debug_snapshot!(received(r#"420["echo","x"]"#), @r#"
    Packet {
        kind: Event,
        namespace: "/",
        ack: Some(
            0,
        ),
        data: Some(
            RawValue(
                ["echo","x"],
            ),
        ),
        attachments: [],
    }
    "#);
    assert_snapshot!(message(encode_ack("/", 0, r#"["x"]"#, 0)), @r#"430["x"]"#);
}

#[test]
fn s1_the_server_pings() {
    assert_snapshot!(encode_text(&Engine::Ping(String::new())), @"2");
    assert_eq!(decode_text("3"), Ok(Engine::Pong(String::new())));
}

#[test]
fn s1_a_binary_event_is_text_and_a_binary_frame() {
    let text = message(encode_event("/", None, r#"["bin",{"_placeholder":true,"num":0}]"#, 1));
    assert_snapshot!(text, @r#"451-["bin",{"_placeholder":true,"num":0}]"#);
    assert_snapshot!(hex(&frame(Opcode::Binary, &[1])), @"82 01 01");
}

// §5 Connection state recovery

#[test]
fn s5_connect_with_recovery_has_sid_and_pid() {
    let text =
        encode_connect("/", r#"{"sid":"sQBKPtaDlU7yNkInAAAA","pid":"l_MFKsQvVy22Dzc-AAAB"}"#);
    assert_snapshot!(text, @r#"0{"sid":"sQBKPtaDlU7yNkInAAAA","pid":"l_MFKsQvVy22Dzc-AAAB"}"#);
}

#[test]
fn s5_events_carry_their_offset_last() {
    assert_snapshot!(encode_event("/", None, r#"["hello",1,"Q7xXfAL"]"#, 0), @r#"2["hello",1,"Q7xXfAL"]"#);
    assert_snapshot!(encode_event("/", None, r#"["direct",2,"Q7xXfB9"]"#, 0), @r#"2["direct",2,"Q7xXfB9"]"#);
    assert_snapshot!(encode_event("/", None, r#"["missed","A","Q7xXfG5"]"#, 0), @r#"2["missed","A","Q7xXfG5"]"#);
}

#[test]
fn s5_volatile_and_acknowledged_events_carry_none() {
    assert_snapshot!(encode_event("/", None, r#"["vol"]"#, 0), @r#"2["vol"]"#);
    assert_snapshot!(encode_event("/", Some(0), r#"["ackd"]"#, 0), @r#"20["ackd"]"#);
}

#[test]
fn s5_binary_events_carry_their_offset_last() {
    for (json, attachment) in [
        (r#"["bin",{"_placeholder":true,"num":0},"Q7xXfF5"]"#, &[1, 2][..]),
        (r#"["missedbin",{"_placeholder":true,"num":0},"Q7xXfG6"]"#, &[9]),
    ] {
        let text = encode_event("/", None, json, 1);
        assert_eq!(text, format!("51-{json}"));
        let mut decoder = packets();
        assert_eq!(decoder.text(&text), Ok(None));
        let packet = decoder.binary(Bytes::copy_from_slice(attachment)).unwrap().unwrap();
        assert_eq!(packet.args().len(), 2);
        assert_eq!(packet.attachments, [attachment]);
    }
}

#[test]
fn s5_a_client_disconnects_and_comes_back_with_pid_and_offset() {
    assert_eq!(packet("1"), Ok(Packet::new(PacketType::Disconnect, "/".into())));
    let connect = received(r#"40{"pid":"l_MFKsQvVy22Dzc-AAAB","offset":"Q7xXfG6"}"#);
    assert_debug_snapshot!(connect, @r#"
    Packet {
        kind: Connect,
        namespace: "/",
        ack: None,
        data: Some(
            RawValue(
                {"pid":"l_MFKsQvVy22Dzc-AAAB","offset":"Q7xXfG6"},
            ),
        ),
        attachments: [],
    }
    "#);
}

// Forms that the captures do not show

#[test]
fn other_namespaces_are_written_with_a_comma() {
    let refused = encode_connect_error("/unknown", r#"{"message":"Invalid namespace"}"#);
    assert_snapshot!(refused, @r#"4/unknown,{"message":"Invalid namespace"}"#);
    assert_snapshot!(encode_connect("/chat", r#"{"sid":"a"}"#), @r#"0/chat,{"sid":"a"}"#);
    assert_snapshot!(encode_disconnect("/"), @"1");
    assert_snapshot!(encode_disconnect("/chat"), @"1/chat,");
    assert_snapshot!(encode_event("/chat", Some(13), r#"["x"]"#, 0), @r#"2/chat,13["x"]"#);
    assert_snapshot!(encode_event("/chat", Some(13), r#"["x"]"#, 2), @r#"52-/chat,13["x"]"#);
    assert_snapshot!(encode_ack("/chat", 13, "[]", 1), @"61-/chat,13[]");
}
