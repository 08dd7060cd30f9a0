//! Users on several nodes: who is here is the same wherever somebody looks from.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tidings_server::workers;

use crate::{
    presence::{AFTER, NOW, member},
    rooms::joins,
    support::{Client, TestCluster, TestServer, within},
};

/// What a client knows of its room by what it was told.
pub struct Watch {
    room: &'static str,
    known: BTreeMap<String, String>,
    /// Users who came and went, as it was told.
    pub moves: Vec<String>,
}

impl Watch {
    pub fn of(room: &'static str) -> Self {
        Self { room, known: BTreeMap::new(), moves: Vec::new() }
    }

    fn take(&mut self, events: Vec<(String, Value)>) {
        for (name, body) in events {
            let id = |user: &Value| user["userId"].as_str().unwrap_or_default().to_owned();
            match name.as_str() {
                "presence:user:online" => self.moves.push(format!("+{}", id(&body))),
                "presence:user:offline" => self.moves.push(format!("-{}", id(&body))),
                "presence:update" if body["room"] == self.room => {
                    if body["full"] == true {
                        self.known.clear();
                    }
                    for user in body["users"].as_array().into_iter().flatten() {
                        let status = user["status"].as_str().unwrap_or_default().to_owned();
                        match status.as_str() {
                            "offline" => self.known.remove(&id(user)),
                            _ => self.known.insert(id(user), status),
                        };
                    }
                    for user in body["left"].as_array().into_iter().flatten() {
                        self.known.remove(user.as_str().unwrap_or_default());
                    }
                    assert_eq!(body["online"], self.known.len(), "{body}");
                }
                _ => {}
            }
        }
    }

    pub fn knows(&self) -> Vec<String> {
        self.known.iter().map(|(user, status)| format!("{user}={status}")).collect()
    }

