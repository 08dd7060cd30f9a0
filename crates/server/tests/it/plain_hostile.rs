//! Bad input on plain WebSockets: refused with a reason or closed, and the server lives on.

use futures_util::SinkExt as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame, FrameHeader,
        coding::{Control, Data, OpCode},
    },
};

use crate::support::{Plain, TestServer, within};

async fn member(server: &TestServer, user: &str) -> Plain {
    let mut plain = Plain::open(server, "/ws").await;
    plain.say(json!({ "type": "auth", "token": server.token(user) })).await;
    plain.hear("notifications:pending").await;
    plain
}

async fn unharmed(server: &TestServer) {
    let mut somebody = member(server, "somebody").await;
    server.api().notify("somebody", "still here").await;
    let heard = somebody.hear("notification").await;
    assert_eq!(heard["notification"]["message"], "still here");
}

/// The code that the server closes with, if it says one.
async fn close_code(plain: &mut Plain) -> Option<u16> {
    use futures_util::StreamExt as _;
    loop {
        match within(plain.0.next()).await {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn frames_that_are_none_end_the_connection_with_a_code() {
    let server = TestServer::start().await;
    let parts = |opcode, payload: &[u8], is_final| {
        let header = FrameHeader { opcode, is_final, ..FrameHeader::default() };
        Frame::from_payload(header, payload.to_vec().into())
    };
    let frame = |opcode, payload: &[u8]| parts(opcode, payload, true);
    for (bad, code) in [
        (frame(OpCode::Data(Data::Reserved(3)), b"{}"), 1002),
        (frame(OpCode::Control(Control::Reserved(11)), b""), 1002),
        (frame(OpCode::Data(Data::Text), b"{\"type\":\"\xff\xfe\"}"), 1007),
        (frame(OpCode::Data(Data::Continue), b"{}"), 1002),
        (frame(OpCode::Control(Control::Ping), &[0; 200]), 1002),
        (parts(OpCode::Control(Control::Ping), b"x", false), 1002),
    ] {
        let mut alice = member(&server, "alice").await;
        let what = format!("{bad:?}");
        within(alice.0.send(Message::Frame(bad))).await.unwrap();
        assert_eq!(close_code(&mut alice).await, Some(code), "{what}");
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection_also_before_anybody_is_known() {
    let server = TestServer::with(|config| config.gateway.max_payload = 10_000).await;
    let mut stranger = Plain::open(&server, "/ws").await;
    stranger.say(json!({ "type": "auth", "token": "x".repeat(20_000) })).await;
    assert_eq!(close_code(&mut stranger).await, Some(1009));
    let mut alice = member(&server, "alice").await;
    alice.say(json!({ "type": "nonsense", "x": "x".repeat(20_000) })).await;
    assert_eq!(close_code(&mut alice).await, Some(1009));
    unharmed(&server).await;
}

#[tokio::test]
async fn objects_that_make_no_sense_are_errors_and_the_connection_stays() {
    let server = TestServer::start().await;
    let mut alice = member(&server, "alice").await;
    let deep = format!(
        "{{\"type\":\"room:join\",\"room\":{}1{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for text in [
        deep.as_str(),
        "{\"type\":\"room:join\"}",
        "{\"type\":\"room:join\",\"room\":7}",
        "{\"type\":\"room:join\",\"type\":\"room:leave\"}",
        "{\"type\":\"notification:read\",\"ids\":[1]}",
        "{\"type\":\"presence-update\",\"status\":\"dancing\"}",
        "{\"type\":\"typing:start\",\"room\":{\"a\":1}}",
        "{\"type\":\"auth:refresh\",\"token\":7}",
        "{\"type\":\"room:message\",\"room\":\"post:1\"}",
        "\u{0}",
    ] {
        within(alice.0.send(Message::text(text))).await.unwrap();
        let code = alice.hear("error").await["code"].as_str().unwrap().to_owned();
        assert_eq!(code, "INVALID", "{}", &text[..text.len().min(60)]);
    }
    // A request that is known by an object is answered by that object.
    alice.say(json!({ "type": "heartbeat", "requestId": { "a": [1] } })).await;
    let ack = alice.hear("ack").await;
    assert_eq!((&ack["ok"], &ack["requestId"]), (&json!(true), &json!({ "a": [1] })));
}

#[tokio::test]
async fn ten_thousand_rooms_are_refused_and_a_token_is_not_taken_twice() {
    let server = TestServer::start().await;
    let mut alice = member(&server, "alice").await;
    let many: Vec<_> = (0..10_000).map(|n| format!("post:{n}")).collect();
    alice.say(json!({ "type": "room:join", "rooms": many, "requestId": 1 })).await;
    assert_eq!(alice.hear("ack").await["error"]["code"], "TOO_MANY_ROOMS");
    // Once known, nobody becomes somebody else.
    alice.say(json!({ "type": "auth", "token": server.token("bob"), "requestId": 2 })).await;
    assert_eq!(alice.hear("ack").await["error"]["code"], "UNKNOWN_EVENT");
    let other = json!({ "type": "auth:refresh", "token": server.token("bob"), "requestId": 3 });
    alice.say(other).await;
    assert_eq!(alice.hear("ack").await["error"]["code"], "AUTH_FAILED");
    unharmed(&server).await;
}
