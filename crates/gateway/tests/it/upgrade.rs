//! The move from polling to WebSocket.

use std::time::Duration;

use tidings_gateway::{Config, Frame, Target};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Poller, Server, Ws, config, eventually, within};

async fn websocket(server: &Server, poller: &Poller) -> Ws {
    Ws::bare(server, &format!("EIO=4&transport=websocket&sid={}", poller.sid())).await
}

async fn probe(server: &Server, poller: &Poller) -> Ws {
    let mut ws = websocket(server, poller).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    ws
}

#[tokio::test]
async fn a_session_moves_with_everything_it_has_queued() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let polling = poller.polling();
    let mut ws = probe(&server, &poller).await;
    assert_eq!(
        within(polling).await.expect("no panic"),
        (200, "6".into()),
        "the pending poll ends"
    );
    assert_eq!(poller.poll().await, (200, "6".into()), "and so does any other");
    for n in 0..3 {
        server.gateway.to("/", Target::all()).emit(&Frame::event("n", &[&n.to_string()]));
    }
    ws.send("5").await;
    for n in 0..3 {
        assert_eq!(ws.text().await, format!("42[\"n\",{n}]"));
    }
    ws.send("42[\"message\",1]").await;
    assert_eq!(ws.text().await, "42[\"message-back\",1]");
    assert_eq!(poller.poll().await.0, 400);
    assert_eq!(poller.post("42[\"message\",1]").await.0, 400);
    assert_eq!(server.gateway.sockets("/")[0].transport(), "websocket");
    assert_eq!(server.gateway.connections(), 1);
}

#[tokio::test]
async fn what_is_sent_during_the_upgrade_still_goes_out_by_polling() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let mut ws = probe(&server, &poller).await;
    server.gateway.to("/", Target::all()).emit(&Frame::event("n", &["1"]));
    assert_eq!(poller.poll().await, (200, "42[\"n\",1]".into()));
    ws.send("5").await;
    ws.send("42[\"message\",2]").await;
    assert_eq!(ws.text().await, "42[\"message-back\",2]");
}

#[tokio::test]
async fn only_one_websocket_may_take_a_session() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let mut first = probe(&server, &poller).await;
    websocket(&server, &poller).await.closed().await;
    first.send("5").await;
    first.send("42[\"message\",1]").await;
    assert_eq!(first.text().await, "42[\"message-back\",1]");
    websocket(&server, &poller).await.closed().await;
    first.send("42[\"message\",2]").await;
    assert_eq!(first.text().await, "42[\"message-back\",2]");
}

#[tokio::test]
async fn a_failed_probe_leaves_the_session_on_polling() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    for bad in ["5", "40", "2prob", "x"] {
        let mut ws = websocket(&server, &poller).await;
        ws.send(bad).await;
        ws.closed().await;
    }
    drop(probe(&server, &poller).await);
    // The claim is given back when the server notices; then another may try.
    let mut ws = loop {
        let mut ws = websocket(&server, &poller).await;
        let _ = ws.try_send(Message::text("2probe")).await;
        if matches!(ws.message().await, Some(Message::Text(text)) if text.as_str() == "3probe") {
            break ws;
        }
    };
    ws.send("5").await;
    ws.send("42[\"message\",1]").await;
    assert_eq!(ws.text().await, "42[\"message-back\",1]");
}

#[tokio::test]
async fn an_unfinished_upgrade_is_given_up() {
    let server = Server::with(Config { upgrade_timeout: Duration::from_secs(2), ..config() });
    let poller = Poller::connect(&server).await;
    websocket(&server, &poller).await.closed().await;
    probe(&server, &poller).await.closed().await;
    assert_eq!(poller.post("42[\"message\",1]").await.0, 200);
    assert_eq!(poller.poll().await, (200, "42[\"message-back\",1]".into()));
}

#[tokio::test]
async fn a_session_that_ends_takes_its_probe_along() {
    let server = Server::start();
    let poller = Poller::connect(&server).await;
    let mut ws = probe(&server, &poller).await;
    assert_eq!(poller.post("1").await.0, 200);
    ws.closed().await;
    eventually(|| server.gateway.connections() == 0).await;
}

#[tokio::test]
async fn an_upgrade_needs_a_session() {
    let server = Server::start();
    let query = format!("EIO=4&transport=websocket&sid={}", "B".repeat(22));
    assert!(Ws::try_open(server.address, &query).await.is_err());
}
