//! Event streams, beside clients of both other kinds.

use std::net::SocketAddr;
use std::time::Duration;

use tidings_gateway::{Config, DisconnectReason, Frame, SendError, Tail, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Call, Server, Ws, config, eventually, within};

const WELCOME: &str = "event: welcome\ndata: {\"type\":\"welcome\",\"connectionId\":1}";

fn settings() -> Config {
    Config { plain_path: Some("/ws".into()), ..config() }
}

/// A client that reads events.
struct Reader {
    response: reqwest::Response,
    text: String,
}

impl Reader {
    async fn try_open(server: &Server, query: &str) -> reqwest::Response {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("http://{}/stream{query}", server.address);
        within(http.get(url).send()).await.expect("answered")
    }

    async fn open(server: &Server, query: &str) -> Self {
        let response = Self::try_open(server, query).await;
        assert_eq!(response.status(), 200);
        let mut reader = Self { response, text: String::new() };
        assert_eq!(reader.block().await.as_deref(), Some("retry: 3000"));
        assert_eq!(reader.block().await.as_deref(), Some(WELCOME));
        reader
    }

    /// Everything up to the next blank line; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = within(self.response.chunk()).await.expect("a whole body")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("whole characters"));
        }
    }
}

/// A request by hand, from a client whose receive buffer stays small.
async fn raw(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(8 << 10).expect("set");
    let mut stream = within(socket.connect(address)).await.expect("connected");
    let request = b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    stream
}

