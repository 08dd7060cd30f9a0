//! Clients that ask for too much, read nothing or say nothing. Each is bounded and counted by its reason, and meanwhile
//! an ordinary client gets its notifications, one by one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, Packet, TestServer, eventually};

/// What the ordinary client is sent while it goes on.
const SERVED: usize = 20;

async fn is_served(server: &TestServer, bystander: &mut Client) {
    for n in 0..SERVED {
        server.api().notify("bystander", &n.to_string()).await;
        assert_eq!(bystander.wait("notification").await["message"], n.to_string());
    }
}

async fn becomes(server: &TestServer, name: &str, label: &str, at_least: u64) {
    eventually(|| async { server.metric(name, label).await >= at_least }).await;
}

#[tokio::test]
async fn a_thousand_joins_at_once_are_limited() {
    let server = TestServer::start().await;
    let mut bystander = server.connect("bystander").await;
    let mut alice = server.connect("alice").await;
    let begun = Instant::now();
    for n in 0..1_000 {
        alice.emit("room:join", json!(format!("user:alice{n}"))).await;
    }
    is_served(&server, &mut bystander).await;
    let refused = "websocket_commands_refused_total";
    // What keeps it alive still passes, in its turn.
    assert_eq!(alice.ask("heartbeat", Value::Null).await["ok"], true);
    // A hundred at once, and a hundred a minute after that.
    let let_through = 100 + 1 + begun.elapsed().as_millis() as u64 * 100 / 60_000;
    let limited = server.metric(refused, "reason=\"RATE_LIMIT\"").await;
    assert!((1_000u64.saturating_sub(let_through)..=900).contains(&limited), "{limited}");
}

#[tokio::test]
async fn a_room_too_many_is_refused() {
    let server = TestServer::with(|config| {
        config.limits.rooms_per_connection = 3;
        config.limits.client_messages = 10_000;
    })
    .await;
    let mut bystander = server.connect("bystander").await;
    for n in 0..5 {
        server.api().put(&format!("/rooms/post:{n}/members/alice"), &json!({})).await.json(200);
    }
    let mut alice = server.connect("alice").await;
    for n in 0..5 {
        let answer = alice.ask("room:join", json!(format!("post:{n}"))).await;
        assert_eq!(answer["ok"], n < 3, "{answer}");
    }
    for _ in 0..200 {
        let refused = alice.ask("room:join", json!("post:4")).await;
        assert_eq!(refused["error"]["code"], "TOO_MANY_ROOMS");
    }
    is_served(&server, &mut bystander).await;
}

#[tokio::test]
async fn one_that_never_reads_is_closed_for_that_and_nobody_else() {
    let server = TestServer::with(|config| {
        config.gateway.send_buffer = 64 << 10;
        config.gateway.slow_drain = Duration::from_millis(200);
    })
    .await;
    let mut bystander = server.connect("bystander").await;
    let mut mute = Client::open_narrow(server.address).await;
    mute.join(json!({ "token": server.token("mute") })).await;
    mute.wait("notifications:pending").await;
    let one = json!({ "to": "mute", "type": "like", "message": "m".repeat(4_000) });
    let batch = json!(vec![one; 100]);
    let closed = ("websocket_disconnections_total", "reason=\"slow consumer\"");
    while server.metric(closed.0, closed.1).await == 0 {
        server.api().post("/notifications", &batch).await.json(201);
        is_served(&server, &mut bystander).await;
    }
    assert!(server.metric("websocket_send_buffer_full_total", "").await >= 1);
    drop(mute);
    let leaving = server.connect("leaving").await;
    drop(leaving);
    becomes(&server, closed.0, "reason=\"transport", 1).await;
    assert_eq!(server.metric(closed.0, closed.1).await, 1);
}

#[tokio::test]
async fn polls_that_never_come_back_end_with_their_ping() {
    let server = TestServer::with(|config| {
        config.gateway.ping_interval = Duration::from_millis(200);
        config.gateway.ping_timeout = Duration::from_secs(10);
    })
    .await;
    let api = server.nobody();
    let url = format!("{}/socket.io/?EIO=4&transport=polling", api.origin);
    for n in 0..10 {
        let open = api.http.get(&url).send().await.unwrap().text().await.unwrap();
        let open: Value = serde_json::from_str(&open[1..]).unwrap();
        let url = format!("{url}&sid={}", open["sid"].as_str().unwrap());
        let hello = format!("40{}", json!({ "token": server.token(&format!("poller{n}")) }));
        assert_eq!(api.http.post(url).body(hello).send().await.unwrap().status(), 200);
    }
    let mut bystander = server.connect("bystander").await;
    // It reads all the time, and so answers its pings.
    while server.metric("websocket_disconnections_total", "reason=\"ping timeout\"").await < 10 {
        is_served(&server, &mut bystander).await;
    }
    assert_eq!(server.metric("websocket_connections_active", "").await, 1);
}

#[tokio::test]
async fn megabytes_are_refused_or_end_the_connection() {
    let server = TestServer::start().await;
    let mut bystander = server.connect("bystander").await;
    let mut alice = server.connect("alice").await;
    let message = |size| json!({ "room": "user:alice", "message": "x".repeat(size) });
    for _ in 0..20 {
        alice.emit("room:message", message(900_000)).await;
    }
    is_served(&server, &mut bystander).await;
    for _ in 0..20 {
        assert!(alice.wait("error").await["code"].is_string());
    }
    alice.emit("room:message", message(1_000_001)).await;
    assert_eq!(alice.packet().await, Packet::Closed);
    becomes(&server, "websocket_disconnections_total", "reason=\"parse error\"", 1).await;
    is_served(&server, &mut bystander).await;
}

#[tokio::test]
async fn a_device_that_acknowledges_nothing_costs_nothing() {
    let server = TestServer::start().await;
    let mut bystander = server.connect("bystander").await;
    let auth = json!({ "device": "phone" });
    let mut silent = server.connect_with("silent", auth.clone()).await;
    silent.wait("notifications:pending").await;
    let one = json!({ "to": "silent", "type": "like", "message": "x" });
    let batch = json!(vec![one; 100]);
    for _ in 0..10 {
        server.api().post("/notifications", &batch).await.json(201);
        for _ in 0..100 {
            silent.wait("notification").await;
        }
        is_served(&server, &mut bystander).await;
    }
    for session in server.state.hub.sessions_where(|session| session.user.as_str() == "silent") {
        assert_eq!(session.socket.send_queue_bytes(), 0);
    }
    // It comes back to where its cursor was left, page by page.
    drop(silent);
    let mut silent = server.connect_with("silent", auth).await;
    let pending = silent.wait("notifications:pending").await;
    assert!(pending["notifications"].as_array().unwrap().len() <= 100);
    assert_eq!(pending["hasMore"], true);
}

#[tokio::test]
async fn who_is_sent_away_is_counted_by_the_reason() {
    let server = TestServer::with(|config| config.limits.connections_per_user = 1).await;
    let mut first = server.connect("alice").await;
    let _second = server.connect("alice").await;
    first.until_closed().await;
    becomes(&server, "websocket_dismissals_total", "reason=\"CONNECTION_LIMIT\"", 1).await;
}
