//! Input that nobody sends by mistake. Each client is cut off; others notice nothing.

use std::time::Duration;

use tidings_gateway::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Poller, Server, Ws, config, eventually, frame, raw, within};

/// The code of the close frame with which the server ends.
async fn close_code(mut stream: TcpStream) -> Option<u16> {
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.ok()?;
    let at = rest.iter().position(|byte| *byte == 0x88)?;
    Some(u16::from_be_bytes([rest[at + 2], rest[at + 3]]))
}

async fn still_serves(server: &Server) {
    let (mut ws, _) = Ws::connect(server).await;
    ws.send("42[\"message\",1]").await;
    assert_eq!(ws.text().await, "42[\"message-back\",1]");
    ws.close().await;
    eventually(|| server.gateway.connections() == 0).await;
}

#[tokio::test]
async fn broken_frames() {
    let server = Server::start();
    let unmasked = vec![0x81, 2, b'4', b'0'];
    let mut endless = vec![0x82, 0xff];
    endless.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let cases: [(Vec<u8>, u16); 9] = [
        (unmasked, 1002),
        (endless, 1009),
        (frame(0xf1, b"x"), 1002),
        (frame(0x83, b"x"), 1002),
        (frame(0x09, b"x"), 1002),
        (frame(0x89, &[0; 126]), 1002),
        (frame(0x80, b"x"), 1002),
        (frame(0x81, &[b'4', 0xff]), 1007),
        (frame(0x88, &[0]), 1002),
    ];
    for (bytes, code) in cases {
        let mut stream = raw(&server).await;
        stream.write_all(&bytes).await.expect("sent");
        assert_eq!(close_code(stream).await, Some(code), "{bytes:?}");
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn deep_and_wrong_json() {
    let server = Server::start();
    let deep = format!("42[\"message\",{}", "[".repeat(900_000));
    let closed = format!("42[\"message\",{}{}]", "[".repeat(400_000), "]".repeat(400_000));
    for text in [
        deep,
        closed,
        "42[\"a\",1".into(),
        "42[\"a\",nul]".into(),
        "40[1]".into(),
        "42[\"\\ud800\"]".into(),
    ] {
        let (mut ws, _) = Ws::connect(&server).await;
        ws.send(&text).await;
        assert!(ws.closed().await.1.is_some(), "{}…", &text[..8]);
        let poller = Poller::connect(&server).await;
        assert_eq!(poller.post(text).await.0, 400);
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn attachments_that_are_too_many_too_large_or_never_come() {
    let server = Server::with(Config { max_payload: 10_000, ..config() });
    for text in [
        "4599999999999-[\"message\"]",
        "451000-[\"message\"]",
        "451-[\"message\",{\"_placeholder\":true,\"num\":7}]",
    ] {
        let (mut ws, _) = Ws::connect(&server).await;
        ws.send(text).await;
        assert!(ws.closed().await.1.is_some(), "{text}");
    }
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send("453-[\"message\"]").await;
    ws.send_binary(&[0; 6000]).await;
    ws.send_binary(&[0; 6000]).await;
    assert!(ws.closed().await.1.is_some(), "bounded together");
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send("452-[\"message\"]").await;
    ws.send("42[\"message\"]").await;
    assert!(ws.closed().await.1.is_some(), "text in the place of an attachment");
    still_serves(&server).await;
}

#[tokio::test]
async fn one_byte_at_a_time() {
    let server = Server::start();
    let mut stream = raw(&server).await;
    stream.set_nodelay(true).expect("set");
    for byte in frame(0x81, b"42[\"message\",1]") {
        stream.write_all(&[byte]).await.expect("sent");
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 22];
    within(stream.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(&answer[2..], b"42[\"message-back\",1]");
}

#[tokio::test]
async fn a_million_tiny_fragments_are_one_message_at_most_as_long_as_allowed() {
    let server = Server::with(Config { max_payload: 50_000, ..config() });
    let (mut reading, mut writing) = raw(&server).await.into_split();
    let sending = tokio::spawn(async move {
        let fragments = frame(0x00, b"x").repeat(1000);
        writing.write_all(&frame(0x01, b"4")).await?;
        for _ in 0..1000 {
            writing.write_all(&fragments).await?;
        }
        std::io::Result::Ok(())
    });
    let mut rest = Vec::new();
    let _ = within(reading.read_to_end(&mut rest)).await;
    assert_eq!(rest.get(2..4), Some(&1009_u16.to_be_bytes()[..]), "long before the end");
    // What is still on its way is read and forgotten, or refused.
    let _ = within(sending).await.expect("no panic");
    still_serves(&server).await;
}

#[tokio::test]
async fn a_flood_of_pings_from_a_client_that_reads_nothing() {
    let server = Server::with(Config { send_buffer: 64 << 10, ..config() });
    let mut stream = raw(&server).await;
    let pings = frame(0x89, &[0; 125]).repeat(1000);
    let flood = async { while stream.write_all(&pings).await.is_ok() {} };
    let watched = eventually(|| {
        assert!(server.gateway.send_buffered_bytes() < 80 << 10);
        server.gateway.connections() == 0
    });
    tokio::select! {
        () = flood => {}
        () = watched => {}
    }
    drop(stream);
    still_serves(&server).await;
}

#[tokio::test]
async fn half_open_connections_are_closed_in_time() {
    let server = Server::with(Config { header_read_timeout: Duration::from_secs(2), ..config() });
    let mut slow = Vec::new();
    for n in 0..50 {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        if n % 2 == 0 {
            stream.write_all(b"GET /socket.io/?EIO=4 HTTP/1.1\r\nhost: ").await.expect("sent");
        }
        slow.push(stream);
    }
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = within(stream.read_to_end(&mut rest)).await;
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = Server::with(Config { max_header_bytes: 16 << 10, ..config() });
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let head =
        format!("GET /socket.io/?EIO=4&x={} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(40_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = [0; 12];
    if within(stream.read_exact(&mut answer)).await.is_ok() {
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn a_flood_of_events_waits_for_its_handler_within_bounds() {
    let server = Server::with(Config { inbound_backlog: 16, ..config() });
    let (mut ws, _) = Ws::connect(&server).await;
    ws.send("42[\"wait\"]").await;
    let flood = Message::text(format!("42[\"ignored\",\"{}\"]", "x".repeat(10_000)));
    let mut sent = 0;
    // The server stops reading, so at some point no more can be sent.
    while tokio::time::timeout(Duration::from_millis(200), ws.try_send(flood.clone())).await.is_ok()
    {
        sent += 1;
        assert!(sent < 5_000, "50 MB taken");
    }
    server.recorder.gate.notify_one();
    within(async { while server.recorder.drain().await.is_empty() {} }).await;
    drop(ws);
    still_serves(&server).await;
}
