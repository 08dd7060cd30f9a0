//! TLS: everything works as in the clear, and a listener that is abused goes on.

use std::io::ErrorKind;
use std::time::Duration;

use rustls::HandshakeKind;
use tidings_gateway::{Config, DisconnectReason, Frame, Target, TlsLimits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    Call, Poller, Secure, Server, Version, Ws, config, eventually, narrow, shake_hands, shown,
    within,
};

const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

async fn join(secure: &Secure) -> (Ws, String) {
    Ws::join_over(secure.connect().await).await
}

async fn answers(ws: &mut Ws) {
    ws.send("42[\"message\",1]").await;
    assert_eq!(ws.text().await, "42[\"message-back\",1]");
}

/// A masked frame, the mask being zero.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).expect("short"), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

fn upgrade_request() -> String {
    format!(
        "GET {PATH} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[tokio::test]
async fn socket_io_over_both_versions() {
    let secure = Secure::start();
    for version in [Version::V12, Version::V13] {
        let stream = secure.connect_as(version).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let (mut ws, _) = Ws::join_over(stream).await;
        answers(&mut ws).await;
        let large = format!("42[\"message\",\"{}\"]", "x".repeat(300_000));
        ws.send(&large).await;
        assert_eq!(ws.text().await.len(), large.len() + "-back".len());
        ws.close().await;
    }
    eventually(|| secure.server.gateway.connections() == 0).await;
}

#[tokio::test]
async fn what_comes_with_the_handshake_is_not_lost() {
    let secure = Secure::start();
    let whole = [upgrade_request().into_bytes(), frame("40"), frame("42[\"message\",7]")].concat();
    // In one record, in one for each byte, and in pieces.
    for size in [whole.len(), 1, 100] {
        let mut stream = secure.connect().await;
        for piece in whole.chunks(size) {
            stream.write_all(piece).await.expect("sent");
        }
        stream.flush().await.expect("sent");
        let mut seen = Vec::new();
        while !seen.ends_with(b"42[\"message-back\",7]") {
            seen.push(within(stream.read_u8()).await.expect("more"));
        }
    }
}

#[tokio::test]
async fn a_session_moves_from_polling_to_websocket() {
    let secure = Secure::start();
    let poller = Poller::connect_with(&secure.server, secure.http()).await;
    let path = format!("{PATH}&sid={}", poller.sid());
    let mut ws = Ws::over(secure.connect().await, &path).await.expect("a WebSocket");
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    secure.server.gateway.to("/", Target::all()).emit(&Frame::event("n", &["1"]));
    assert_eq!(poller.poll().await, (200, "42[\"n\",1]".into()));
    secure.server.gateway.to("/", Target::all()).emit(&Frame::event("n", &["2"]));
    ws.send("5").await;
    assert_eq!(ws.text().await, "42[\"n\",2]");
    answers(&mut ws).await;
    // A second one that tries is turned away, with a word.
    let mut late = Ws::over(secure.connect().await, &path).await.expect("a WebSocket");
    assert_eq!(u16::from(late.closed().await.1.expect("a close frame").code), 1008);
}

#[tokio::test]
async fn plain_websockets_event_streams_and_the_fallback() {
    let secure = Secure::start();
    let mut ws = Ws::over(secure.connect().await, "/ws").await.expect("a WebSocket");
    assert!(ws.text().await.contains("welcome"));
    ws.send("{\"type\":\"auth\"}").await;
    assert!(ws.text().await.contains("ready"));
    let url = format!("{}/stream", secure.server.origin());
    let mut stream = within(secure.http().get(url).send()).await.expect("answered");
    let mut text = String::new();
    while !text.contains("event: welcome") {
        let chunk = within(stream.chunk()).await.expect("readable").expect("more");
        text.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
    let url = format!("{}/api", secure.server.origin());
    let answer = within(secure.http().get(url).send()).await.expect("answered");
    assert_eq!(within(answer.text()).await.expect("text"), "fallback /api true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_all_in_order() {
    let secure = Secure::start();
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(join(&secure).await.0);
    }
    for n in 0..200 {
        let event = Frame::event("n", &[&n.to_string(), &format!("\"{}\"", "x".repeat(n * 10))]);
        assert_eq!(secure.server.gateway.to("/", Target::all()).emit(&event), 50);
    }
    for ws in &mut clients {
        for n in 0..200 {
            assert!(ws.text().await.starts_with(&format!("42[\"n\",{n},")), "frame {n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_bounded_and_gets_all_that_was_taken_in_order() {
    const LIMIT: usize = 64 << 10;
    let config = Config { send_buffer: LIMIT, slow_drain: Duration::from_secs(60), ..config() };
    let secure = Secure::with(config, TlsLimits::default(), |builder| builder);
    let server = &secure.server;
    let stream = secure.shake_hands(narrow(server).await, Version::V13, &[]).await;
    let (mut slow, id) = Ws::join_over(stream.expect("a handshake")).await;
    let (mut other, _) = join(&secure).await;
    let socket = server.gateway.socket("/", &id).expect("connected");
    server.recorder.drain().await;
    let text = format!("\"{}\"", "x".repeat(10_000));
    let mut taken = 0;
    while socket.emit(&Frame::event("n", &[&taken.to_string(), &text])).is_ok() {
        assert!(socket.send_queue_bytes() <= LIMIT);
        taken += 1;
    }
    assert_eq!(server.call().await, Call::Overflowed);
    answers(&mut other).await;
    server.recorder.drain().await;
    for n in 0..taken {
        assert!(slow.text().await.starts_with(&format!("42[\"n\",{n},")), "frame {n} of {taken}");
    }
    assert_eq!(server.call().await, Call::Drained);
    assert_eq!(server.gateway.send_buffered_bytes(), 0);
    answers(&mut slow).await;
}

#[tokio::test]
async fn one_that_never_reads_is_closed() {
    let slow_drain = Duration::from_millis(50);
    let config = Config { send_buffer: 64 << 10, slow_drain, ..config() };
    let secure = Secure::with(config, TlsLimits::default(), |builder| builder);
    let server = &secure.server;
    let stream = secure.shake_hands(narrow(server).await, Version::V13, &[]).await;
    let (slow, id) = Ws::join_over(stream.expect("a handshake")).await;
    let socket = server.gateway.socket("/", &id).expect("connected");
    let event = Frame::event("n", &[&format!("\"{}\"", "x".repeat(10_000))]);
    while socket.emit(&event).is_ok() {}
    server.recorder.until(Call::Disconnected(DisconnectReason::SlowConsumer)).await;
    eventually(|| server.gateway.send_buffered_bytes() == 0).await;
    drop(slow);
}

#[tokio::test]
async fn a_huge_frame_goes_out_while_nothing_waits() {
    let secure = Secure::start();
    let (mut ws, id) = join(&secure).await;
    let socket = secure.server.gateway.socket("/", &id).expect("connected");
    let huge = format!("\"{}\"", "y".repeat(8 << 20));
    socket.emit(&Frame::event("huge", &[&huge])).expect("taken");
    assert_eq!(ws.text().await.len(), huge.len() + 11);
    answers(&mut ws).await;
}

#[tokio::test]
async fn an_end_is_told_by_websocket_and_by_tls() {
    let secure = Secure::start();
    let mut stream = secure.connect().await;
    let hello = [upgrade_request().into_bytes(), frame("40")].concat();
    stream.write_all(&hello).await.expect("sent");
    stream.flush().await.expect("sent");
    eventually(|| secure.server.gateway.socket_count("/") == 1).await;
    // A frame without a mask is against the protocol.
    stream.write_all(&[0x81, 1, b'2']).await.expect("sent");
    stream.flush().await.expect("sent");
    let mut rest = Vec::new();
    // Without close_notify this would be an error.
    within(stream.read_to_end(&mut rest)).await.expect("closed properly");
    let at = rest.iter().position(|byte| *byte == 0x88).expect("a close frame");
    assert_eq!(u16::from_be_bytes([rest[at + 2], rest[at + 3]]), 1002);
}

#[tokio::test]
async fn a_client_that_ends_tls_or_breaks_it_is_gone() {
    let secure = Secure::start();
    let server = &secure.server;
    for (breaks, reason) in
        [(false, DisconnectReason::TransportClose), (true, DisconnectReason::TransportError)]
    {
        let mut stream = secure.connect().await;
        let hello = [upgrade_request().into_bytes(), frame("40")].concat();
        stream.write_all(&hello).await.expect("sent");
        stream.flush().await.expect("sent");
        server.recorder.until(Call::Connected).await;
        match breaks {
            // Application data that nobody encrypted.
            true => stream.get_mut().0.write_all(&[0x17, 3, 3, 0, 32]).await.expect("sent"),
            false => stream.shutdown().await.expect("sent"),
        }
        if breaks {
            stream.get_mut().0.write_all(&[7; 32]).await.expect("sent");
        }
        server.recorder.until(Call::Disconnected(reason)).await;
    }
    answers(&mut join(&secure).await.0).await;
}

#[tokio::test]
async fn open_connections_stay_when_the_certificate_is_replaced() {
    let secure = Secure::start();
    let first = secure.connect().await;
    let before = shown(&first);
    let (mut old, _) = Ws::join_over(first).await;
    secure.tls.replace(secure.issue(2091));
    let second = secure.connect().await;
    assert_ne!(shown(&second), before);
    let (mut new, _) = Ws::join_over(second).await;
    answers(&mut old).await;
    answers(&mut new).await;
}

#[tokio::test]
async fn old_versions_other_protocols_and_strangers_are_refused() {
    let secure = Secure::start();
    // A ClientHello of TLS 1.1 with one cipher suite and what else the server looks at first.
    let mut hello = vec![0x16, 3, 1, 0, 57, 1, 0, 0, 53, 3, 2];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 2, 0, 0x2f, 1, 0, 0, 10, 0, 13, 0, 6, 0, 4, 4, 3, 8, 4]);
    let mut old = TcpStream::connect(secure.server.address).await.expect("connected");
    old.write_all(&hello).await.expect("sent");
    let mut answer = Vec::new();
    within(old.read_to_end(&mut answer)).await.expect("closed");
    assert_eq!((answer[0], &answer[5..]), (0x15, &[2, 70][..]), "fatal: protocol version");

    let stream = TcpStream::connect(secure.server.address).await.expect("connected");
    let refused = secure.shake_hands(stream, Version::Both, &[b"h2"]).await;
    assert_eq!(refused.expect_err("no such protocol").kind(), ErrorKind::InvalidData);

    let mut clear = TcpStream::connect(secure.server.address).await.expect("connected");
    clear.write_all(upgrade_request().as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let _ = within(clear.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"));
    answers(&mut join(&secure).await.0).await;
}

#[tokio::test]
async fn handshakes_that_never_come_disturb_nobody() {
    // One at a time, so that any turn which somebody silent took would be missed.
    let limits = TlsLimits { handshakes: 1, handshake_timeout: Duration::from_secs(600) };
    let secure = Secure::with(config(), limits, |builder| builder);
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(TcpStream::connect(secure.server.address).await.expect("connected"));
    }
    answers(&mut join(&secure).await.0).await;
    assert_eq!(secure.server.gateway.connections(), 1);
}

#[tokio::test]
async fn a_handshake_has_its_time_and_so_has_a_turn() {
    let handshake_timeout = Duration::from_millis(200);
    let limits = TlsLimits { handshakes: 1, handshake_timeout };
    let secure = Secure::with(config(), limits, |builder| builder);
    let mut silent = TcpStream::connect(secure.server.address).await.expect("connected");
    let mut half = TcpStream::connect(secure.server.address).await.expect("connected");
    half.write_all(&[0x16, 3, 1, 1, 0, 1]).await.expect("sent");
    assert_eq!(within(silent.read(&mut [0; 1])).await.expect("closed"), 0);
    // What was not read of it may reset the connection.
    assert_eq!(within(half.read(&mut [0; 1])).await.unwrap_or(0), 0);
    // The turn is free again. On a machine that is busy one handshake may take too long as well.
    within(async { while secure.connect_as(Version::V13).await.is_err() {} }).await;
}

#[tokio::test]
async fn an_address_that_leaves_its_handshakes_keeps_nobody_else_waiting() {
    let limits = TlsLimits { handshakes: 10, handshake_timeout: Duration::from_secs(600) };
    let secure = Secure::with(config(), limits, |builder| builder);
    let mut left = Vec::new();
    for _ in 0..100 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 2], 0).into()).expect("loopback");
        let mut stream = within(socket.connect(secure.server.address)).await.expect("connected");
        stream.write_all(&[0x16, 3, 1, 1, 0, 1]).await.expect("sent");
        left.push(stream);
    }
    answers(&mut join(&secure).await.0).await;
}

#[tokio::test]
async fn who_comes_back_resumes_also_after_a_new_certificate() {
    let secure = Secure::start();
    let client = std::sync::Arc::new(secure.client(Version::V13));
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
        let stream = TcpStream::connect(secure.server.address).await.expect("connected");
        let stream = shake_hands(stream, client.clone()).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
        // The ticket is read with what follows it.
        let (mut ws, _) = Ws::join_over(stream).await;
        answers(&mut ws).await;
        secure.tls.replace(secure.issue(2091));
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let limits = TlsLimits { handshake_timeout: Duration::from_secs(600), ..TlsLimits::default() };
    let mut secure = Secure::with(config(), limits, |builder| builder);
    let silent = TcpStream::connect(secure.server.address).await.expect("connected");
    // Accepted in order, so the silent one is known by now.
    let (mut ws, _) = join(&secure).await;
    secure.server.signal_stop();
    secure.server.gateway.close_all(Duration::ZERO).await;
    assert!(ws.closed().await.1.is_some());
    within(&mut secure.server.served).await.expect("no panic").expect("no error");
    drop(silent);
}

#[tokio::test]
async fn pings_and_pongs_go_through() {
    let ping_interval = Duration::from_millis(50);
    let config = Config { ping_interval, ping_timeout: Duration::from_secs(30), ..config() };
    let secure = Secure::with(config, TlsLimits::default(), |builder| builder);
    let (mut ws, _) = join(&secure).await;
    for _ in 0..3 {
        assert_eq!(ws.text().await, "2");
        ws.send("3").await;
    }
    ws.try_send(Message::Ping("x".into())).await.expect("sent");
    while !matches!(ws.message().await.expect("more"), Message::Pong(_)) {}
}

/// The same gateway could serve both; a server has one listener.
#[tokio::test]
async fn a_server_in_the_clear_understands_no_tls() {
    let server = Server::start();
    let secure = Secure::start();
    let stream = TcpStream::connect(server.address).await.expect("connected");
    assert!(secure.shake_hands(stream, Version::Both, &[]).await.is_err());
    Ws::connect(&server).await;
}
