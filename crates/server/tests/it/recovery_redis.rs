//! What `recovery_nodes.rs` shows, with a Redis between the nodes, and nodes that end.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_server::config::Config;
use tidings_testkit::redis::Redis;

use crate::{
    recovery::{back, cut, messages, notify, numbers, says},
    rooms::{add, joins},
    support::{Api, Client, Nodes, TestServer, Tidings, claims, eventually, fresh, sign, within},
};

const LONG: &str = "20s";

/// A node that is a process, and what is left of it when it is gone.
struct Node {
    process: Tidings,
    api: Api,
    _dir: TempDir,
}

impl Node {
    async fn start(nodes: &Nodes, patience: &str) -> Self {
        let (dir, path) = fresh();
        let environment = |command: &mut tokio::process::Command| {
            command.envs(nodes.environment());
            command.env("TIDINGS_CLUSTER__PATIENCE", patience);
            command.env("TIDINGS_REDIS__RESPONSE_TIMEOUT", LONG);
            command.env("TIDINGS_REDIS__PROBE_TIMEOUT", LONG);
        };
        let mut serve = Tidings::command(&path);
        environment(&mut serve);
        serve.args(["serve", "--port", "0"]);
        let process = Tidings::spawn(serve).await;
        let mut create = Tidings::command(&path);
        environment(&mut create);
        create.args(["keys", "create", "--name", "sender", "--quiet"]);
        let key = Tidings::printed(&within(create.output()).await.expect("it runs"));
        let api = process.api(Some(key));
        eventually(|| async { health(&api.origin).await["redis"]["status"] == "up" }).await;
        Self { process, api, _dir: dir }
    }

    async fn says(&self, room: &str, n: u64) {
        let event = json!({ "type": "said", "data": { "n": n } });
        self.api.post(&format!("/rooms/{room}/events"), &event).await.json(202);
    }

    async fn back(&self, claim: &Value) -> (Client, Value) {
        let mut client = Client::open(self.process.address).await;
        let answer = client.resume(claim.clone()).await;
        (client, answer)
    }

    /// Alice in `group:7`, who has heard 1.
    async fn alice(&self) -> Client {
        let mut alice = Client::open(self.process.address).await;
        alice.join(json!({ "token": token() })).await;
        alice.wait("notifications:pending").await;
        joins(&mut alice, "group:7").await;
        self.says("group:7", 1).await;
        assert_eq!(alice.wait("said").await["n"], 1);
        alice
    }
}

async fn health(origin: &str) -> Value {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = http.get(format!("{origin}/health")).send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

fn token() -> String {
    let mut claims = claims("alice");
    claims["groups"] = json!(["7"]);
    sign(&claims)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_goes_on_after_its_node_was_stopped_and_not_after_it_was_killed() {
    let nodes = Nodes::on(&Redis::shared().url()).await;
    let (first, second) = (Node::start(&nodes, LONG).await, Node::start(&nodes, LONG).await);
    let mut alice = first.alice().await;
    let pid = alice.coming_back(json!({}))["pid"].clone();
    first.process.terminate();
    let (_, dismissed) = alice.until_closed().await;
    assert!(!dismissed, "it is to come back");
    let claim = alice.coming_back(json!({ "token": token() }));
    second.says("group:7", 2).await;
    assert_eq!(within(first.process.ended()).await.0, Some(0));
    second.says("group:7", 3).await;
    second.says("user:alice", 4).await;
    let (mut alice, answer) = second.back(&claim).await;
    assert_eq!(answer["pid"], pid);
    assert_eq!(numbers(&alice.heard()), [2, 3, 4]);
    assert_eq!(alice.wait("connected").await["recovered"], true);
    second.says("group:7", 5).await;
    assert_eq!(alice.wait("said").await["n"], 5);
    // And a node that had no time to say anything.
    let third = Node::start(&nodes, "500ms").await;
    let mut claim = alice.coming_back(json!({ "token": token() }));
    second.process.kill().await;
    let body = json!({ "to": "alice", "type": "like", "message": "missed" });
    third.api.post("/notifications", &body).await.json(201);
    claim["since"] = json!(0);
    let (mut alice, answer) = third.back(&claim).await;
    assert_ne!(answer["pid"], pid);
    assert_eq!(alice.wait("connected").await["recovered"], false);
    assert_eq!(messages(&alice.wait("notifications:pending").await), ["missed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_client_begins_anew_elsewhere_and_goes_on_where_it_was() {
    let redis = Redis::start(&[]);
    let on = |config: &mut Config| {
        config.redis_url = Some(redis.url().into());
        config.redis.probe_interval = Duration::from_millis(100);
    };
    let here = TestServer::with(on).await;
    let store = Some(std::sync::Arc::clone(&here.state.store));
    let parts = tidings_server::server::Parts { store, ..Default::default() };
    let there = TestServer::with_parts(on, parts).await;
    for node in [&here, &there] {
        eventually(|| async { node.state.bus.health().connected }).await;
    }
    add(&here, "group:7", "alice").await;
    let mut alice = here.connect("alice").await;
    joins(&mut alice, "group:7").await;
    says(&here, "group:7", 1).await;
    alice.wait("said").await;
    let claim = cut(&here, alice, "alice").await;
    here.state.recovery.settled().await;
    redis.kill();
    notify(&here, "alice", "missed").await;
    let (mut alice, answer) = back(&there, claim.clone()).await;
    assert_ne!(answer["pid"], claim["pid"]);
    assert_eq!(alice.wait("connected").await["recovered"], false);
    assert_eq!(messages(&alice.wait("notifications:pending").await), ["missed"]);
    let (mut alice, answer) = back(&here, claim.clone()).await;
    assert_eq!(answer["pid"], claim["pid"]);
    assert_eq!(alice.wait("connected").await["recovered"], true);
}
