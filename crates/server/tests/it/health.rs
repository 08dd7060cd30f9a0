//! Health, for load balancers and people.

use serde_json::{Value, json};

use crate::support::{TestServer, eventually, store};

async fn health(server: &TestServer, status: u16) -> Value {
    server.page("/health").await.json(status)
}

#[tokio::test]
async fn a_server_that_is_well_says_so() {
    let server = TestServer::with(|config| config.node_id = Some("node-a".into())).await;
    let _alice = server.connect("alice").await;
    let mut body = health(&server, 200).await;
    let time = body["timestamp"].take();
    assert!(time.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{time}");
    assert!(body["uptime"].take().as_u64().unwrap() < 60);
    assert!(body["store"]["latencyMs"].take().as_f64().unwrap() >= 0.0);
    let kind = if store::on_postgres() { "postgres" } else { "sqlite" };
    let expected = json!({
        "status": "healthy", "timestamp": null, "uptime": null,
        "version": env!("CARGO_PKG_VERSION"), "nodeId": "node-a", "connections": 1,
        "websocket": { "connections": 1, "limit": 10_000, "draining": false },
        "store": { "kind": kind, "status": "up", "writes": "up", "latencyMs": null },
        "spool": { "status": "empty", "records": 0, "bytes": 0 },
        "redis": { "status": "not configured" },
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn the_probes_lie_at_the_root_and_under_the_api() {
    let server = TestServer::start().await;
    for prefix in ["", "/api", "/api/v1"] {
        let live = server.page(&format!("{prefix}/health/live")).await.json(200);
        assert_eq!(live, json!({ "status": "ok" }));
        let ready = server.page(&format!("{prefix}/health/ready")).await.json(200);
        let redis = json!({ "status": "not configured" });
        let expected =
            json!({ "status": "ready", "draining": false, "store": "up", "redis": redis });
        assert_eq!(ready, expected);
        health(&server, 200).await;
    }
}

#[tokio::test]
async fn a_node_that_fills_up_is_degraded_and_then_unhealthy() {
    let server = TestServer::with(|config| {
        config.limits.connections = 5;
        config.limits.saturation = 1.0;
    })
    .await;
    let mut clients = Vec::new();
    for (n, (status, code)) in [
        ("healthy", 200),
        ("healthy", 200),
        ("healthy", 200),
        ("degraded", 200),
        ("unhealthy", 503),
    ]
    .into_iter()
    .enumerate()
    {
        clients.push(server.connect(&format!("u{n}")).await);
        assert_eq!(health(&server, code).await["status"], status, "{n}");
    }
    clients.clear();
    eventually(|| async { server.page("/health").await.status == 200 }).await;
}

#[tokio::test]
async fn connections_are_told_in_short() {
    let server = TestServer::with(|config| config.node_id = Some("node-a".into())).await;
    let _alice = server.connect("alice").await;
    let mut body = server.page("/api/v1/ws/metrics").await.json(200);
    assert!(body["uptime"].take().is_u64());
    let expected = json!({
        "serverId": "node-a", "connections": 1, "totalConnections": 1, "serverCount": 1,
        "uptime": null,
    });
    assert_eq!(body, expected);
}
