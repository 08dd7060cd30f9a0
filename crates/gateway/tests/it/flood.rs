//! Clients that do as much harm as they can, or as little as they can for as long as they can. Each kind is bounded, and
//! meanwhile an ordinary client gets its events and its answers, one by one and in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tidings_gateway::{AckError, Config, DisconnectReason, Frame, Metrics, Socket};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{
    Call, Poller, Server, Ws, config, eventually, frame, narrow, raw, read_only, within,
};

/// Attackers of a kind, beside each other.
const ATTACKERS: usize = 4;
/// Events and questions of the ordinary client while it goes on.
const SERVED: usize = 25;

/// No ping of ours comes in between.
fn calm() -> Config {
    Config { ping_interval: Duration::from_secs(600), ..config() }
}

/// An ordinary client.
struct Bystander {
    ws: Ws,
    socket: Arc<Socket>,
    count: usize,
}

impl Bystander {
    async fn new(server: &Server) -> Self {
        let (ws, id) = Ws::connect(server).await;
        let socket = server.gateway.socket("/", &id).expect("connected");
        Self { ws, socket, count: 0 }
    }

    /// Gets an event, asks for something, and gets the answer.
    async fn is_served(&mut self) {
        let n = self.count;
        self.count += 1;
        self.socket.emit(&Frame::event("n", &[&n.to_string()])).expect("taken");
        assert_eq!(self.event().await, format!("42[\"n\",{n}]"));
        self.ws.send(&format!("42[\"message\",{n}]")).await;
        assert_eq!(self.event().await, format!("42[\"message-back\",{n}]"));
    }

    /// The next event. Pings are answered, as clients do.
    async fn event(&mut self) -> String {
        loop {
            match self.ws.text().await {
                ping if ping == "2" => self.ws.send("3").await,
                event => return event,
            }
        }
    }

    async fn is_served_while(&mut self, mut goes_on: impl FnMut() -> bool) {
        within(async {
            while goes_on() {
                self.is_served().await;
            }
        })
        .await;
    }
}

/// Sends the same again and again until the server ends it. Nothing is read.
async fn flood(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    while stream.write_all(bytes).await.is_ok() {}
}

/// Attackers that write `bytes` for as long as they may; what they are answered is read, or it is not.
async fn attackers(server: &Server, bytes: Vec<u8>, reads: bool) -> JoinSet<()> {
    let mut attack = JoinSet::new();
    for _ in 0..ATTACKERS {
        let (reading, mut writing) = raw(server).await.into_split();
        let bytes = bytes.clone();
        attack.spawn(async move {
            tokio::join!(flood(&mut writing, &bytes), async {
                if reads {
                    read_only(reading).await;
                }
            });
        });
    }
    attack
}

#[derive(Default)]
struct Counts {
    half_open_cut: AtomicUsize,
    overflowed: AtomicUsize,
}

impl Metrics for Counts {
    fn half_open_cut(&self) {
        self.half_open_cut.fetch_add(1, Ordering::Relaxed);
    }

    fn overflowed(&self) {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
    }
}

const AT_ONCE: usize = 32;

#[tokio::test]
async fn thousands_of_half_open_connections_cut_one_another() {
    half_open_connections_cut_one_another(Config { half_open: AT_ONCE, ..calm() }).await;
}

#[tokio::test]
async fn half_open_connections_cut_one_another_when_files_run_out() {
    // One of them is the bystander's.
    half_open_connections_cut_one_another(Config { sockets: AT_ONCE + 1, ..calm() }).await;
}

async fn half_open_connections_cut_one_another(config: Config) {
    let counts = Arc::new(Counts::default());
    let server = Server::build(config, |builder| builder.metrics(counts.clone()));
    let mut bystander = Bystander::new(&server).await;
    let mut waiting = Vec::new();
    for wave in 0..40 {
        for n in 0..50 {
            let mut stream = within(TcpStream::connect(server.address)).await.expect("connected");
            if n % 2 == 0 {
                // It may be cut already.
                let _ = stream.write_all(b"GET /socket.io/?EIO=4 HTTP/1.1\r\nhost: ").await;
            }
            waiting.push(stream);
        }
        bystander.is_served().await;
        // A client that means it gets in between them.
        let (newcomer, _) = Ws::connect(&server).await;
        newcomer.close().await;
        let gone = waiting.len() - AT_ONCE;
        for mut stream in waiting.drain(..gone) {
            let end = within(stream.read(&mut [0; 1])).await;
            assert!(matches!(end, Ok(0) | Err(_)), "wave {wave}");
        }
    }
    assert!(counts.half_open_cut.load(Ordering::Relaxed) >= 2_000 - AT_ONCE);
    bystander.is_served().await;
}

