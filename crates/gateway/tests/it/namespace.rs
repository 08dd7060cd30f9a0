//! Joining and leaving namespaces.

use tidings_gateway::{Config, DisconnectReason};

use crate::support::{Call, Server, Ws, config};

#[tokio::test]
async fn a_connect_is_answered_with_the_sid_alone() {
    let server = Server::start();
    let (_ws, id) = Ws::connect(&server).await;
    assert_eq!(id.len(), 22);
    let socket = server.gateway.socket("/", &id).expect("found by its id");
    assert!(socket.is_connected());
    assert_eq!(socket.namespace(), "/");
    assert_eq!(server.gateway.socket_count("/"), 1);
}

#[tokio::test]
async fn auth_is_passed_on_and_namespaces_are_apart() {
    let server = Server::start();
    let mut ws = Ws::open(&server).await;
    let root = ws.join_namespace("40{\"token\":\"123\"}").await;
    let custom = ws.join_namespace("40/custom,{\"token\":\"abc\"}").await;
    assert_ne!(root, custom);
    assert_eq!(
        server.recorder.drain().await[..2],
        [Call::Connect("{\"token\":\"123\"}".into()), Call::Connected]
    );
    ws.send("42/custom,[\"message\",1]").await;
    assert_eq!(ws.text().await, "42/custom,[\"message-back\",1]");
    ws.send("41/custom,").await;
    ws.send("42[\"message\",2]").await;
    assert_eq!(ws.text().await, "42[\"message-back\",2]");
    assert_eq!((server.gateway.socket_count("/"), server.gateway.socket_count("/custom")), (1, 0));
    let calls = server.recorder.drain().await;
    assert!(calls.contains(&Call::Disconnected(DisconnectReason::ClientDisconnect)), "{calls:?}");
}

#[tokio::test]
async fn unknown_namespaces_and_refusals_are_told() {
    let server = Server::start();
    let mut ws = Ws::open(&server).await;
    ws.send("40/random").await;
    assert_eq!(ws.text().await, "44/random,{\"message\":\"Invalid namespace\"}");
    ws.send("40{\"refuse\":true}").await;
    assert_eq!(
        ws.text().await,
        "44{\"data\":{\"code\":\"AUTH_FAILED\"},\"message\":\"Authentication failed\"}"
    );
    ws.join_namespace("40").await;
    assert_eq!(server.gateway.socket_count("/"), 1);
}

#[tokio::test]
async fn packets_before_connect_and_second_connects_close() {
    let server = Server::start();
    for early in ["42[\"message\",1]", "41", "431[]", "42/custom,[\"message\",1]"] {
        let mut ws = Ws::open(&server).await;
        ws.send(early).await;
        ws.closed().await;
    }
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send("40").await;
    ws.closed().await;
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn the_server_disconnects_from_a_namespace_or_altogether() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send("42[\"leave-me\"]").await;
    // On its way when we put it out: neither handled nor an offence.
    ws.send("42[\"message\",1]").await;
    assert_eq!(ws.text().await, "41");
    ws.join_namespace("40").await;
    ws.send("42[\"go-away\"]").await;
    let (before, _) = ws.closed().await;
    assert_eq!(before, ["41"]);
    let end = Call::Disconnected(DisconnectReason::ServerDisconnect);
    let mut calls = server.recorder.until(end.clone()).await;
    calls.extend(server.recorder.until(end).await);
    assert!(!calls.contains(&Call::Event("message".into(), "1".into())));
}

#[tokio::test]
async fn a_bare_transport_close_sends_no_disconnect() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send("42[\"come-back\"]").await;
    let (before, close) = ws.closed().await;
    assert!(before.is_empty() && close.is_some());
    server.recorder.until(Call::Disconnected(DisconnectReason::Replaced)).await;
}

#[tokio::test]
async fn a_connection_that_ends_during_connect_is_disconnected_once_and_never_connected() {
    let server = Server::start();
    let mut ws = Ws::open(&server).await;
    ws.send("40{\"wait\":1}").await;
    assert_eq!(server.call().await, Call::Connect("{\"wait\":1}".into()));
    ws.close().await;
    crate::support::eventually(|| server.gateway.connections() == 0).await;
    server.recorder.gate.notify_one();
    assert_eq!(server.call().await, Call::Disconnected(DisconnectReason::TransportClose));
    assert_eq!(server.recorder.drain().await, []);
    assert_eq!(server.gateway.socket_count("/"), 0);
}

#[tokio::test]
async fn a_connection_joins_so_many_namespaces_and_no_more() {
    let server = Server::with(Config { max_namespaces: 1, ..config() });
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send("40/custom").await;
    assert_eq!(ws.text().await, "44/custom,{\"message\":\"Too many namespaces\"}");
}
