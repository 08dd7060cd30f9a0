//! Several nodes on one database and one Redis are one server.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::{Value, json};
use tidings_testkit::redis::Redis;

use tidings_server::config::Role;

use crate::support::{Client, Nodes, TestServer, Tidings, eventually, fresh, told, within};

/// Two nodes, and what they have in common, which ends with the last of the three.
async fn two() -> (TestServer, TestServer, Nodes) {
    let nodes = Nodes::on(&Redis::shared().url()).await;
    (nodes.start().await, nodes.start().await, nodes)
}

#[tokio::test]
async fn a_password_that_is_refused_ends_the_start_with_a_message() {
    let redis = Redis::start(&["--requirepass only-for-tests"]);
    let port = redis.port;
    for (url, fine) in [
        (format!("redis://127.0.0.1:{port}"), false),
        (format!("redis://:wr0ng-secret@127.0.0.1:{port}"), false),
        (format!("redis://:only-for-tests@127.0.0.1:{port}"), true),
    ] {
        let (_dir, path) = fresh();
        let mut command = Tidings::command(&path);
        command.env("TIDINGS_REDIS_URL", &url);
        if fine {
            command.args(["serve", "--port", "0"]);
            let server = Tidings::spawn(command).await;
            eventually(|| async {
                let health = server.api(None);
                let health = tidings_health(&health.origin).await;
                health["redis"]["status"] == "up"
            })
            .await;
            server.kill().await;
            continue;
        }
        let output =
            within(command.args(["serve", "--port", "0"]).output()).await.expect("it runs");
        let complaint = Tidings::complained(&output);
        assert!(complaint.contains("check user name and password"), "{complaint}");
        assert!(complaint.contains(&format!("redis://127.0.0.1:{port}")), "{complaint}");
        assert!(!complaint.contains("wr0ng-secret"), "{complaint}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_the_start_with_a_message() {
    let redis = Redis::start_secured(&[]);
    let trusting = redis.url();
    let (place, files) = trusting.split_once('?').expect("the files");
    let (_, own) = files.split_once('&').expect("the authority, and what is ours");
    let (_dir, path) = fresh();
    let mut command = Tidings::command(&path);
    command.env("TIDINGS_REDIS_URL", format!("{place}?{own}"));
    let output = within(command.args(["serve", "--port", "0"]).output()).await.expect("it runs");
    let complaint = Tidings::complained(&output);
    for part in ["TIDINGS_REDIS_URL", place, "UnknownIssuer", "check the certificates"] {
        assert!(complaint.contains(part), "{complaint}");
    }
}

async fn tidings_health(origin: &str) -> Value {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = http.get(format!("{origin}/health")).send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn a_server_starts_with_redis_away_and_finds_it_later() {
    let redis = Redis::start(&[]);
    redis.kill();
    let server = TestServer::with(|config| {
        config.redis_url = Some(redis.url().into());
        config.redis.probe_interval = std::time::Duration::from_millis(50);
    })
    .await;
    let health = server.page("/health").await;
    assert_eq!((health.status, &health.json(200)["status"]), (200, &json!("degraded")));
    let mut alice = server.connect("alice").await;
    server.api().notify("alice", "without Redis").await;
    assert_eq!(told(&mut alice, 1).await, [1]);
    redis.restart();
    eventually(|| async { server.state.bus.health().connected }).await;
    assert_eq!(server.page("/health").await.json(200)["redis"]["status"], "up");
}

#[tokio::test]
async fn connections_of_one_node_go_elsewhere_when_they_are_asked_to() {
    let (here, there, _nodes) = two().await;
    let mut clients = Vec::new();
    for n in 0..6 {
        clients.push(there.connect(&format!("user-{n}")).await);
    }
    let node = there.state.node_id.clone();
    let body = json!({ "nodeId": node, "connections": 4, "seconds": 0 });
    // A node can be asked as soon as it was heard.
    eventually(|| async { here.api().post("/admin/rebalance", &body).await.status == 202 }).await;
    eventually(|| async { there.state.hub.sessions_where(|_| true).len() == 2 }).await;
    let mut ends: FuturesUnordered<_> = clients.iter_mut().map(Client::until_closed).collect();
    for _ in 0..4 {
        let (events, disconnected) = within(ends.next()).await.expect("one that goes");
        assert!(events.iter().any(|(name, _)| name == "server:shutdown"), "{events:?}");
        assert!(!disconnected, "a transport close: it comes back");
    }
    let nobody = json!({ "nodeId": "node-9", "connections": 1 });
    here.api().post("/admin/rebalance", &nobody).await.problem(404, "NOT_FOUND");
    for bad in [json!({ "connections": 0 }), json!({ "connections": 1, "seconds": 4_000 })] {
        assert_eq!(here.api().post("/admin/rebalance", &bad).await.status, 422);
    }
}

#[tokio::test]
async fn a_gateway_leaves_common_work_to_a_worker() {
    let nodes = Nodes::on(&Redis::shared().url()).await;
    let gateway = nodes.start_as(Role::Gateway).await;
    let mut alice = gateway.connect("alice").await;
    let body = json!({ "to": { "all": true }, "type": "system", "message": "to all" });
    let sent = gateway.api().post("/notifications", &body).await.json(202);
    let worker = nodes.start_as(Role::Worker).await;
    assert_eq!(alice.wait("notification").await["id"], sent["id"]);
    assert_eq!(worker.page("/health").await.status, 200);
    assert_eq!(worker.api().get("/notifications").await.status, 404);
    assert!(Client::try_open(worker.address, "", &[]).await.is_err(), "it serves no clients");
}
