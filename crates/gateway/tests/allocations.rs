//! What a broadcast allocates does not depend on how many get it, and an idle connection keeps little. A binary of its
//! own, since it counts what the whole process allocates.
#![allow(clippy::expect_used, reason = "a failed expectation is how a test fails")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Router;
use serde_json::value::RawValue;
use tidings_gateway::{
    Config, ConnectError, Event, Frame, Gateway, Namespace, Recovery, Socket, Target,
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const FEW: usize = 100;
const MANY: usize = 400;
const BROADCASTS: u64 = 20;
/// Bytes that an idle connection may keep in the gateway with the tables that it stands in, and with tokio. One that can be
/// recovered keeps more.
const IDLE: usize = 1_100;
const RECOVERABLE: usize = 1_300;

/// Everybody is in the room `all`, and some in the room `few`.
struct Hall;

#[async_trait]
impl Namespace for Hall {
    async fn connect(&self, _: &Arc<Socket>, _: Option<Box<RawValue>>) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn connected(&self, socket: &Arc<Socket>) {
        socket.join("all");
    }

    async fn event(&self, _: &Arc<Socket>, _: Event) {}
}

/// A client that is in and reads nothing more: what it is sent fits into the kernel's buffers, and it allocates nothing.
fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a listener");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).expect("sent");
    until(&mut stream, "\"maxPayload\"");
    // `40`, masked with zeros.
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0']).expect("sent");
    until(&mut stream, "40{\"sid\"");
    stream
}

fn until(stream: &mut TcpStream, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let mut buffer = [0; 1_024];
        let count = stream.read(&mut buffer).expect("an answer");
        assert!(count > 0, "closed after {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buffer[..count]);
    }
}

/// Allocations that `BROADCASTS` broadcasts take until all of them are written.
async fn cost(gateway: &Gateway, room: &str, frame: &Frame) -> u64 {
    let before = dhat::HeapStats::get().total_blocks;
    for _ in 0..BROADCASTS {
        gateway.to("/", Target::rooms(&[room])).emit(frame);
        while gateway.send_buffered_bytes() > 0 {
            tokio::task::yield_now().await;
        }
    }
    dhat::HeapStats::get().total_blocks - before
}

/// Waits until the connections keep no more than `most` bytes each; what their handshakes needed goes a moment later.
async fn keep_at_most(most: usize, before: usize) {
    let each = || dhat::HeapStats::get().curr_bytes.saturating_sub(before) / MANY;
    let deadline = Instant::now() + Duration::from_secs(30);
    while each() > most {
        assert!(Instant::now() < deadline, "{} bytes each, where {most} are enough", each());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn check(recovery: Option<Recovery>) {
    let most = if recovery.is_some() { RECOVERABLE } else { IDLE };
    let config = Config { recovery, ping_interval: Duration::from_secs(600), ..Config::default() };
    let gateway = Gateway::builder(config).namespace("/", Arc::new(Hall)).build();
    let listener = tidings_gateway::bind("127.0.0.1:0".parse().expect("an address")).expect("free");
    let address = listener.local_addr().expect("bound");
    let forever = std::future::pending::<()>();
    tokio::spawn(tidings_gateway::serve(listener, None, gateway.clone(), Router::new(), forever));
    // The first one needs what is there once.
    drop(tokio::task::spawn_blocking(move || connect(address)).await.expect("connected"));
    while gateway.connections() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = dhat::HeapStats::get().curr_bytes;
    let clients = tokio::task::spawn_blocking(move || {
        (0..MANY).map(|_| connect(address)).collect::<Vec<_>>()
    });
    let clients = clients.await.expect("connected");
    while gateway.member_count("/", "all") < MANY {
        tokio::task::yield_now().await;
    }
    keep_at_most(most, before).await;
    for socket in gateway.sockets("/").iter().take(FEW) {
        socket.join("few");
    }
    let frame = Frame::event("news", &[r#"{"text":"something of a usual size","n":1}"#]);
    // The first ones make the room that all others use again.
    cost(&gateway, "all", &frame).await;
    cost(&gateway, "few", &frame).await;
    let (few, many) = (cost(&gateway, "few", &frame).await, cost(&gateway, "all", &frame).await);
    let per_recipient = many.saturating_sub(few) / BROADCASTS / (MANY - FEW) as u64;
    assert_eq!(per_recipient, 0, "{few} for {FEW}, {many} for {MANY}");
    // And not one for every tenth recipient either.
    assert!(many < few + BROADCASTS * 10, "{few} for {FEW}, {many} for {MANY}");
    drop(clients);
}

#[tokio::test]
async fn a_broadcast_allocates_nothing_for_each_recipient_and_an_idle_connection_keeps_little() {
    let _profiler = dhat::Profiler::builder().testing().build();
    check(None).await;
    check(Some(Recovery::default())).await;
}
