//! Events and their handlers.

use tidings_gateway::DisconnectReason;

use crate::support::{Call, Server, Ws};

#[tokio::test]
async fn events_keep_their_arguments_and_attachments() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send("42[\"message\",1,\"2\",{\"3\":[true]},null, 1.50]").await;
    assert_eq!(ws.text().await, "42[\"message-back\",1,\"2\",{\"3\":[true]},null,1.50]");
    ws.send("42[\"message\"]").await;
    assert_eq!(ws.text().await, "42[\"message-back\"]");
    ws.send(
        "452-[\"message\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
    )
    .await;
    ws.send_binary(&[1, 2, 3]).await;
    ws.send_binary(&[]).await;
    assert_eq!(
        ws.text().await,
        "452-[\"message-back\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]"
    );
    assert_eq!(ws.binary().await, [1, 2, 3]);
    assert!(ws.binary().await.is_empty());
}

#[tokio::test]
async fn a_slow_handler_holds_back_events_but_not_pings_acks_and_the_end() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    server.recorder.drain().await;
    ws.send("42[\"wait\"]").await;
    assert_eq!(server.call().await, Call::Event("wait".into(), String::new()));
    ws.send("42[\"message\",1]").await;
    ws.try_send(tokio_tungstenite::tungstenite::Message::Ping("x".into())).await.expect("sent");
    assert_eq!(ws.message().await, Some(tokio_tungstenite::tungstenite::Message::Pong("x".into())));
    assert_eq!(server.recorder.drain().await, [], "the second event waits");
    server.recorder.gate.notify_one();
    assert_eq!(server.call().await, Call::Done("wait true".into()));
    assert_eq!(ws.text().await, "42[\"message-back\",1]");

    ws.send("42[\"wait\"]").await;
    ws.send("42[\"message\",2]").await;
    ws.close().await;
    crate::support::eventually(|| server.gateway.connections() == 0).await;
    server.recorder.gate.notify_one();
    let mut calls = Vec::new();
    while !matches!(calls.last(), Some(Call::Disconnected(_))) {
        calls.push(server.call().await);
    }
    let event = |name: &str, args: &str| Call::Event(name.into(), args.into());
    let expected = [
        event("message", "1"),
        event("wait", ""),
        Call::Done("wait false".into()),
        event("message", "2"),
        Call::Disconnected(DisconnectReason::TransportClose),
    ];
    assert_eq!(calls, expected, "in order, and what came before the end is still handled");
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_connection_alone() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    let (mut other, _) = Ws::connect(&server).await;
    ws.send("42[\"panic\"]").await;
    ws.closed().await;
    other.send("42[\"message\",1]").await;
    assert_eq!(other.text().await, "42[\"message-back\",1]");
    server.recorder.until(Call::Disconnected(DisconnectReason::ServerError)).await;
    assert_eq!(server.gateway.connections(), 1);
}

#[tokio::test]
async fn one_connection_may_send_many_events_at_once() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    for n in 0..2_000 {
        ws.send(&format!("42[\"message\",{n}]")).await;
    }
    for n in 0..2_000 {
        assert_eq!(ws.text().await, format!("42[\"message-back\",{n}]"));
    }
}
