//! Clients that do not read: bounded, told, closed, and nothing out of order.

use std::sync::Arc;
use std::time::Duration;

use tidings_gateway::{Config, DisconnectReason, Frame, SendError, Socket, Target};

use crate::support::{Call, Poller, Server, Ws, config, eventually};

const LIMIT: usize = 64 << 10;

fn small() -> Config {
    Config { send_buffer: LIMIT, slow_drain: Duration::from_secs(60), ..config() }
}

fn numbered(n: usize) -> Frame {
    Frame::event("n", &[&n.to_string(), &format!("\"{}\"", "x".repeat(10_000))])
}

/// Emits until the buffer is full; how many frames were taken.
fn fill(socket: &Arc<Socket>) -> usize {
    for n in 0.. {
        match socket.emit(&numbered(n)) {
            Ok(()) => assert!(socket.send_queue_bytes() <= LIMIT),
            Err(error) => {
                assert_eq!(error, SendError::Full);
                return n;
            }
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_bounded_and_gets_all_that_was_taken_in_order() {
    let server = Server::with(small());
    let (mut ws, id) = Ws::connect_narrow(&server).await;
    let (mut other, _) = Ws::connect(&server).await;
    let socket = server.gateway.socket("/", &id).expect("connected");
    server.recorder.drain().await;
    let taken = fill(&socket);
    assert!(taken > 6);
    assert_eq!(socket.emit(&numbered(taken)), Err(SendError::Full), "and stays so");
    assert_eq!(server.gateway.send_buffered_bytes(), socket.send_queue_bytes());
    assert_eq!(server.call().await, Call::Overflowed);

    other.send("42[\"message\",1]").await;
    assert_eq!(other.text().await, "42[\"message-back\",1]", "others are not disturbed");
    assert_eq!(
        server.recorder.drain().await,
        [Call::Event("message".into(), "1".into())],
        "told once"
    );

    for n in 0..taken {
        assert!(ws.text().await.starts_with(&format!("42[\"n\",{n},")), "frame {n} of {taken}");
    }
    assert_eq!(server.call().await, Call::Drained);
    socket.emit(&numbered(0)).expect("room again");
    assert!(ws.text().await.starts_with("42[\"n\",0,"));
    assert_eq!(server.gateway.send_buffered_bytes(), 0);
}

#[tokio::test]
async fn a_buffer_that_does_not_drain_closes_the_transport() {
    let server = Server::with(Config { slow_drain: Duration::from_millis(50), ..small() });
    let (ws, id) = Ws::connect_narrow(&server).await;
    let socket = server.gateway.socket("/", &id).expect("connected");
    fill(&socket);
    server.recorder.until(Call::Disconnected(DisconnectReason::SlowConsumer)).await;
    assert_eq!(socket.emit(&numbered(0)), Err(SendError::Closed));
    assert_eq!(server.gateway.connections(), 0);
    eventually(|| server.gateway.send_buffered_bytes() == 0).await;
    drop(ws);
}

#[tokio::test]
async fn a_poller_that_does_not_poll_is_bounded_too() {
    let server = Server::with(small());
    let poller = Poller::connect(&server).await;
    let socket = server.gateway.sockets("/").pop().expect("connected");
    let taken = fill(&socket);
    assert!((5..8).contains(&taken));
    let (_, body) = poller.poll().await;
    assert_eq!(body.split('\x1e').count(), taken);
    assert_eq!(server.gateway.send_buffered_bytes(), 0);
    eventually(|| socket.emit(&numbered(0)).is_ok()).await;
}

#[tokio::test]
async fn a_broadcast_tells_for_how_many_it_was_and_who_missed_it() {
    let server = Server::with(small());
    let (slow, id) = Ws::connect_narrow(&server).await;
    let (_fast, _) = Ws::connect(&server).await;
    fill(&server.gateway.socket("/", &id).expect("connected"));
    assert_eq!(server.gateway.to("/", Target::all()).emit(&numbered(0)), 1);
    drop(slow);
}

#[tokio::test]
async fn the_node_closes_the_largest_queue_when_all_together_are_too_much() {
    let server =
        Server::with(Config { send_buffer: 1 << 20, node_send_buffer: 512 << 10, ..small() });
    let (large, large_id) = Ws::connect_narrow(&server).await;
    let (small, small_id) = Ws::connect_narrow(&server).await;
    let large_socket = server.gateway.socket("/", &large_id).expect("connected");
    let small_socket = server.gateway.socket("/", &small_id).expect("connected");
    // Fill what the kernel takes of the smaller one first, then a little of ours.
    while small_socket.send_queue_bytes() < 50_000 {
        small_socket.emit(&numbered(0)).expect("taken");
    }
    let mut n = 0;
    while large_socket.emit(&numbered(n)).is_ok() {
        n += 1;
        assert!(server.gateway.send_buffered_bytes() < (512 << 10) + 20_000);
    }
    server.recorder.until(Call::Disconnected(DisconnectReason::NodeBufferFull)).await;
    assert!(!large_socket.is_connected() && small_socket.is_connected());
    eventually(|| server.gateway.send_buffered_bytes() < 100_000).await;
    small_socket.emit(&numbered(1)).expect("room again");
    drop((large, small));
}

#[tokio::test]
async fn a_frame_larger_than_the_buffer_goes_out_when_nothing_waits() {
    let server = Server::with(small());
    let (mut ws, id) = Ws::connect(&server).await;
    let socket = server.gateway.socket("/", &id).expect("connected");
    let huge = format!("\"{}\"", "y".repeat(8 << 20));
    socket.emit(&Frame::event("huge", &[&huge])).expect("taken");
    assert_eq!(ws.text().await.len(), huge.len() + 11);
}