#[tokio::test]
async fn heads_that_come_byte_by_byte_are_cut_off_in_time() {
    let server = Server::with(Config { header_read_timeout: Duration::from_secs(3), ..calm() });
    let mut bystander = Bystander::new(&server).await;
    let mut attack = JoinSet::new();
    for _ in 0..20 {
        let mut stream = within(TcpStream::connect(server.address)).await.expect("connected");
        attack.spawn(async move {
            stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.expect("sent");
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            while stream.write_all(b"y").await.is_ok() {
                pace.tick().await;
            }
        });
    }
    bystander
        .is_served_while(|| {
            while attack.try_join_next().is_some() {}
            !attack.is_empty()
        })
        .await;
}

#[tokio::test]
async fn one_that_reads_byte_by_byte_is_bounded_and_closed() {
    const LIMIT: usize = 64 << 10;
    let server = Server::with(Config {
        send_buffer: LIMIT,
        slow_drain: Duration::from_millis(300),
        ..calm()
    });
    let mut bystander = Bystander::new(&server).await;
    let mut stream = narrow(&server).await;
    let hello = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(hello.as_bytes()).await.expect("sent");
    stream.write_all(&frame(0x81, b"40")).await.expect("sent");
    eventually(|| server.gateway.socket_count("/") == 2).await;
    let id = bystander.socket.id().to_owned();
    let sockets = server.gateway.sockets("/");
    let slow = sockets.iter().find(|socket| socket.id() != id).expect("the other");
    let reading = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        while matches!(stream.read(&mut [0; 1]).await, Ok(1)) {
            pace.tick().await;
        }
    });
    let event = Frame::event("large", &[&format!("\"{}\"", "x".repeat(10_000))]);
    bystander
        .is_served_while(|| {
            let _ = slow.emit(&event);
            assert!(server.gateway.send_buffered_bytes() <= LIMIT);
            slow.is_connected()
        })
        .await;
    server.recorder.until(Call::Disconnected(DisconnectReason::SlowConsumer)).await;
    reading.abort();
    bystander.is_served().await;
}

#[tokio::test]
async fn a_flood_of_pings_keeps_nobody_waiting() {
    let counts = Arc::new(Counts::default());
    let settings = Config { send_buffer: 64 << 10, ..calm() };
    let server = Server::build(settings, |builder| builder.metrics(counts.clone()));
    let mut bystander = Bystander::new(&server).await;
    let pings = frame(0x89, &[0; 125]).repeat(1_000);
    let mut readers = attackers(&server, pings.clone(), true).await;
    let mut mute = attackers(&server, pings, false).await;
    for _ in 0..SERVED {
        bystander.is_served().await;
        assert!(server.gateway.send_buffered_bytes() <= (2 * ATTACKERS + 1) * (80 << 10));
    }
    assert!(readers.try_join_next().is_none(), "who reads its pongs may go on");
    // Who reads nothing is closed, and told apart.
    within(async { while mute.join_next().await.is_some() {} }).await;
    server.recorder.until(Call::Disconnected(DisconnectReason::SlowConsumer)).await;
    assert!(counts.overflowed.load(Ordering::Relaxed) <= ATTACKERS);
}

#[tokio::test]
async fn a_flood_of_tiny_fragments_keeps_nobody_waiting() {
    let server = Server::with(Config { max_payload: 100_000, ..calm() });
    let mut bystander = Bystander::new(&server).await;
    // Messages that are allowed, in fragments of one byte and of none.
    let text = br#"42["ignored",""#;
    let mut allowed = frame(0x01, text);
    for _ in 0..10_000 {
        allowed.extend(frame(0x00, b"x"));
        allowed.extend(frame(0x00, b""));
    }
    allowed.extend(frame(0x80, b"\"]"));
    let mut attack = attackers(&server, allowed, true).await;
    // And one that never ends: it is closed when it is too long.
    let mut endless = raw(&server).await;
    endless.write_all(&frame(0x01, b"4")).await.expect("sent");
    let empty = frame(0x00, b"x").repeat(1_000);
    tokio::join!(flood(&mut endless, &empty), async {
        for _ in 0..SERVED {
            bystander.is_served().await;
        }
    });
    assert!(attack.try_join_next().is_none());
}

