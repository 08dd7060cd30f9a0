//! What each message costs on its way in and out: WebSocket frames, Engine.IO, Socket.IO.
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so by failing")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidings_protocol::{
    engineio::{PayloadBuilder, PayloadLimits, decode_payload, decode_ref},
    socketio,
    websocket::{self, Opcode},
};

/// About what clients send and get: an event of some 200 bytes.
fn event(size: usize) -> String {
    format!("42[\"bench\",{{\"fill\":\"{}\"}}]", "x".repeat(size.saturating_sub(22)))
}

/// A frame as clients send it.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = websocket::frame(Opcode::Text, payload).to_vec();
    let start = frame.len() - payload.len();
    if let Some(length) = frame.get_mut(1) {
        *length |= 0x80;
    }
    let mask = [7, 77, 177, 217];
    for (byte, key) in frame.iter_mut().skip(start).zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    frame.splice(start..start, mask);
    frame
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("websocket");
    for size in [20, 200, 65_536] {
        let payload = event(size);
        let frame = masked(payload.as_bytes());
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_with_input(BenchmarkId::new("decode", size), &frame, |b, frame| {
            let mut decoder = websocket::Decoder::new(1 << 20);
            b.iter(|| decoder.decode(&mut black_box(&frame[..])).expect("a frame"));
        });
        group.bench_with_input(BenchmarkId::new("encode", size), &payload, |b, payload| {
            b.iter(|| websocket::frame(Opcode::Text, black_box(payload.as_bytes())));
        });
    }
    group.finish();
}

fn engine(c: &mut Criterion) {
    let mut group = c.benchmark_group("engineio");
    let packet = event(200);
    group.bench_function("decode a packet", |b| {
        b.iter(|| decode_ref(black_box(&packet)).expect("a packet"));
    });
    let payload = vec![packet.as_str(); 16].join("\x1e");
    let limits = PayloadLimits { max_packets: 16_384 };
    group.throughput(Throughput::Elements(16));
    group.bench_function("decode a payload of 16", |b| {
        b.iter(|| decode_payload(black_box(payload.as_bytes()), limits).expect("packets"));
    });
    group.bench_function("encode a payload of 16", |b| {
        b.iter(|| {
            let mut payload = PayloadBuilder::new();
            for _ in 0..16 {
                payload.push_text(black_box(&packet));
            }
            payload.finish()
        });
    });
    group.finish();
}

fn socket(c: &mut Criterion) {
    let mut group = c.benchmark_group("socketio");
    let event = event(200);
    for (name, text) in [
        ("an event", &event[1..]),
        ("an event that wants an answer", "212[\"room:join\",\"post:1\"]"),
        ("an acknowledgement", "312[{\"ok\":true}]"),
        ("a CONNECT", "0{\"token\":\"abc.def.ghi\",\"since\":12}"),
    ] {
        group.bench_function(BenchmarkId::new("decode", name), |b| {
            let mut decoder = socketio::Decoder::new(64, 1 << 20);
            b.iter(|| decoder.text(black_box(text)).expect("a packet"));
        });
    }
    group.bench_function("encode an event", |b| {
        b.iter(|| socketio::encode_event("/", None, black_box("[\"bench\",{\"n\":1}]"), 0));
    });
    group.bench_function("encode an acknowledgement", |b| {
        b.iter(|| socketio::encode_ack("/", 12, black_box("[{\"ok\":true}]"), 0));
    });
    group.finish();
}

criterion_group!(benches, frames, engine, socket);
criterion_main!(benches);
