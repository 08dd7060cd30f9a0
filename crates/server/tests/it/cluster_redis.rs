//! What `cluster.rs` shows, with a Redis between the nodes, and what only a Redis can do to them.

use std::{process::Stdio, sync::Arc, time::Duration};

use serde_json::json;
use tidings_server::{config::Config, server::Parts};
use tidings_testkit::redis::Redis;

use crate::{
    cluster::{Watch, has_users},
    presence::{NOW, member},
    support::{TestServer, Tidings, within},
};

fn on(redis: &Redis) -> impl Fn(&mut Config) + use<> {
    let url = redis.url();
    move |config| {
        config.redis_url = Some(url.clone().into());
        config.cluster.heartbeat = Duration::from_millis(50);
        config.redis.probe_interval = Duration::from_millis(100);
    }
}

async fn second(first: &TestServer, configure: impl FnOnce(&mut Config)) -> TestServer {
    let store = Some(Arc::clone(&first.state.store));
    TestServer::with_parts(configure, Parts { store, ..Parts::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_away_and_lost_everything_declares_nobody_offline() {
    let redis = Redis::start(&[]);
    let soon = {
        let on = on(&redis);
        move |config: &mut Config| {
            on(config);
            config.cluster.timeout = Duration::from_secs(8);
        }
    };
    let here = TestServer::with(&soon).await;
    let there = second(&here, &soon).await;
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut alice = member(&there, "alice", &["post:1"]).await;
    let mut seen = Watch::of("post:1");
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online"]).await;
    seen.moves.clear();
    redis.kill();
    within(async {
        while [&here, &there].iter().any(|node| node.state.cluster.has_lease()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let _carol = member(&there, "carol", &["post:1"]).await;
    redis.restart();
    alice.ask("presence:update", json!("away")).await;
    seen.until(&here, &mut bob, NOW, &["alice=away", "bob=online", "carol=online"]).await;
    assert_eq!(seen.moves, ["+carol"]);
    has_users(&here, "post:1", 3, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_killed_is_followed_by_one_of_the_same_id_and_no_other() {
    let redis = Redis::start(&[]);
    let root = tempfile::tempdir().unwrap();
    let command = |name: &str| {
        let mut command = Tidings::command_on_sqlite(&root.path().join(name));
        command.env("TIDINGS_REDIS_URL", redis.url()).env("TIDINGS_NODE_ID", "blue");
        command.env("TIDINGS_CLUSTER__HEARTBEAT", "50ms").env("TIDINGS_CLUSTER__TIMEOUT", "4m");
        command.args(["serve", "--port", "0"]);
        command
    };
    let first = Tidings::spawn(command("one")).await;
    let mut second = command("two");
    second.stdout(Stdio::null()).stderr(Stdio::piped());
    let refused = within(second.output()).await.unwrap();
    let why = Tidings::complained(&refused);
    assert!(why.contains("another node with the id blue is running"), "{why}");
    first.signal(rustix::process::Signal::KILL);
    within(first.ended()).await;
    // Its lease would last for minutes; but its directory is free, so it is dead.
    Tidings::spawn(command("one")).await;
}
