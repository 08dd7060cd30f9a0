//! Bad requests for streams, and clients that do not read them.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::support::{Answer, Plain, Stream, TestServer, eventually, within};

async fn unharmed(server: &TestServer) {
    let mut alice = Stream::of(server, "alice", "").await;
    server.api().notify("alice", "still here").await;
    let heard = alice.wait("notification").await;
    assert_eq!(heard.data["notification"]["message"], "still here");
}

/// A request by hand. Nothing is read of the answer.
async fn raw(server: &TestServer, head: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let mut stream = within(socket.connect(server.address)).await.unwrap();
    within(stream.write_all(head.as_bytes())).await.unwrap();
    stream
}

/// The status of what is answered.
async fn status(stream: &mut TcpStream) -> String {
    let mut line = [0; 12];
    within(stream.read_exact(&mut line)).await.unwrap();
    String::from_utf8_lossy(&line[9..]).into_owned()
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_named() {
    let server = TestServer::start().await;
    let alice = server.user("alice");
    let many = (0..10_000).map(|n| format!("a:{n}")).collect::<Vec<_>>();
    let too_many = format!("rooms={}", many[..129].join(","));
    for (query, parameter) in [
        ("since=x", "since"),
        ("since=-1", "since"),
        ("since=", "since"),
        ("since=%00", "since"),
        ("since=99999999999999999999999", "since"),
        ("lastEventId=x", "Last-Event-ID"),
        ("lastEventId=1%0A", "Last-Event-ID"),
        ("device=a%20b", "device"),
        ("device=%0D%0Aevent:x", "device"),
        (&format!("device={}", "d".repeat(1_000)), "device"),
        (&too_many, "rooms"),
    ] {
        let answer = alice.get(&format!("/stream?{query}")).await;
        answer.bad_field(400, parameter, "BAD_PARAMETER");
    }
    for query in ["nonsense=1", "since=1&since=2"] {
        alice.get(&format!("/stream?{query}")).await.problem(400, "INVALID");
    }
    for id in ["x", "1, 2", "-1", "\u{e9}"] {
        let request = alice.request("GET", "/stream").header("last-event-id", id.as_bytes());
        Answer::of(request).await.bad_field(400, "Last-Event-ID", "BAD_PARAMETER");
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn a_rev_from_nowhere_starts_over() {
    let server = TestServer::start().await;
    server.api().notify("alice", "one").await;
    for since in ["5", "9223372036854775807", "18446744073709551615"] {
        let query = format!("?since={since}");
        let mut alice = Stream::open(&server, &server.token("alice"), &query).await;
        let pending = alice.wait("notifications:pending").await;
        assert_eq!((&pending.data["reset"], pending.id.as_deref()), (&json!(true), Some("1")));
    }
}

#[tokio::test]
async fn an_address_without_end_is_refused() {
    let server = TestServer::start().await;
    let many = (0..10_000).map(|n| format!("a:{n}")).collect::<Vec<_>>().join(",");
    let token = server.token("alice");
    let head = format!("GET /api/v1/stream?token={token}&rooms={many} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut stream = raw(&server, &head).await;
    assert!(["414", "431"].contains(&&*status(&mut stream).await));
    let long = "x".repeat(20_000);
    server.nobody().get(&format!("/stream?token={long}")).await.problem(401, "AUTH_FAILED");
    server.nobody().get(&format!("/stream?ticket={long}")).await.problem(401, "TICKET_INVALID");
    assert_eq!(Plain::try_open(&server, &format!("/ws?ticket={long}")).await.err(), Some(401));
    // Names that are too long are refused one by one, and cut where they are repeated.
    let query = format!("?rooms={long},post:%0A%0Adata:x");
    let mut alice = Stream::open(&server, &token, &query).await;
    for _ in 0..2 {
        let refused = alice.wait("error").await.data;
        assert_eq!(refused["code"], "INVALID_ROOM");
        assert!(refused["room"].as_str().unwrap().len() <= 128);
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn other_methods_are_refused() {
    let server = TestServer::start().await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = server.user("alice").send(method, "/stream", &json!({})).await;
        answer.problem(405, "METHOD_NOT_ALLOWED");
    }
    let head = Answer::of(server.user("alice").request("HEAD", "/stream")).await;
    assert_eq!(head.status, 405);
    for method in ["GET", "PUT", "DELETE"] {
        let answer = server.user("alice").send(method, "/stream-tickets", &json!({})).await;
        answer.problem(405, "METHOD_NOT_ALLOWED");
    }
    let answer = server.user("alice").post("/stream-tickets", &json!({ "ttl": 1e9 })).await;
    answer.json(201);
}

#[tokio::test]
async fn a_reader_that_never_reads_is_bounded_and_cut_off() {
    const BUFFER: usize = 128 << 10;
    let server = TestServer::with(|config| {
        config.gateway.send_buffer = BUFFER;
        config.gateway.slow_drain = Duration::from_secs(5);
    })
    .await;
    let token = server.token("alice");
    let head =
        format!("GET /api/v1/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut mute = raw(&server, &head).await;
    eventually(|| async { !server.state.hub.sessions_where(|_| true).is_empty() }).await;
    let one = json!({
        "to": "alice", "type": "like", "message": "m".repeat(4_000), "data": { "d": "d".repeat(4_000) },
    });
    let batch = json!(vec![one; 100]);
    let open_and_bounded = || {
        let sessions = server.state.hub.sessions_where(|_| true);
        for session in &sessions {
            assert!(session.socket.send_queue_bytes() <= BUFFER);
        }
        !sessions.is_empty()
    };
    // More than what lies between the two of them takes.
    for _ in 0..15 {
        server.api().post("/notifications", &batch).await.json(201);
        open_and_bounded();
    }
    eventually(|| async { !open_and_bounded() }).await;
    let mut read = Vec::new();
    let _ = within(mute.read_to_end(&mut read)).await;
    assert!(read.starts_with(b"HTTP/1.1 200"));
    // It comes back and is told everything.
    let mut alice = Stream::of(&server, "alice", "?since=0").await;
    server.api().notify("alice", "last").await;
    loop {
        let sent = alice.next().await.unwrap();
        let told = sent.data["notifications"].as_array().cloned().unwrap_or_default();
        let mut told = told.iter().chain(sent.data.get("notification"));
        if told.any(|notification| notification["message"] == "last") {
            break;
        }
    }
}

#[tokio::test]
async fn a_pipelined_request_waits_and_half_a_head_holds_nothing() {
    let server = TestServer::start().await;
    let token = server.token("alice");
    let head = format!("GET /api/v1/stream?token={token} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut twice = raw(&server, &format!("{head}{head}")).await;
    assert_eq!(status(&mut twice).await, "200");
    eventually(|| async { server.state.hub.sessions_where(|_| true).len() == 1 }).await;
    let _half = raw(&server, &head[..head.len() - 2]).await;
    let old = raw(&server, &head.replace("HTTP/1.1", "HTTP/1.0")).await;
    eventually(|| async { server.state.hub.sessions_where(|_| true).len() == 2 }).await;
    drop(old);
    eventually(|| async { server.state.hub.sessions_where(|_| true).len() == 1 }).await;
    unharmed(&server).await;
}
