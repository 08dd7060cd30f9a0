//! Nodes that come, go and die, and a registry that does.

use std::time::Duration;

use serde_json::json;
use tidings_server::{config::Config, server::Server};

use crate::{
    cluster::{Watch, has_users},
    presence::{AFTER, NOW, member},
    support::{SECRET, SOON, TestCluster, TestServer, within},
};

#[tokio::test]
async fn of_a_node_that_is_killed_no_ghost_remains() {
    let (cluster, _store) = TestCluster::start().await;
    let soon = |config: &mut Config| config.cluster.timeout = SOON;
    let (here, third) = (cluster.node(soon).await, cluster.node(soon).await);
    let there = cluster.doomed(|_| {}).await;
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut dora = member(&third, "dora", &["post:2"]).await;
    let (mut seen, mut seen_by_dora) = (Watch::of("post:1"), Watch::of("post:2"));
    let _erin = member(&there, "erin", &["post:2"]).await;
    seen_by_dora.until(&third, &mut dora, NOW, &["dora=online", "erin=online"]).await;
    let _alice = member(&there, "alice", &["post:1"]).await;
    let _laptop = member(&there, "carol", &["post:1"]).await;
    let _phone = member(&here, "carol", &[]).await;
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online", "carol=online"]).await;
    seen.moves.clear();
    there.kill();
    // Who has a connection elsewhere left the room, and is not offline.
    seen.until(&here, &mut bob, AFTER, &["bob=online"]).await;
    assert_eq!(seen.moves, ["-alice"]);
    seen_by_dora.until(&third, &mut dora, AFTER, &["dora=online"]).await;
    has_users(&here, "post:1", 1, 1).await;
    let list = here.api().get("/presence?users=alice,carol").await.json(200);
    assert_eq!((&list["users"][0]["status"], &list["online"]), (&json!("offline"), &json!(1)));
    // Nothing of it is left in the registry.
    let reaped = async |node| TestServer::metric(node, "tidings_cluster_reaped_total", "").await;
    within(async {
        while reaped(&here).await + reaped(&third).await < 6 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(here.metric("tidings_cluster_nodes_lost_total", "").await, 1);
    // Whoever cleared away writes when they were last seen.
    within(async {
        let last_seen = async || {
            let list = here.api().get("/presence?users=alice").await.json(200);
            list["users"][0]["lastSeen"].is_string()
        };
        while !last_seen().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_nodes_with_one_id_the_second_is_refused_until_the_first_is_dead() {
    let (cluster, _store) = TestCluster::start().await;
    let named = |config: &mut Config| {
        config.node_id = Some("blue".into());
    };
    let first = cluster.doomed(named).await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config {
        port: 0,
        data_dir: dir.path().join("data"),
        node_id: Some("blue".into()),
        ..Default::default()
    };
    config.auth.jwt_secret = Some(SECRET.to_owned());
    let start = |config| Server::start_with(config, cluster.parts());
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
    let named = |config: &mut Config| {
        config.node_id = Some("blue".into());
        config.cluster.timeout = Duration::from_secs(300);
    };
    let first = cluster.doomed(named).await;
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut seen = Watch::of("post:1");
    let _alice = member(&first, "alice", &["post:1"]).await;
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online"]).await;
    let mut config = first.state.config.clone();
    // What a crash leaves of the directory.
    let dir = tempfile::tempdir().unwrap();
    let run = std::fs::read_to_string(config.data_dir.join("last-run")).unwrap();
    config.data_dir = dir.path().to_owned();
    std::fs::write(dir.path().join("last-run"), run).unwrap();
    first.kill();
    let start = Server::start_with(config, cluster.parts());
    within(start).await.expect("a server");
}

#[tokio::test]
async fn with_the_registry_away_everybody_is_served_and_nobody_declared_offline() {
    let (cluster, _store) = TestCluster::start().await;
    let soon = |config: &mut Config| config.cluster.timeout = SOON;
    let (here, there) = (cluster.node(soon).await, cluster.node(soon).await);
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut alice = member(&there, "alice", &["post:1"]).await;
    let mut seen = Watch::of("post:1");
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
    let mut seen_there = Watch::of("post:1");
    seen_there.until(&there, &mut alice, NOW, &["alice=online", "bob=online", "carol=busy"]).await;
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online", "carol=busy"]).await;
    has_users(&there, "post:1", 3, 3).await;
    assert_eq!(seen.moves, ["+carol"]);
    assert_eq!(seen_there.moves.iter().filter(|one| one.starts_with('-')).count(), 0);
}
