//! The opening handshake and the frames of WebSocket.

use std::net::SocketAddr;

use tidings_gateway::{Config, DisconnectReason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Call, Server, Ws, config, frame, raw, within};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Sends a request by hand and returns the answer's head.
async fn head(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(within(stream.read_u8()).await.expect("an answer"));
    }
    String::from_utf8(answer).expect("text").to_lowercase()
}

fn request(method: &str, headers: &[(&str, &str)]) -> String {
    let mut request =
        format!("{method} /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request + "\r\n"
}

#[tokio::test]
async fn the_opening_handshake_is_checked() {
    let server = Server::start();
    let good = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];
    let answer = head(server.address, &request("GET", &good)).await;
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");

    for missing in 0..good.len() {
        let mut headers = good.to_vec();
        headers.remove(missing);
        let answer = head(server.address, &request("GET", &headers)).await;
        let status = if missing == 2 { "http/1.1 426" } else { "http/1.1 400" };
        assert!(answer.starts_with(status), "without {}: {answer}", good[missing].0);
        assert!(missing != 2 || answer.contains("sec-websocket-version: 13"));
    }
    let mut headers = good;
    headers[3].1 = "short";
    assert!(head(server.address, &request("GET", &headers)).await.starts_with("http/1.1 400"));
    headers[2].1 = "8";
    assert!(head(server.address, &request("GET", &headers)).await.starts_with("http/1.1 426"));
    assert!(head(server.address, &request("POST", &good)).await.starts_with("http/1.1 400"));
}

#[tokio::test]
async fn frames_sent_with_the_handshake_are_not_lost() {
    let server = Server::start();
    let good = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];
    let mut bytes = request("GET", &good).into_bytes();
    // "40", masked with zeros, in the same packet.
    bytes.extend_from_slice(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0']);
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    stream.write_all(&bytes).await.expect("sent");
    assert_eq!(server.call().await, Call::Connect(String::new()));
    assert_eq!(server.call().await, Call::Connected);
}

#[tokio::test]
async fn pings_of_the_protocol_are_answered_and_close_is_returned() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    ws.try_send(Message::Ping("hi".into())).await.expect("sent");
    assert_eq!(ws.message().await, Some(Message::Pong("hi".into())));
    ws.try_send(Message::Close(None)).await.expect("sent");
    assert!(ws.closed().await.1.is_some());
    assert_eq!(server.call().await, Call::Connect(String::new()));
    assert_eq!(server.call().await, Call::Connected);
    assert_eq!(server.call().await, Call::Disconnected(DisconnectReason::TransportClose));
}

#[tokio::test]
async fn a_vanished_client_is_noticed() {
    let server = Server::start();
    let (ws, _) = Ws::connect(&server).await;
    drop(ws);
    server.call().await;
    server.call().await;
    assert!(matches!(server.call().await, Call::Disconnected(_)));
    assert_eq!(server.gateway.connections(), 0);
    assert_eq!(server.gateway.socket_count("/"), 0);
}

#[tokio::test]
async fn a_client_that_shuts_its_side_still_gets_what_it_asked_for_and_a_proper_end() {
    let server = Server::start();
    let mut stream = raw(&server).await;
    stream.write_all(&frame(0x89, b"last")).await.expect("sent");
    stream.shutdown().await.expect("shut");
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.expect("ended, not reset");
    assert_eq!(rest, b"\x8a\x04last");
    server.call().await;
    server.call().await;
    assert_eq!(server.call().await, Call::Disconnected(DisconnectReason::TransportClose));
}

#[tokio::test]
async fn a_close_packet_closes() {
    let server = Server::start();
    let mut ws = Ws::open(&server).await;
    ws.send("1").await;
    ws.closed().await;
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn malformed_packets_close_with_a_code() {
    let server = Server::start();
    for bad in [
        "",
        "abc",
        "4",
        "4abc",
        "42{}",
        "42abc[\"x\"]",
        "42[]",
        "42[{}]",
        "2",
        "0",
        "43[]",
        "421[\"connect\"]",
        "44{}",
        "7",
        "45-[\"x\"]",
    ] {
        let (mut ws, _) = Ws::connect(&server).await;
        ws.send(bad).await;
        let (_, close) = ws.closed().await;
        assert_eq!(close.map(|close| u16::from(close.code)), Some(1002), "{bad:?}");
    }
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send_binary(&[1, 2, 3]).await;
    assert!(ws.closed().await.1.is_some(), "an attachment of nothing");
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_with_1009() {
    let server = Server::with(Config { max_payload: 1000, ..config() });
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send(&format!("42[\"message\",\"{}\"]", "x".repeat(900))).await;
    assert!(ws.text().await.starts_with("42[\"message-back\""));
    ws.send(&format!("42[\"message\",\"{}\"]", "x".repeat(1000))).await;
    assert_eq!(ws.closed().await.1.map(|close| u16::from(close.code)), Some(1009));
}
