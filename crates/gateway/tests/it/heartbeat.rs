//! Pings, pongs and the other deadlines.

use std::time::{Duration, Instant};

use tidings_gateway::{Config, DisconnectReason};

use crate::support::{Call, Poller, Server, Ws, config, within};

fn quick() -> Config {
    Config {
        ping_interval: Duration::from_millis(100),
        ping_timeout: Duration::from_secs(4),
        ..config()
    }
}

#[tokio::test]
async fn the_first_ping_comes_after_the_interval_and_pongs_keep_alive() {
    let server = Server::with(Config { ping_timeout: Duration::from_secs(30), ..quick() });
    let begun = Instant::now();
    let mut ws = Ws::open(&server).await;
    for n in 1..=5 {
        assert_eq!(ws.text().await, "2");
        assert!(begun.elapsed() >= Duration::from_millis(n * 100 - 2), "ping {n} is not early");
        ws.send("3").await;
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "nor late: {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_silent_client_is_closed() {
    let server = Server::with(quick());
    let begun = Instant::now();
    let (mut ws, _) = Ws::connect(&server).await;
    let (before, _) = ws.closed().await;
    assert_eq!(before, ["2"], "one ping, no more");
    assert!(begun.elapsed() >= Duration::from_millis(4_098));
    server.recorder.until(Call::Disconnected(DisconnectReason::PingTimeout)).await;
}

#[tokio::test]
async fn polling_has_the_same_heartbeat() {
    let server = Server::with(quick());
    let poller = Poller::connect(&server).await;
    for _ in 0..3 {
        assert_eq!(poller.poll().await, (200, "2".into()));
        assert_eq!(poller.post("3").await.0, 200);
    }
    assert_eq!(poller.poll().await, (200, "2".into()));
    // Without a pong the next poll is told the end, unless it comes after it.
    let (status, body) = poller.poll().await;
    assert!((status, &*body) == (200, "1") || status == 400, "{status} {body}");
    assert_eq!(poller.poll().await.0, 400);
}

#[tokio::test]
async fn a_session_without_a_namespace_is_reclaimed() {
    let server = Server::with(Config { connect_timeout: Duration::from_secs(2), ..config() });
    let mut idle = Ws::open(&server).await;
    let poller = Poller::open(&server).await;
    let (mut joined, _) = Ws::connect(&server).await;
    idle.closed().await;
    // On polling the session waits for one last poll.
    assert_eq!(within(poller.polling()).await.expect("no panic"), (200, "1".into()));
    joined.send("42[\"message\",1]").await;
    assert_eq!(joined.text().await, "42[\"message-back\",1]");
    // Whoever leaves the last one has the same time again.
    joined.send("41").await;
    joined.closed().await;
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn refused_connects_do_not_keep_a_session() {
    let server = Server::with(Config { connect_timeout: Duration::from_secs(2), ..config() });
    let mut ws = Ws::open(&server).await;
    ws.send("40{\"refuse\":1}").await;
    let (before, _) = ws.closed().await;
    assert_eq!(before.len(), 1);
    assert!(before[0].starts_with("44{"));
}
