//! A node that goes away.

use std::time::{Duration, Instant};

use tidings_gateway::DisconnectReason;

use crate::support::{Call, Poller, Server, Ws, within};

#[tokio::test]
async fn everybody_is_closed_with_a_reason_and_nobody_let_in() {
    let server = Server::start();
    let (mut ws, _) = Ws::connect(&server).await;
    let poller = Poller::connect(&server).await;
    let polling = poller.polling();
    server.recorder.drain().await;
    server.gateway.refuse_new();
    let refused =
        within(reqwest::get(server.url("EIO=4&transport=polling"))).await.expect("answered");
    assert_eq!(refused.status(), 503);
    let closing = tokio::spawn({
        let gateway = server.gateway.clone();
        async move { gateway.close_all(Duration::ZERO).await }
    });
    let (_, close) = ws.closed().await;
    assert_eq!(close.map(|close| u16::from(close.code)), Some(1001));
    assert_eq!(within(polling).await.expect("no panic"), (200, "1".into()));
    within(closing).await.expect("no panic");
    for _ in 0..2 {
        assert_eq!(server.call().await, Call::Disconnected(DisconnectReason::Shutdown));
    }
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn closes_are_spread_over_the_time_given() {
    let server = Server::start();
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Ws::connect(&server).await.0);
    }
    let begun = Instant::now();
    let reading = tokio::spawn(async move {
        let mut ends = Vec::new();
        for mut ws in clients {
            ends.push(tokio::spawn(async move {
                ws.closed().await;
                Instant::now()
            }));
        }
        let mut times = Vec::new();
        for end in ends {
            times.push(end.await.expect("no panic"));
        }
        times.sort();
        times
    });
    server.gateway.close_all(Duration::from_secs(3)).await;
    let times = within(reading).await.expect("no panic");
    let spread = times[9].duration_since(times[0]);
    assert!(spread >= Duration::from_secs(2), "{spread:?}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}
