//! Users on several nodes: who is here is the same wherever somebody looks from.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tidings_server::workers;

use crate::{
    presence::{AFTER, NOW, member},
    rooms::joins,
    support::{Client, SOON, TestCluster, TestServer, within},
};

/// What a client knows of its room by what it was told.
#[derive(Default)]
pub struct Watch {
    known: BTreeMap<String, String>,
    /// Users who came and went, as it was told.
    pub moves: Vec<String>,
}

impl Watch {
    fn take(&mut self, events: Vec<(String, Value)>, room: &str) {
        for (name, body) in events {
            let id = |user: &Value| user["userId"].as_str().unwrap_or_default().to_owned();
            match name.as_str() {
                "presence:user:online" => self.moves.push(format!("+{}", id(&body))),
                "presence:user:offline" => self.moves.push(format!("-{}", id(&body))),
                "presence:update" if body["room"] == room => {
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

    /// Ticks until the client knows exactly these of `post:1`.
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
                self.take(client.drain().await, "post:1");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        known.await;
    }

    /// Ticks once; nobody came or went since the last look.
    pub async fn is_quiet(&mut self, server: &TestServer, client: &mut Client, after: Duration) {
        server.tell_presence(after).await;
        self.take(client.drain().await, "post:1");
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
    let mut seen = Watch::default();
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
    let mut seen = Watch::default();
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
    let mut seen = Watch::default();
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
    let mut seen = Watch::default();
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
async fn of_a_node_that_is_killed_no_ghost_remains() {
    let (cluster, _store) = TestCluster::start().await;
    let soon = |config: &mut tidings_server::config::Config| config.cluster.timeout = SOON;
    let here = cluster.node(soon).await;
    let there = cluster.doomed(|_| {}).await;
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut seen = Watch::default();
    let _alice = member(&there, "alice", &["post:1"]).await;
    let _laptop = member(&there, "carol", &["post:1"]).await;
    let _phone = member(&here, "carol", &[]).await;
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online", "carol=online"]).await;
    seen.moves.clear();
    there.kill();
    // Who has a connection elsewhere left the room, and is not offline.
    seen.until(&here, &mut bob, AFTER, &["bob=online"]).await;
    assert_eq!(seen.moves, ["-alice"]);
    has_users(&here, "post:1", 1, 1).await;
    let list = here.api().get("/presence?users=alice,carol").await.json(200);
    assert_eq!((&list["users"][0]["status"], &list["online"]), (&json!("offline"), &json!(1)));
    // Nothing of it is left in the registry, and the store knows when it was seen.
    within(async {
        while here.metric("tidings_cluster_reaped_total", "").await < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(here.metric("tidings_cluster_nodes_lost_total", "").await, 1);
    let list = here.api().get("/presence?users=alice").await.json(200);
    assert!(list["users"][0]["lastSeen"].is_string(), "{list}");
}

#[tokio::test]
async fn of_two_nodes_with_one_id_the_second_is_refused_until_the_first_is_dead() {
    let (cluster, _store) = TestCluster::start().await;
    let named = |config: &mut tidings_server::config::Config| {
        config.node_id = Some("blue".into());
    };
    let first = cluster.doomed(named).await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = tidings_server::config::Config {
        port: 0,
        data_dir: dir.path().join("data"),
        node_id: Some("blue".into()),
        ..Default::default()
    };
    config.auth.jwt_secret = Some(crate::support::SECRET.to_owned());
    let start = |config| tidings_server::server::Server::start_with(config, cluster.parts());
    let Err(refused) = start(config.clone()).await else { panic!("it was let in") };
    assert!(refused.to_string().contains("the id blue is running"), "{refused:#}");
    first.kill();
    // It waits for the lease to run out.
    let second = start(config).await.expect("a server");
    assert_eq!(second.state().node_id, "blue");
}

#[tokio::test]
async fn after_a_crash_a_node_takes_its_place_again_at_once() {
    let (cluster, here) = TestCluster::start().await;
    let named = |config: &mut tidings_server::config::Config| {
        config.node_id = Some("blue".into());
        config.cluster.timeout = Duration::from_secs(300);
    };
    let first = cluster.doomed(named).await;
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut seen = Watch::default();
    let _alice = member(&first, "alice", &["post:1"]).await;
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online"]).await;
    let mut config = first.state.config.clone();
    // What a crash leaves of the directory.
    let dir = tempfile::tempdir().unwrap();
    let run = std::fs::read_to_string(config.data_dir.join("last-run")).unwrap();
    config.data_dir = dir.path().to_owned();
    std::fs::write(dir.path().join("last-run"), run).unwrap();
    first.kill();
    let start = tidings_server::server::Server::start_with(config, cluster.parts());
    within(start).await.expect("a server");
}

#[tokio::test]
async fn with_the_registry_away_everybody_is_served_and_nobody_declared_offline() {
    let (cluster, _store) = TestCluster::start().await;
    let soon = |config: &mut tidings_server::config::Config| config.cluster.timeout = SOON;
    let (here, there) = (cluster.node(soon).await, cluster.node(soon).await);
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut alice = member(&there, "alice", &["post:1"]).await;
    let mut seen = Watch::default();
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online"]).await;
    seen.moves.clear();
    cluster.registry.go_away(true);
    // Until every lease has run out.
    within(async {
        while [&here, &there].iter().any(|node| node.state.cluster.has_lease()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let mut carol = member(&here, "carol", &["post:1", "post:2"]).await;
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online", "carol=online"]).await;
    let mut devices = Vec::new();
    for _ in 0..6 {
        devices.push(here.connect("dave").await);
    }
    assert_eq!(devices[0].wait("error").await["code"], "CONNECTION_LIMIT");
    assert_eq!(carol.ask("presence:update", json!("busy")).await["ok"], true);
    cluster.registry.go_away(false);
    // Everything is said anew, and nobody was away.
    let mut seen_there = Watch::default();
    seen_there.until(&there, &mut alice, NOW, &["alice=online", "bob=online", "carol=busy"]).await;
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online", "carol=busy"]).await;
    has_users(&there, "post:1", 3, 3).await;
    assert_eq!(seen.moves, ["+carol"]);
    assert_eq!(seen_there.moves.iter().filter(|one| one.starts_with('-')).count(), 0);
}
