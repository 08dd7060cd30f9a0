//! Plain WebSocket clients beside those of Socket.IO.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;
use parking_lot::Mutex;
use tidings_gateway::{
    Admission, Config, DisconnectReason, Frame, Guard, Metrics, PlainError, Rejection, Tail, Target,
};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{Call, Server, Ws, config, eventually, within};

const READY: &str = r#"{"type":"ready","args":[]}"#;

fn settings() -> Config {
    Config { plain_path: Some("/ws".into()), ..config() }
}

async fn member(server: &Server, rooms: &[&str]) -> Ws {
    let mut ws = Ws::plain(server, "/ws").await;
    assert_eq!(ws.told().await, r#"{"type":"welcome","connectionId":1}"#);
    ws.send(r#"{"type":"auth"}"#).await;
    assert_eq!(ws.told().await, READY);
    for room in rooms {
        ws.send(&format!(r#"{{"type":"join","room":"{room}"}}"#)).await;
        assert_eq!(ws.told().await, r#"{"type":"joined"}"#);
    }
    ws
}

fn close_code(closed: &(Vec<String>, Option<impl Into<Close> + Clone>)) -> Option<u16> {
    closed.1.clone().map(|close| close.into().0)
}

struct Close(u16);

impl From<tokio_tungstenite::tungstenite::protocol::CloseFrame> for Close {
    fn from(frame: tokio_tungstenite::tungstenite::protocol::CloseFrame) -> Self {
        Self(frame.code.into())
    }
}

#[tokio::test]
async fn one_broadcast_reaches_clients_of_both_kinds() {
    let server = Server::plain(settings());
    let mut plain = Vec::new();
    let mut socketio = Vec::new();
    for n in 0..50 {
        let rooms: &[&str] = if n % 2 == 0 { &["red"] } else { &["blue"] };
        plain.push(member(&server, rooms).await);
        let (mut ws, _) = Ws::connect(&server).await;
        ws.send(&format!("42[\"join\",\"{}\"]", rooms[0])).await;
        assert_eq!(ws.text().await, "42[\"joined\"]");
        socketio.push(ws);
    }
    assert_eq!(server.gateway.socket_count("/"), 100);
    assert_eq!(server.gateway.member_count("/", "red"), 50);
    let update = Frame::event("task:update", &[r#"{"taskId":7}"#]);
    let tail = Tail::new(r#""body":"shared"}"#);
    let note = Frame::event_with_head("note", r#"{"seq":1,"#, &tail);
    assert_eq!(server.gateway.to("/", Target::all()).emit(&update), 100);
    assert_eq!(server.gateway.to("/", Target::rooms(&["red"])).emit(&note), 50);
    assert_eq!(server.gateway.to("/", Target::all().except(&["blue"])).emit(&update), 50);
    for (n, ws) in plain.iter_mut().enumerate() {
        assert_eq!(ws.text().await, r#"{"type":"task:update","taskId":7}"#);
        if n % 2 == 0 {
            assert_eq!(ws.text().await, r#"{"type":"note","seq":1,"body":"shared"}"#);
            assert_eq!(ws.text().await, r#"{"type":"task:update","taskId":7}"#);
        }
    }
    for (n, ws) in socketio.iter_mut().enumerate() {
        assert_eq!(ws.text().await, r#"42["task:update",{"taskId":7}]"#);
        if n % 2 == 0 {
            assert_eq!(ws.text().await, r#"42["note",{"seq":1,"body":"shared"}]"#);
            assert_eq!(ws.text().await, r#"42["task:update",{"taskId":7}]"#);
        }
    }
    drop(plain);
    eventually(|| server.gateway.socket_count("/") == 50).await;
    assert_eq!(server.gateway.member_count("/", "red"), 25);
}

#[tokio::test]
async fn a_socket_answers_for_itself() {
    let server = Server::plain(settings());
    let mut ws = member(&server, &["red"]).await;
    let socket = server.gateway.members("/", "red").pop().expect("a member");
    assert!(socket.is_plain() && socket.is_connected());
    assert_eq!((socket.transport(), socket.rooms()), ("ws", vec!["red".to_owned()]));
    assert_eq!(&*socket.handshake().path, "/ws");
    assert!(server.gateway.socket("/", socket.id()).is_some());
    socket.set_data(Arc::new(7_u8));
    assert_eq!(socket.data::<u8>().as_deref(), Some(&7));
    socket.emit(&Frame::event("own", &["1"])).expect("open");
    assert_eq!(ws.text().await, r#"{"type":"own","args":[1]}"#);
    let asked = socket.emit_with_ack("question", &[], Duration::from_secs(1)).await;
    assert_eq!(asked.map(|_| ()), Err(tidings_gateway::AckError::Closed));
    let mut other = Ws::connect(&server).await.0;
    other.send("42[\"message\"]").await;
    assert_eq!(other.text().await, "42[\"message-back\"]", "unharmed by the one beside it");
}

#[tokio::test]
async fn bad_messages_are_told_and_forgiven() {
    let server = Server::plain(settings());
    let mut ws = member(&server, &[]).await;
    assert!(matches!(server.call().await, Call::Message(kind, _) if kind == "auth"));
    for (text, error) in [
        ("", PlainError::Malformed),
        ("{", PlainError::Malformed),
        ("[1]", PlainError::NotAnObject),
        ("\"auth\"", PlainError::NotAnObject),
        ("{}", PlainError::NoType),
        (r#"{"type":{}}"#, PlainError::NoType),
    ] {
        ws.send(text).await;
        assert_eq!(server.call().await, Call::Bad(error), "{text}");
        assert!(ws.text().await.starts_with(r#"{"type":"error","message":"#));
    }
    ws.send_binary(b"{\"type\":\"auth\"}").await;
    assert_eq!(server.call().await, Call::Bad(PlainError::Binary));
    ws.text().await;
    ws.send(r#"{"type":"any","x":[1]}"#).await;
    let body = r#"{"type":"any","x":[1]}"#.to_owned();
    assert_eq!(server.call().await, Call::Message("any".into(), body));
}

#[tokio::test]
async fn violations_close_with_their_code() {
    let server = Server::plain(Config { max_payload: 1000, ..settings() });
    let mut ws = member(&server, &[]).await;
    ws.send(&format!(r#"{{"type":"any","x":"{}"}}"#, "x".repeat(1000))).await;
    assert_eq!(close_code(&ws.closed().await), Some(1009));
    // Frames by hand: with mask bit and a mask of zeros, so the payload is as it is.
    for (frame, code) in [
        (&[0x81_u8, 0x82, 0, 0, 0, 0, 0xff, 0xff][..], 1007),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0xc1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x02, b'{', b'}'], 1002),
    ] {
        let mut raw = Ws::plain_raw(&server, "/ws").await;
        raw.send(frame).await;
        assert_eq!(raw.close_code().await, code, "{frame:x?}");
    }
    let mut ws = member(&server, &[]).await;
    server.recorder.drain().await;
    ws.send(r#"{"type":"panic"}"#).await;
    assert_eq!(close_code(&ws.closed().await), Some(1011));
    assert_eq!(server.call().await, Call::Disconnected(DisconnectReason::ServerError));
}

#[tokio::test]
async fn both_sides_can_close() {
    let server = Server::plain(settings());
    let mut ws = member(&server, &[]).await;
    ws.send(r#"{"type":"close","reason":"enough"}"#).await;
    let (_, close) = ws.closed().await;
    let close = close.expect("a close frame");
    assert_eq!((u16::from(close.code), &*close.reason), (4000, "enough"));
    let mut ws = member(&server, &[]).await;
    server.recorder.drain().await;
    ws.send(r#"{"type":"leave-me"}"#).await;
    assert_eq!(close_code(&ws.closed().await), Some(1000));
    server.recorder.until(Call::Disconnected(DisconnectReason::ServerDisconnect)).await;
    member(&server, &[]).await.close().await;
    server.recorder.until(Call::Disconnected(DisconnectReason::TransportClose)).await;
    eventually(|| server.gateway.connections() == 0).await;
    assert_eq!(server.gateway.socket_count("/"), 0);
}

#[tokio::test]
async fn who_says_not_in_time_who_it_is_is_closed() {
    let server = Server::plain(Config { auth_timeout: Duration::from_secs(2), ..settings() });
    let mut silent = Ws::plain(&server, "/ws").await;
    let mut known = member(&server, &[]).await;
    assert_eq!(server.gateway.to("/", Target::all()).emit(&Frame::event("secret", &[])), 1);
    let closed = silent.closed().await;
    assert_eq!(closed.0, [r#"{"type":"welcome","connectionId":1}"#], "and nothing for all");
    assert_eq!(close_code(&closed), Some(4401));
    server.recorder.until(Call::Disconnected(DisconnectReason::ConnectTimeout)).await;
    assert_eq!(known.text().await, r#"{"type":"secret","args":[]}"#);
    // One that came later runs out of its time: so would the known one have.
    Ws::plain(&server, "/ws").await.closed().await;
    known.send(r#"{"type":"auth"}"#).await;
    assert_eq!(known.text().await, READY, "the known one may stay, and may say it twice");
    assert_eq!(server.gateway.socket_count("/"), 1);
}

#[tokio::test]
async fn pings_keep_the_living_and_find_the_dead() {
    let (interval, timeout) = (Duration::from_millis(100), Duration::from_secs(4));
    let config = Config { ping_interval: interval, ping_timeout: timeout, ..settings() };
    let server = Server::plain(config);
    let mut ws = member(&server, &[]).await;
    for _ in 0..6 {
        // Reading answers it.
        assert!(matches!(ws.message().await, Some(Message::Ping(payload)) if payload.is_empty()));
    }
    ws.send(r#"{"type":"auth"}"#).await;
    while ws.message().await.expect("open") != Message::text(READY) {}
    // From here on nobody reads, so nobody answers.
    server.recorder.until(Call::Disconnected(DisconnectReason::PingTimeout)).await;
}

#[tokio::test]
async fn the_endpoint_is_where_it_is() {
    let server = Server::plain(settings());
    let mut ws = Ws::plain(&server, "/").await;
    assert!(ws.text().await.contains("welcome"));
    let mut ws = Ws::plain(&server, "/ws?token=x&sid=y").await;
    assert!(ws.text().await.contains("welcome"));
    let get = async |path: &str| {
        let url = format!("http://{}{path}", server.address);
        within(reqwest::get(url)).await.expect("answered")
    };
    let page = get("/").await;
    assert_eq!(within(page.text()).await.expect("text"), "fallback / true");
    let refused = get("/ws").await;
    assert_eq!(refused.status(), 426);
    assert_eq!(refused.headers()["upgrade"], "websocket");
    assert!(within(get("/wsx").await.text()).await.expect("text").starts_with("fallback"));
    for without in [Server::start(), Server::plain(config())] {
        assert!(Ws::try_plain(without.address, "/ws").await.is_err());
        assert!(Ws::try_plain(without.address, "/").await.is_err());
    }
}

#[derive(Default)]
struct Watch {
    asked: Mutex<Vec<(String, bool)>>,
    counted: Mutex<Vec<String>>,
}

impl Guard for Watch {
    fn check(
        &self,
        parts: &Parts,
        peer: std::net::SocketAddr,
        handshake: bool,
    ) -> Result<Admission, Rejection> {
        self.asked.lock().push((parts.uri.path().to_owned(), handshake));
        match parts.uri.query() {
            Some("no") => Err(Rejection::json(StatusCode::FORBIDDEN, "{}")),
            _ => Ok(Admission::new(peer.ip())),
        }
    }
}

impl Metrics for Watch {
    fn connected(&self, transport: &str) {
        self.counted.lock().push(format!("+{transport}"));
    }

    fn disconnected(&self, transport: &str, _: DisconnectReason) {
        self.counted.lock().push(format!("-{transport}"));
    }
}

#[tokio::test]
async fn it_is_guarded_counted_and_bounded_like_the_others() {
    let watch = Arc::new(Watch::default());
    let config = Config { max_connections: 2, saturation: 1.0, ..settings() };
    let server =
        Server::plain_with(config, |builder| builder.guard(watch.clone()).metrics(watch.clone()));
    let refused = |result: Result<Ws, Error>| match result {
        Err(Error::Http(response)) => response.status().as_u16(),
        _ => 0,
    };
    assert_eq!(refused(Ws::try_plain(server.address, "/ws?no").await), 403);
    let one = member(&server, &[]).await;
    let _two = Ws::connect(&server).await;
    assert_eq!(server.gateway.connections(), 2);
    assert_eq!(refused(Ws::try_plain(server.address, "/ws").await), 503);
    assert!(watch.asked.lock().iter().filter(|(path, _)| path == "/ws").all(|(_, first)| *first));
    one.close().await;
    eventually(|| server.gateway.connections() == 1).await;
    eventually(|| *watch.counted.lock() == ["+ws", "+websocket", "-ws"]).await;
}

#[tokio::test]
async fn a_drain_closes_them_too() {
    let server = Server::plain(settings());
    let mut ws = member(&server, &[]).await;
    let reading = tokio::spawn(async move { close_code(&ws.closed().await) });
    within(server.gateway.close_all(Duration::ZERO)).await;
    assert_eq!(within(reading).await.expect("no panic"), Some(1001));
    server.recorder.until(Call::Disconnected(DisconnectReason::Shutdown)).await;
}

#[tokio::test]
async fn who_does_not_read_overflows_and_is_closed() {
    let slow_drain = Duration::from_millis(300);
    let server = Server::plain(Config { send_buffer: 100_000, slow_drain, ..settings() });
    let _ws = member(&server, &["red"]).await;
    let big = format!("{{\"x\":\"{}\"}}", "x".repeat(50_000));
    let frame = Frame::event("big", &[&big]);
    let socket = server.gateway.members("/", "red").pop().expect("a member");
    while socket.emit(&frame).is_ok() {
        assert!(socket.send_queue_bytes() <= 160_000);
    }
    let calls = server.recorder.until(Call::Disconnected(DisconnectReason::SlowConsumer)).await;
    assert!(calls.contains(&Call::Overflowed));
}

#[tokio::test]
async fn who_reads_again_is_told_what_to_do() {
    let server = Server::plain(Config { send_buffer: 100_000, ..settings() });
    let mut ws = member(&server, &["red"]).await;
    server.recorder.drain().await;
    let big = format!("{{\"x\":\"{}\"}}", "x".repeat(50_000));
    let frame = Frame::event("big", &[&big]);
    let mut sent = 0;
    while server.gateway.to("/", Target::rooms(&["red"])).emit(&frame) == 1 {
        sent += 1;
    }
    assert_eq!(server.call().await, Call::Overflowed);
    for _ in 0..sent {
        assert!(ws.text().await.starts_with(r#"{"type":"big","x":"#));
    }
    assert_eq!(server.call().await, Call::Drained);
    assert_eq!(server.gateway.to("/", Target::all()).emit(&frame), 1);
}
