//! HTTP long-polling.

use std::time::Duration;

use tidings_gateway::{Config, DisconnectReason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Call, Poller, Server, config, eventually, within};

#[tokio::test]
async fn several_packets_travel_together_both_ways() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let body = "42[\"message\",1]\x1e452-[\"message\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]\x1ebAQID\x1ebBAU=\x1e427[\"message-with-ack\",\"x\"]";
    assert_eq!(poller.post(body).await, (200, "ok".into()));
    let expected = "42[\"message-back\",1]\x1e452-[\"message-back\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]\x1ebAQID\x1ebBAU=\x1e437[\"x\"]";
    assert_eq!(poller.poll().await, (200, expected.into()));
}

#[tokio::test]
async fn a_poll_waits_for_something_to_send() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let polling = poller.polling();
    assert_eq!(poller.post("42[\"message\",2]").await.0, 200);
    assert_eq!(within(polling).await.expect("no panic"), (200, "42[\"message-back\",2]".into()));
}

#[tokio::test]
async fn a_second_poll_ends_the_session() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let polls = [poller.polling(), poller.polling()];
    let mut answers = Vec::new();
    for poll in polls {
        answers.push(within(poll).await.expect("no panic"));
    }
    answers.sort();
    assert_eq!(answers[0], (200, "1".into()));
    assert_eq!(answers[1].0, 400);
    assert_eq!(poller.poll().await.0, 400);
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn an_aborted_poll_ends_the_session() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let path = poller.url.split_once("/socket.io").expect("a path").1.to_owned();
    let request = format!("GET /socket.io{path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    assert_eq!(server.gateway.connections(), 1);
    drop(stream);
    server.recorder.until(Call::Disconnected(DisconnectReason::TransportClose)).await;
    assert_eq!(server.gateway.connections(), 0);
    assert_eq!(poller.poll().await.0, 400);
}

#[tokio::test]
async fn a_close_packet_ends_a_pending_poll_with_a_noop() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let polling = poller.polling();
    assert_eq!(poller.post("1").await.0, 200);
    assert_eq!(within(polling).await.expect("no panic"), (200, "6".into()));
    assert_eq!(poller.poll().await.0, 400);
}

#[tokio::test]
async fn malformed_packets_end_the_session() {
    let server = Server::start();
    for bad in [
        "abc",
        "",
        "4\x1e",
        "0{}",
        "2",
        "4abc",
        "42{}",
        "42abc[\"x\"]",
        "b!!!",
        "42[\"message\",1]\x1e9",
    ] {
        let poller = Poller::connect(&server).await;
        assert_eq!(poller.post(bad).await.0, 400, "{bad:?}");
        assert_eq!(poller.poll().await.0, 400, "{bad:?}");
    }
    let poller = Poller::connect(&server).await;
    assert_eq!(poller.post(vec![b'4', 0xff, 0xfe]).await.0, 400, "invalid UTF-8");
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn a_body_is_bounded_with_and_without_a_length() {
    let server = Server::with(Config { max_payload: 1000, ..config() });
    let poller = Poller::connect(&server).await;
    assert_eq!(poller.post("4".repeat(1001)).await.0, 413);
    assert_eq!(poller.poll().await.0, 400);

    let poller = Poller::connect(&server).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let path = poller.url.split_once("/socket.io").expect("a path").1;
    let head =
        format!("POST /socket.io{path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    for _ in 0..3 {
        let chunk = format!("190\r\n{}\r\n", "4".repeat(400));
        stream.write_all(chunk.as_bytes()).await.expect("sent");
    }
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn a_second_post_while_one_is_read_ends_the_session() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let path = poller.url.split_once("/socket.io").expect("a path").1;
    let head = format!(
        "POST /socket.io{path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    // hyper asks for the body when the gateway begins to read it.
    let mut go_on = [0; 12];
    within(stream.read_exact(&mut go_on)).await.expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100");
    assert_eq!(poller.post("3").await.0, 400);
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn an_aborted_post_ends_the_session() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let path = poller.url.split_once("/socket.io").expect("a path").1;
    let head =
        format!("POST /socket.io{path} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n42[");
    stream.write_all(head.as_bytes()).await.expect("sent");
    drop(stream);
    eventually(|| server.gateway.connections() == 0).await;
}

#[tokio::test]
async fn a_post_whose_body_never_comes_is_given_up() {
    let server = Server::with(Config { body_read_timeout: Duration::from_secs(2), ..config() });
    let poller = Poller::connect(&server).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let path = poller.url.split_once("/socket.io").expect("a path").1;
    let head =
        format!("POST /socket.io{path} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n42[");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 400");
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn a_server_disconnect_reaches_the_next_poll() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    assert_eq!(poller.post("42[\"go-away\"]").await.0, 200);
    assert_eq!(poller.poll().await, (200, "41\x1e1".into()));
    assert_eq!(poller.poll().await.0, 400);
}
