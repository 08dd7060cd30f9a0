//! Requests that come in a bunch, and what leaves together.

use std::time::Duration;

use tidings_gateway::{Config, Frame};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Poller, Secure, Server, config, frame, large, narrow, within};

const WEBSOCKET: &str = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// No ping comes in between.
fn settings() -> Config {
    Config { ping_interval: Duration::from_secs(3600), ..config() }
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")
}

/// Reads what is sent until it ends so.
async fn until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(end.as_bytes()) {
        seen.push(within(stream.read_u8()).await.expect("more"));
    }
    String::from_utf8_lossy(&seen).into_owned()
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), parts: &[&[u8]]) {
    stream.write_all(&parts.concat()).await.expect("sent");
    stream.flush().await.expect("sent");
}

async fn clear(server: &Server) -> TcpStream {
    within(TcpStream::connect(server.address)).await.expect("connected")
}

async fn answers_and_a_poll(
    server: &Server,
    http: reqwest::Client,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) {
    let poller = Poller::connect_with(server, http).await;
    let path = poller.url.split_once("/socket.io").expect("a path").1;
    let poll = get(&format!("/socket.io{path}"), "");
    let bunch = [get("/a", ""), get("/b", ""), poll, get("/c", "")];
    send(&mut stream, &bunch.each_ref().map(String::as_bytes)).await;
    let seen = until(&mut stream, "fallback /b true").await;
    assert!(seen.contains("fallback /a true"), "{seen}");
    server.gateway.sockets("/").remove(0).emit(&Frame::event("n", &["1"])).expect("sent");
    let seen = until(&mut stream, "fallback /c true").await;
    assert!(seen.contains("\r\n\r\n42[\"n\",1]HTTP/1.1 200 OK\r\n"), "{seen}");
}

#[tokio::test]
async fn answers_do_not_wait_for_a_slow_one_behind_them() {
    let server = Server::with(settings());
    answers_and_a_poll(&server, reqwest::Client::new(), clear(&server).await).await;
    let secure = Secure::with(settings(), Default::default(), |builder| builder);
    answers_and_a_poll(&secure.server, secure.http(), secure.connect().await).await;
}

async fn answers_and_a_websocket(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let path = "/socket.io/?EIO=4&transport=websocket";
    let (before, upgrade) = (get("/a", ""), get(path, WEBSOCKET));
    let (connect, event) = (frame(0x81, b"40"), frame(0x81, b"42[\"message\",7]"));
    send(&mut stream, &[before.as_bytes(), upgrade.as_bytes(), &connect, &event]).await;
    let seen = until(&mut stream, "42[\"message-back\",7]").await;
    let at = |text: &str| seen.find(text).unwrap_or_else(|| panic!("no {text} in {seen}"));
    let head = "fallback /a trueHTTP/1.1 101 Switching Protocols\r\n";
    let order = [head, "0{\"sid\":", "40{\"sid\":", "42[\"message-back\",7]"].map(at);
    assert!(order.is_sorted(), "{seen}");
}

#[tokio::test]
async fn an_upgrade_comes_behind_answers_and_before_what_was_sent_with_it() {
    let server = Server::with(settings());
    answers_and_a_websocket(clear(&server).await).await;
    let secure = Secure::with(settings(), Default::default(), |builder| builder);
    answers_and_a_websocket(secure.connect().await).await;
}

#[tokio::test]
async fn an_upgrade_comes_behind_a_request_that_took_all_of_a_turn() {
    let server = Server::with(settings());
    let mut stream = clear(&server).await;
    let upgrade = get("/socket.io/?EIO=4&transport=websocket", WEBSOCKET);
    send(&mut stream, &[get("/greedy", "").as_bytes(), upgrade.as_bytes(), &frame(0x81, b"40")])
        .await;
    let seen = until(&mut stream, "\"}").await;
    assert!(seen.contains("40{\"sid\":"), "{seen}");
}

async fn half_closed(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let upgrade = get("/socket.io/?EIO=4&transport=websocket", WEBSOCKET);
    send(&mut stream, &[upgrade.as_bytes(), &frame(0x81, b"40")]).await;
    stream.shutdown().await.expect("closed");
    let mut seen = Vec::new();
    within(stream.read_to_end(&mut seen)).await.expect("read");
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.starts_with("HTTP/1.1 101 "), "{seen}");
    assert!(seen.contains("0{\"sid\":"), "{seen}");
}

#[tokio::test]
async fn who_has_closed_its_half_is_still_answered() {
    let server = Server::with(settings());
    half_closed(clear(&server).await).await;
    let secure = Secure::with(settings(), Default::default(), |builder| builder);
    half_closed(secure.connect().await).await;
}

#[tokio::test]
async fn a_probe_may_come_with_its_request() {
    let server = Server::with(settings());
    let poller = Poller::connect(&server).await;
    let path = format!("/socket.io/?EIO=4&transport=websocket&sid={}", poller.sid());
    let mut stream = clear(&server).await;
    let upgrade = get(&path, WEBSOCKET);
    send(&mut stream, &[upgrade.as_bytes(), &frame(0x81, b"2probe")]).await;
    let seen = until(&mut stream, "3probe").await;
    assert!(seen.starts_with("HTTP/1.1 101 "), "{seen}");
    let (moved, event) = (frame(0x81, b"5"), frame(0x81, b"42[\"message\",1]"));
    send(&mut stream, &[&moved, &event]).await;
    until(&mut stream, "42[\"message-back\",1]").await;
}

#[tokio::test]
async fn events_of_a_stream_behind_other_answers_leave_at_once() {
    let server = Server::plain(settings());
    let mut stream = clear(&server).await;
    let bunch = [get("/a", ""), get("/stream", "")];
    send(&mut stream, &bunch.each_ref().map(String::as_bytes)).await;
    let seen = until(&mut stream, "\"connectionId\":1}\n\n").await;
    assert!(seen.contains("fallback /a true"), "{seen}");
    let socket = server.gateway.sockets("/").remove(0);
    for n in 0..3 {
        socket.emit(&Frame::event("n", &[&format!("{{\"n\":{n}}}")])).expect("sent");
        until(&mut stream, &format!("\"n\":{n}}}\n\n")).await;
    }
}

#[tokio::test]
async fn who_reads_slowly_gets_all_of_large_answers() {
    let server = Server::with(settings());
    let mut stream = narrow(&server).await;
    let bunch = [
        get("/a", ""),
        get("/large", ""),
        get("/b", ""),
        get("/large", ""),
        get("/c", "connection: close\r\n"),
    ];
    send(&mut stream, &bunch.each_ref().map(String::as_bytes)).await;
    let mut seen = Vec::new();
    let mut chunk = [0; 10_000];
    loop {
        // The server has all the time to fill what there is.
        tokio::task::yield_now().await;
        match within(stream.read(&mut chunk)).await.expect("read") {
            0 => break,
            count => seen.extend_from_slice(&chunk[..count]),
        }
    }
    let large = large();
    let mut rest = &seen[..];
    for body in [&b"fallback /a true"[..], &large, b"fallback /b true", &large, b"fallback /c true"]
    {
        let head = rest.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
        assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(rest[head..].starts_with(body));
        rest = &rest[head + body.len()..];
    }
    assert!(rest.is_empty());
}
