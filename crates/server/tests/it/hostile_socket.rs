//! Bad input on a socket: refused with a reason or closed, and the server lives on.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{
        Message,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

use crate::support::{Packet, TestServer, within};

/// The server works, and alice's inbox is as it was.
async fn unharmed(server: &TestServer) {
    let count = server.user("alice").get("/notifications/unread-count").await.json(200);
    assert_eq!(count, json!({ "unread": 0, "rev": 0 }));
    let mut somebody = server.connect("somebody").await;
    server.api().notify("somebody", "still here").await;
    assert_eq!(somebody.wait("notification").await["message"], "still here");
}

#[tokio::test]
async fn arguments_of_half_a_million_levels_are_refused() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    let levels = 450_000;
    let array = "[".repeat(levels) + &"]".repeat(levels);
    for name in ["notification:read", "notification:ack", "auth:refresh", "room:join", "nonsense"] {
        // As a text: no value of that depth could be built here either.
        alice.send(format!(r#"42["{name}",{array}]"#)).await;
        match alice.next().await {
            Packet::Event(event, body) => {
                assert_eq!(event, "error");
                let code = body["code"].as_str().unwrap();
                assert!(["INVALID", "UNKNOWN_EVENT"].contains(&code), "{name}: {body}");
            }
            Packet::Closed => alice = server.connect("alice").await,
            other => panic!("{other:?}"),
        }
    }
    let mut stranger = crate::support::Client::open(server.address).await;
    stranger.send(format!(r#"40{{"token":{array}}}"#)).await;
    match stranger.packet().await {
        Packet::Refused(refusal) => assert_eq!(refusal["data"]["code"], "INVALID"),
        Packet::Closed => {}
        other => panic!("{other:?}"),
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn packets_that_are_none_end_the_connection() {
    let server = TestServer::start().await;
    for garbage in [
        "9",
        "x",
        "",
        "4",
        "49",
        "42",
        "42{}",
        "42[",
        "42[]",
        "42[null]",
        "4299[\"x\"",
        "42[\"x\",]",
        "43[]",
        "40[",
        "451-[\"x\",{\"_placeholder\":true,\"num\":0}]4x",
        "b!!!",
    ] {
        let mut alice = server.connect("alice").await;
        alice.send(garbage).await;
        let ended = tokio::time::timeout(Duration::from_secs(10), alice.until_closed()).await;
        let (events, _) = ended.unwrap_or_else(|_| panic!("{garbage:?} did not end it"));
        assert!(events.iter().all(|(name, _)| name == "error"), "{garbage}: {events:?}");
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn an_event_whose_name_is_a_number_is_one_that_nobody_knows() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    alice.send("42[5]").await;
    assert_eq!(alice.wait("error").await["code"], "UNKNOWN_EVENT");
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection() {
    let server = TestServer::with(|config| config.gateway.max_payload = 10_000).await;
    let mut alice = server.connect("alice").await;
    let fits = "x".repeat(9_000);
    assert_eq!(alice.ask("nonsense", json!(fits)).await["error"]["code"], "UNKNOWN_EVENT");
    alice.emit("nonsense", json!("x".repeat(11_000))).await;
    let (events, _) = alice.until_closed().await;
    assert!(events.is_empty(), "{events:?}");
    unharmed(&server).await;
}

#[tokio::test]
async fn broken_frames_end_the_connection() {
    let server = TestServer::start().await;
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", server.address);
    let text = |bytes: &[u8]| {
        Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(Data::Text), true))
    };
    let reserved = Frame::message(b"2".to_vec(), OpCode::Data(Data::Reserved(3)), true);
    for broken in [text(b"4\xff\xfe"), text(b"42[\"\xc3\x28\"]"), Message::Frame(reserved)] {
        let (mut stream, _) = within(connect_async(&url)).await.unwrap();
        within(stream.next()).await.unwrap().unwrap();
        within(stream.send(broken)).await.unwrap();
        // A close frame, or the end of the stream: nothing else.
        while let Some(Ok(message)) = within(stream.next()).await {
            assert!(message.is_close(), "{message:?}");
        }
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn a_thousand_unknown_events_at_once_are_refused_and_then_limited() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    let begun = Instant::now();
    for _ in 0..1_000 {
        alice.emit("nonsense", Value::Null).await;
    }
    let mut codes = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..1_000 {
        let error = alice.wait("error").await;
        *codes.entry(error["code"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    // A hundred at once, and a hundred a minute after that.
    let most = 100 + 1 + begun.elapsed().as_millis() as usize * 100 / 60_000;
    assert!((100..=most).contains(&codes["UNKNOWN_EVENT"]), "{codes:?}");
    assert_eq!(codes["RATE_LIMIT"], 1_000 - codes["UNKNOWN_EVENT"], "{codes:?}");
    unharmed(&server).await;
}
