//! `/metrics`: names, labels and values.

use serde_json::json;

use crate::support::{Client, TestServer, eventually};

/// The value of a series; `labels` as they stand in the text, without `server_id`.
async fn value(server: &TestServer, name: &str, labels: &str) -> Option<f64> {
    let page = server.page("/metrics").await;
    assert!(page.header("content-type").starts_with("application/openmetrics-text"));
    assert!(page.text.ends_with("# EOF\n"));
    let labels = match labels {
        "" => "{server_id=\"node-a\"}".to_owned(),
        some => format!("{{server_id=\"node-a\",{some}}}"),
    };
    let series = format!("{name}{labels} ");
    let line = page.text.lines().find_map(|line| line.strip_prefix(&series))?;
    Some(line.parse().expect("a number"))
}

async fn becomes(server: &TestServer, name: &str, labels: &str, expected: f64) {
    eventually(|| async { value(server, name, labels).await == Some(expected) }).await;
}

async fn server() -> TestServer {
    TestServer::with(|config| config.node_id = Some("node-a".into())).await
}

#[tokio::test]
async fn connections_are_counted() {
    let server = server().await;
    becomes(&server, "websocket_connections_active", "", 0.0).await;
    let alice = server.connect("alice").await;
    let _bob = server.connect("bob").await;
    becomes(&server, "websocket_connections_active", "", 2.0).await;
    becomes(&server, "websocket_connections_total", "", 2.0).await;
    drop(alice);
    becomes(&server, "websocket_connections_active", "", 1.0).await;
    becomes(&server, "websocket_connections_total", "", 2.0).await;
    // One that never gets in is none.
    let mut refused = Client::open(server.address).await;
    refused.try_join(json!({ "token": "x" })).await.unwrap_err();
    becomes(&server, "websocket_connections_total", "", 2.0).await;
}

#[tokio::test]
async fn messages_are_counted_by_their_names_and_strangers_names_are_not() {
    let server = server().await;
    let mut alice = server.connect("alice").await;
    for name in ["heartbeat", "heartbeat", "notification:ack", "made-up-1", "made-up-2"] {
        alice.ask(name, json!({ "upTo": 0 })).await;
    }
    server.api().notify("alice", "x").await;
    alice.wait("notification:count").await;
    let (sent, received) = ("websocket_messages_sent_total", "websocket_messages_received_total");
    becomes(&server, received, "event_type=\"heartbeat\"", 2.0).await;
    becomes(&server, received, "event_type=\"notification:ack\"", 1.0).await;
    becomes(&server, received, "event_type=\"other\"", 2.0).await;
    for event in ["connected", "notifications:pending", "notification", "notification:count"] {
        becomes(&server, sent, &format!("event_type=\"{event}\""), 1.0).await;
    }
    assert!(!server.page("/metrics").await.text.contains("made-up"));
}

#[tokio::test]
async fn notifications_are_counted_when_they_are_made_and_when_they_arrive() {
    let server = server().await;
    let mut phone = server.connect("alice").await;
    let mut laptop = server.connect("alice").await;
    let body = json!({ "to": { "users": ["alice", "bob"] }, "type": "comment", "message": "x" });
    server.api().post("/notifications", &body).await.json(201);
    server.api().notify("alice", "x").await;
    for device in [&mut phone, &mut laptop] {
        device.wait("notification").await;
        device.wait("notification").await;
    }
    becomes(&server, "notifications_created_total", "type=\"comment\"", 2.0).await;
    becomes(&server, "notifications_created_total", "type=\"like\"", 1.0).await;
    becomes(&server, "notifications_delivered_total", "channel=\"websocket\"", 4.0).await;
    becomes(&server, "notification_delivery_latency_seconds_count", "", 4.0).await;
    let sum = value(&server, "notification_delivery_latency_seconds_sum", "").await.unwrap();
    assert!((0.0..20.0).contains(&sum), "{sum}");
    let text = server.page("/metrics").await.text;
    for bucket in ["0.001", "10.0", "+Inf"] {
        let label = format!("le=\"{bucket}\"");
        let is_it = |line: &str| {
            line.starts_with("notification_delivery_latency_seconds_bucket{")
                && line.contains(&label)
        };
        assert!(text.lines().any(is_it), "{bucket}: {text}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_address() {
    let server = server().await;
    let alice = server.user("alice");
    alice.get("/notifications/secret-id").await;
    alice.get("/nothing/secret-path").await;
    let text = server.page("/metrics").await.text;
    assert!(!text.contains("secret-"), "addresses are not labels");
    assert!(text.contains("route=\"/api/v1/notifications/{id}\""), "{text}");
    assert!(text.contains("route=\"other\""));
    assert!(text.contains("status=\"400\"") && text.contains("status=\"404\""));
}