#[tokio::test]
async fn one_broadcast_reaches_clients_of_all_kinds() {
    let server = Server::plain(settings());
    let mut stream = Reader::open(&server, "?room=red").await;
    let mut plain = Ws::plain(&server, "/ws").await;
    plain.text().await;
    plain.send(r#"{"type":"join","room":"red"}"#).await;
    plain.text().await;
    let (mut socketio, _) = Ws::connect(&server).await;
    socketio.send("42[\"join\",\"red\"]").await;
    socketio.text().await;
    let red = server.gateway.to("/", Target::rooms(&["red"]));
    assert_eq!(red.emit(&Frame::event("n", &["{\n\"a\":1}"]).marked(5)), 3);
    let headed = Frame::event_with_head("note", r#"{"seq":1,"#, &Tail::new("\"b\":\n2}"));
    assert_eq!(red.emit(&headed), 3);
    let expected = "id: 5\nevent: n\ndata: {\"type\":\"n\", \"a\":1}";
    assert_eq!(stream.block().await.as_deref(), Some(expected));
    let expected = "event: note\ndata: {\"type\":\"note\",\"seq\":1,\"b\": 2}";
    assert_eq!(stream.block().await.as_deref(), Some(expected));
    assert_eq!(plain.text().await, "{\"type\":\"n\",\n\"a\":1}");
    assert_eq!(plain.text().await, "{\"type\":\"note\",\"seq\":1,\"b\": 2}");
    assert_eq!(socketio.text().await, "42[\"n\",{\n\"a\":1}]");
    let socket = server.gateway.members("/", "red").into_iter().find(|s| s.is_stream());
    assert_eq!(socket.expect("in the room").transport(), "sse");
}

#[tokio::test]
async fn comments_show_that_the_stream_lives_and_nobody_has_to_answer() {
    let ping = Duration::from_millis(30);
    let server = Server::plain(Config { ping_interval: ping, ping_timeout: ping, ..settings() });
    let mut reader = Reader::open(&server, "").await;
    for _ in 0..5 {
        assert_eq!(reader.block().await.as_deref(), Some(": ping"));
    }
    assert_eq!(server.gateway.socket_count("/"), 1);
}

#[tokio::test]
async fn a_client_that_goes_is_noticed() {
    let server = Server::plain(settings());
    let reader = Reader::open(&server, "?room=red").await;
    assert_eq!((server.gateway.connections(), server.gateway.member_count("/", "red")), (1, 1));
    drop(reader);
    assert_eq!(server.call().await, Call::Disconnected(DisconnectReason::TransportClose));
    eventually(|| server.gateway.connections() == 0).await;
    assert_eq!((server.gateway.room_count("/"), server.gateway.send_buffered_bytes()), (0, 0));
}

#[tokio::test]
async fn what_waits_is_bounded_and_who_never_reads_is_cut_off() {
    let limit = 64 << 10;
    let drain = Duration::from_millis(200);
    let server = Server::plain(Config { send_buffer: limit, slow_drain: drain, ..settings() });
    let mut stream = raw(server.address).await;
    eventually(|| server.gateway.socket_count("/") == 1).await;
    let socket = server.gateway.sockets("/").remove(0);
    let frame = Frame::event("n", &[&format!("\"{}\"", "x".repeat(10_000))]);
    // hyper and the kernel take some; what they leave is bounded.
    within(async {
        while socket.emit(&frame) != Err(SendError::Full) {
            assert!(socket.send_queue_bytes() <= limit);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.call().await, Call::Overflowed);
    assert_eq!(server.call().await, Call::Disconnected(DisconnectReason::SlowConsumer));
    // The whole connection has gone, not only the session.
    let mut read = Vec::new();
    let _ = within(stream.read_to_end(&mut read)).await;
    assert!(!read.ends_with(b"0\r\n\r\n"), "no proper end");
    eventually(|| server.gateway.send_buffered_bytes() == 0).await;
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn who_reads_late_gets_all_that_was_taken_in_order() {
    let settings = Config { send_buffer: 64 << 10, ..settings() };
    let server = Server::plain(settings);
    let mut stream = raw(server.address).await;
    eventually(|| server.gateway.socket_count("/") == 1).await;
    let socket = server.gateway.sockets("/").remove(0);
    let mut taken = 0;
    within(async {
        let large = format!("\"{}\"", "x".repeat(10_000));
        while socket.emit(&Frame::event(&format!("n{taken}"), &[&large])).is_ok() {
            taken += 1;
            tokio::task::yield_now().await;
        }
    })
    .await;
    let last = format!("event: n{}\n", taken - 1);
    let mut read = Vec::new();
    within(async {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&read[read.len().saturating_sub(8192)..]).contains(&last) {
            let count = stream.read(&mut buffer).await.expect("readable");
            assert!(count > 0, "ended early");
            read.extend_from_slice(&buffer[..count]);
        }
    })
    .await;
    let text = String::from_utf8_lossy(&read).into_owned();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: n")).collect();
    assert_eq!(names, (0..taken).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_drain_lets_streams_end_properly() {
    let mut server = Server::plain(settings());
    let mut reader = Reader::open(&server, "").await;
    let _mute = raw(server.address).await;
    eventually(|| server.gateway.socket_count("/") == 2).await;
    let everyone = server.gateway.to("/", Target::all());
    everyone.emit(&Frame::event("server:shutdown", &["{}"]).with_retry(70));
    let gateway = server.gateway.clone();
    let closing = tokio::spawn(async move { gateway.close_all(Duration::ZERO).await });
    let goodbye = "retry: 70\nevent: server:shutdown\ndata: {\"type\":\"server:shutdown\"}";
    assert_eq!(reader.block().await.as_deref(), Some(goodbye));
    assert_eq!(reader.block().await, None);
    within(closing).await.expect("closed");
    assert_eq!(Reader::try_open(&server, "").await.status(), 503);
    server.signal_stop();
    within(server.served).await.expect("no panic").expect("ended");
}

#[tokio::test]
async fn streams_count_as_connections() {
    let server = Server::plain(Config { max_connections: 2, saturation: 1.0, ..settings() });
    let _first = Reader::open(&server, "").await;
    let (_second, _) = Ws::connect(&server).await;
    assert_eq!(Reader::try_open(&server, "").await.status(), 503);
}