#[tokio::test]
async fn a_flood_of_joins_and_leaves_keeps_nobody_waiting() {
    let server = Server::with(calm());
    let mut bystander = Bystander::new(&server).await;
    let mut joins = Vec::new();
    for n in 0..100 {
        joins.extend(frame(0x81, b"40/custom,"));
        joins.extend(frame(0x81, b"40/unknown,"));
        joins.extend(frame(0x81, format!("42[\"join\",\"r{n}\"]").as_bytes()));
        joins.extend(frame(0x81, format!("42[\"leave\",\"r{n}\"]").as_bytes()));
        joins.extend(frame(0x81, b"41/custom,"));
    }
    let mut attack = attackers(&server, joins, true).await;
    for _ in 0..SERVED {
        bystander.is_served().await;
        assert!(server.gateway.socket_count("/custom") <= ATTACKERS);
        assert!(server.gateway.room_count("/") <= ATTACKERS + 1);
    }
    attack.shutdown().await;
    eventually(|| server.gateway.connections() == 1).await;
    assert_eq!((server.gateway.room_count("/"), server.gateway.socket_count("/custom")), (0, 0));
}

#[tokio::test]
async fn a_flood_of_megabytes_waits_for_its_handler_and_keeps_nobody_waiting() {
    let server = Server::with(calm());
    let mut bystander = Bystander::new(&server).await;
    let large = frame(0x81, format!("42[\"ignored\",\"{}\"]", "x".repeat(990_000)).as_bytes());
    let taken = Arc::new(AtomicUsize::new(0));
    let mut attack = JoinSet::new();
    for _ in 0..ATTACKERS {
        let mut stream = raw(&server).await;
        let (large, taken) = (large.clone(), taken.clone());
        attack.spawn(async move {
            stream.write_all(&frame(0x81, b"42[\"wait\"]")).await.expect("sent");
            loop {
                for chunk in large.chunks(1 << 15) {
                    stream.write_all(chunk).await.expect("sent");
                    taken.fetch_add(chunk.len(), Ordering::Relaxed);
                }
            }
        });
    }
    for _ in 0..SERVED {
        bystander.is_served().await;
    }
    // What is read waits for the handler: two messages of each, and what the kernel holds between the two of them.
    let bytes = taken.load(Ordering::Relaxed);
    assert!(bytes < ATTACKERS * (16 << 20), "{bytes}");
    attack.shutdown().await;
    server.recorder.gate.notify_waiters();
    bystander.is_served().await;
}

#[tokio::test]
async fn polls_that_never_come_back_end_with_their_ping() {
    const LIMIT: usize = 64 << 10;
    let server = Server::with(Config {
        send_buffer: LIMIT,
        ping_interval: Duration::from_millis(200),
        ping_timeout: Duration::from_secs(5),
        ..config()
    });
    let pollers = join_all((0..20).map(|_| Poller::connect(&server))).await;
    // Some have asked and read nothing of the answer, others never ask.
    let mut asking = Vec::new();
    for poller in pollers.iter().step_by(2) {
        let mut stream = narrow(&server).await;
        let path = poller.url.split_once("/socket.io").expect("a path").1.to_owned();
        let request = format!("GET /socket.io{path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        asking.push(stream);
    }
    let mut bystander = Bystander::new(&server).await;
    let event = Frame::event("large", &[&format!("\"{}\"", "x".repeat(10_000))]);
    let ordinary = bystander.socket.id().to_owned();
    bystander
        .is_served_while(|| {
            for socket in server.gateway.sockets("/") {
                if socket.id() != ordinary {
                    let _ = socket.emit(&event);
                }
            }
            assert!(server.gateway.send_buffered_bytes() <= 20 * LIMIT + LIMIT);
            server.gateway.connections() > 1
        })
        .await;
    let mut ends = Vec::new();
    for _ in 0..20 {
        ends.push(server.recorder.until(Call::Disconnected(DisconnectReason::PingTimeout)).await);
    }
    eventually(|| server.gateway.send_buffered_bytes() == 0).await;
    drop(asking);
    bystander.is_served().await;
}

#[tokio::test]
async fn one_that_acknowledges_nothing_owes_a_bounded_number() {
    let server = Server::with(calm());
    let mut bystander = Bystander::new(&server).await;
    let (reading, _writing) = raw(&server).await.into_split();
    let reading = tokio::spawn(read_only(reading));
    let ordinary = bystander.socket.id().to_owned();
    let sockets = server.gateway.sockets("/");
    let silent = sockets.iter().find(|socket| socket.id() != ordinary).expect("it").clone();
    let mut asked = JoinSet::new();
    for n in 0..5_000 {
        let silent = silent.clone();
        asked.spawn(async move {
            silent.emit_with_ack("question", &[], Duration::from_secs(600)).await.map(drop)
        });
        if n % 100 == 0 {
            bystander.is_served().await;
        }
    }
    for _ in 0..5_000 - 1_024 {
        let refused = within(asked.join_next()).await.expect("some").expect("no panic");
        assert_eq!(refused, Err(AckError::Full));
    }
    silent.disconnect(true);
    while let Some(ended) = within(asked.join_next()).await {
        assert_eq!(ended.expect("no panic"), Err(AckError::Closed));
    }
    within(reading).await.expect("no panic");
    bystander.is_served().await;
}
