//! Building a frame, joining and leaving a room, and a broadcast to real sockets on loopback. Of the last most is the
//! kernel's `write`, so compare it with itself.
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so by failing")]

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::RawValue;
use tidings_gateway::{
    Config, ConnectError, Event, Frame, Gateway, Namespace, Recovery, Socket, Tail, Target,
};
use tokio::runtime::Runtime;

const DATA: &str = r#"{"taskId":"task-12","status":"done","by":"alice","at":"2026-01-01T00:00:00Z","note":"a text of a usual length"}"#;
const MEMBERS: [usize; 2] = [10, 200];

struct Hall;

#[async_trait]
impl Namespace for Hall {
    async fn connect(&self, _: &Arc<Socket>, _: Option<Box<RawValue>>) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn event(&self, _: &Arc<Socket>, _: Event) {}
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    group.bench_function("of an event", |b| {
        b.iter(|| Frame::event(black_box("task:update"), &[black_box(DATA)]));
    });
    let tail = Tail::new("\"message\":\"Bob liked your post\",\"priority\":1}");
    let head = r#"{"seq":12,"rev":34,"recipientId":"alice","read":false,"#;
    group.bench_function("of a head and a shared tail", |b| {
        b.iter(|| Frame::event_with_head("notification", black_box(head), black_box(&tail)));
    });
    group.finish();
}

/// A client that reads and forgets.
fn client(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("a listener");
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).expect("sent");
    // `40`, masked with zeros.
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0']).expect("sent");
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || {
            let mut scratch = [0; 16 << 10];
            while matches!(stream.read(&mut scratch), Ok(1..)) {}
        })
        .expect("a thread");
}

/// A gateway with so many clients.
fn serve(runtime: &Runtime, recovery: Option<Recovery>, members: usize) -> Gateway {
    let config = Config {
        recovery,
        ping_interval: std::time::Duration::from_secs(3_600),
        ..Config::default()
    };
    let gateway = Gateway::builder(config).namespace("/", Arc::new(Hall)).build();
    let serving = gateway.clone();
    let address = runtime.block_on(async {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = tidings_gateway::bind(any).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let forever = std::future::pending::<()>();
        tokio::spawn(tidings_gateway::serve(listener, None, serving, Router::new(), forever));
        address
    });
    (0..members).for_each(|_| client(address));
    runtime.block_on(async {
        while gateway.socket_count("/") < members {
            tokio::task::yield_now().await;
        }
    });
    gateway
}

fn rooms(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let gateway = serve(&runtime, None, 1);
    let socket = gateway.sockets("/").pop().expect("it is there");
    c.bench_function("room/join and leave", |b| {
        b.iter(|| {
            socket.join(black_box("post:1"));
            socket.leave(black_box("post:1"));
        });
    });
}

fn broadcasts(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("broadcast");
    for (name, recovery) in [("plain", None), ("recoverable", Some(Recovery::default()))] {
        for members in MEMBERS {
            let gateway = serve(&runtime, recovery.clone(), members);
            let frame = Frame::event("task:update", &[DATA]);
            group.throughput(Throughput::Elements(members as u64));
            group.bench_function(BenchmarkId::new(name, members), |b| {
                b.iter(|| {
                    runtime.block_on(async {
                        gateway.to("/", Target::all()).emit(black_box(&frame));
                        while gateway.send_buffered_bytes() > 0 {
                            tokio::task::yield_now().await;
                        }
                    });
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, frames, rooms, broadcasts);
criterion_main!(benches);