    /// Ticks until the client knows exactly these.
    pub async fn until(
        &mut self,
        server: &TestServer,
        client: &mut Client,
        after: Duration,
        expected: &[&str],
    ) {
        let known = within(async {
            while self.knows() != expected {
                server.tell_presence(after).await;
                self.take(client.drain().await);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        known.await;
    }

    /// Ticks once; nobody came or went since the last look.
    pub async fn is_quiet(&mut self, server: &TestServer, client: &mut Client, after: Duration) {
        server.tell_presence(after).await;
        self.take(client.drain().await);
        assert_eq!(std::mem::take(&mut self.moves), [""; 0]);
    }
}

/// Waits until everything that was said so far has reached every node.
async fn settled(nodes: &[&TestServer]) {
    for node in nodes {
        workers::settle_cluster(&node.state).await.unwrap();
    }
}

#[tokio::test]
async fn who_is_in_a_room_on_another_node_is_seen_like_everybody_else() {
    let (cluster, here) = TestCluster::start().await;
    let there = cluster.node(|_| {}).await;
    let mut alice = member(&here, "alice", &["post:1"]).await;
    let mut seen = Watch::of("post:1");
    seen.until(&here, &mut alice, NOW, &["alice=online"]).await;
    let mut bob = member(&there, "bob", &["post:1"]).await;
    settled(&[&there, &here]).await;
    there.tell_presence(NOW).await;
    let everybody = bob.wait("presence:update").await;
    assert_eq!((&everybody["online"], &everybody["full"]), (&json!(2), &json!(true)));
    assert!(bob.drain().await.is_empty(), "who was there before has not come");
    seen.until(&here, &mut alice, NOW, &["alice=online", "bob=online"]).await;
    assert_eq!(seen.moves, ["+bob"]);
    bob.ask("presence:update", json!({ "status": "busy", "currentFeature": "editor" })).await;
    seen.until(&here, &mut alice, NOW, &["alice=online", "bob=busy"]).await;
    there.tell_presence(NOW).await;
    for node in [&here, &there] {
        let view = node.api().get("/presence?room=post:1").await.json(200);
        assert_eq!(
            (&view["online"], &view["users"][1]["currentFeature"]),
            (&json!(2), &json!("editor"))
        );
        let room = node.api().get("/rooms/post:1").await.json(200);
        assert_eq!(
            (&room["users"], &room["connections"], &room["online"]),
            (&json!(2), &json!(2), &json!(2))
        );
    }
    bob.ask("room:leave", json!("post:1")).await;
    seen.until(&here, &mut alice, NOW, &["alice=online"]).await;
    assert_eq!(seen.moves, ["+bob"], "who left is elsewhere, and not offline");
}

#[tokio::test]
async fn a_user_on_two_nodes_is_one_and_moves_between_them_unseen() {
    let (cluster, here) = TestCluster::start().await;
    let there = cluster.node(|_| {}).await;
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut seen = Watch::of("post:1");
    let phone = member(&there, "alice", &["post:1"]).await;
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online"]).await;
    seen.moves.clear();
    let laptop = member(&here, "alice", &["post:1"]).await;
    drop(phone);
    has_users(&here, "post:1", 2, 2).await;
    settled(&[&there, &here]).await;
    seen.is_quiet(&here, &mut bob, NOW).await;
    // And back, with nothing in between.
    drop(laptop);
    has_users(&here, "post:1", 1, 1).await;
    settled(&[&here]).await;
    seen.is_quiet(&here, &mut bob, NOW).await;
    let _phone = member(&there, "alice", &["post:1"]).await;
    settled(&[&there, &here]).await;
    seen.is_quiet(&here, &mut bob, AFTER).await;
    assert_eq!(seen.knows(), ["alice=online", "bob=online"]);
}

#[tokio::test]
async fn who_has_gone_on_another_node_is_offline_after_the_time_of_grace() {
    let (cluster, here) = TestCluster::start().await;
    let there = cluster.node(|_| {}).await;
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let alice = member(&there, "alice", &["post:1"]).await;
    let mut seen = Watch::of("post:1");
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online"]).await;
    seen.moves.clear();
    drop(alice);
    has_users(&here, "post:1", 1, 1).await;
    settled(&[&there]).await;
    seen.is_quiet(&here, &mut bob, NOW).await;
    seen.until(&here, &mut bob, AFTER, &["bob=online"]).await;
    assert_eq!(seen.moves, ["-alice"]);
}

#[tokio::test]
async fn who_hides_on_one_device_is_hidden_on_every_node() {
    let (cluster, here) = TestCluster::start().await;
    let there = cluster.node(|_| {}).await;
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut seen = Watch::of("post:1");
    // In no room at all.
    let mut phone = member(&there, "alice", &[]).await;
    phone.ask("presence:update", json!({ "invisible": true })).await;
    settled(&[&there]).await;
    let mut laptop = member(&here, "alice", &[]).await;
    settled(&[&here]).await;
    joins(&mut laptop, "post:1").await;
    settled(&[&here, &there]).await;
    seen.is_quiet(&here, &mut bob, NOW).await;
    assert_eq!(seen.knows(), ["bob=online"]);
    for node in [&here, &there] {
        let list = node.api().get("/presence?users=alice,bob").await.json(200);
        assert_eq!((&list["users"][0]["status"], &list["online"]), (&json!("offline"), &json!(1)));
    }
    laptop.drain().await;
    phone.ask("presence:update", json!({ "invisible": false, "status": "busy" })).await;
    seen.until(&here, &mut bob, NOW, &["alice=busy", "bob=online"]).await;
    let own =
        laptop.drain().await.into_iter().map(|(_, body)| body).find(|b| b["room"] == "user:alice");
    assert_eq!(own.expect("told")["users"][0]["status"], "busy");
}

#[tokio::test]
async fn the_oldest_of_too_many_connections_is_closed_wherever_it_hangs() {
    let (cluster, here) = TestCluster::start().await;
    let there = cluster.node(|_| {}).await;
    let mut devices = Vec::new();
    for n in 0..5 {
        let node = if n % 2 == 0 { &here } else { &there };
        devices.push(node.connect("alice").await);
        settled(&[node]).await;
    }
    for node in [&here, &there] {
        let _sixth = node.connect("alice").await;
        let mut oldest = devices.remove(0);
        assert_eq!(oldest.wait("error").await["code"], "CONNECTION_LIMIT");
        let (_, told) = oldest.until_closed().await;
        assert!(told, "it is not to come back by itself");
        devices.push(_sixth);
    }
    for device in &mut devices {
        assert_eq!(device.ask("heartbeat", Value::Null).await["ok"], true);
    }
}

#[tokio::test]
async fn a_room_is_full_for_all_nodes_together() {
    let (cluster, _here) = TestCluster::start().await;
    let kinds = |config: &mut tidings_server::config::Config| {
        let kind = json!({ "rule": "everyone", "max_members": 2 });
        config.rooms.insert("pair".into(), serde_json::from_value(kind).unwrap());
    };
    let (one, two) = (cluster.node(kinds).await, cluster.node(kinds).await);
    let mut alice = member(&one, "alice", &["pair:1"]).await;
    let _bob = member(&two, "bob", &["pair:1"]).await;
    let mut carol = member(&one, "carol", &[]).await;
    let answer = carol.ask("room:join", json!("pair:1")).await;
    assert_eq!(answer["error"]["code"], "ROOM_FULL");
    let _phone = member(&two, "alice", &["pair:1"]).await;
    alice.ask("room:leave", json!("pair:1")).await;
    drop(_phone);
    within(async {
        while carol.ask("room:join", json!("pair:1")).await["ok"] != true {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Waits until the registry knows of so many users and connections in a room.
pub async fn has_users(server: &TestServer, room: &str, users: u64, connections: u64) {
    let path = format!("/rooms/{room}");
    within(async {
        loop {
            let room = server.api().get(&path).await.json(200);
            if (&room["users"], &room["connections"]) == (&json!(users), &json!(connections)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_users_requests_are_counted_over_all_nodes() {
    let (cluster, _store) = TestCluster::start().await;
    let few = |config: &mut tidings_server::config::Config| config.limits.user_requests = 4;
    let (here, there) = (cluster.node(few).await, cluster.node(few).await);
    for (node, left) in [(&here, "3"), (&there, "2"), (&here, "1"), (&there, "0")] {
        let answer = node.user("alice").get("/notifications/unread-count").await;
        assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, left));
    }
    for node in [&here, &there] {
        let refused = node.user("alice").get("/notifications/unread-count").await;
        refused.problem(429, "RATE_LIMIT");
        assert_eq!(refused.header("ratelimit-remaining"), "0");
        assert!((1..=16).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
        assert_eq!(node.user("bob").get("/notifications/unread-count").await.status, 200);
    }
}

#[tokio::test]
async fn a_device_is_signed_out_whatever_node_it_hangs_on() {
    let (cluster, here) = TestCluster::start().await;
    let there = cluster.node(|_| {}).await;
    let mut phone = there.connect("alice").await;
    within(async {
        loop {
            let list = here.api().get("/connections?user=alice&active=true").await.json(200);
            if let Some(id) = list["connections"][0]["id"].as_str() {
                let gone = here.api().delete(&format!("/connections/{id}")).await;
                return assert_eq!(gone.status, 204);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(phone.wait("error").await["code"], "TOKEN_REVOKED");
}
