//! Bad days of Redis: whatever becomes of it, every device is told everything, once and in order.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use tidings_server::config::Config;
use tidings_testkit::{
    proxy::{Manner, Proxy},
    redis::{Cluster, Redis, Sentinels},
};

use crate::support::{
    Client, Nodes, TestServer, Tidings, claims, eventually, fresh, sign, told, within,
};

const USERS: usize = 4;

/// Two nodes, and users with a device on each.
struct Ledger {
    nodes: [TestServer; 2],
    devices: Vec<(String, Client)>,
    accepted: u64,
}

impl Ledger {
    async fn open(nodes: [TestServer; 2]) -> Self {
        let mut devices = Vec::new();
        for n in 0..USERS {
            let user = format!("user-{n}");
            for node in &nodes {
                devices.push((user.clone(), node.connect(&user).await));
            }
        }
        Self { nodes, devices, accepted: 0 }
    }

    /// One notification to each user, by one node and the other in turn.
    async fn round(&mut self) {
        let node = &self.nodes[usize::from(self.accepted % 2 == 1)];
        for n in 0..USERS {
            node.api().notify(&format!("user-{n}"), "x").await;
        }
        self.accepted += 1;
    }

    /// Sends until something has happened, and a little more.
    async fn send_during(&mut self, something: impl Future<Output = ()>) {
        let happened = AtomicBool::new(false);
        let happening = async {
            something.await;
            happened.store(true, Ordering::SeqCst);
        };
        let sending = async {
            let mut rest = 5;
            while rest > 0 {
                self.round().await;
                rest -= i32::from(happened.load(Ordering::SeqCst));
            }
        };
        tokio::join!(happening, sending);
    }

    /// Every device is told of everything that was accepted; says how long that took.
    async fn settle(mut self) -> Duration {
        let (began, all) = (Instant::now(), (1..=self.accepted).collect::<Vec<_>>());
        for (user, device) in &mut self.devices {
            assert_eq!(told(device, self.accepted).await, all, "{user}");
        }
        began.elapsed()
    }

    async fn connected(&self) {
        for node in &self.nodes {
            eventually(|| async { node.state.bus.health().connected }).await;
        }
    }

    async fn away(&self) {
        for node in &self.nodes {
            eventually(|| async { !node.state.bus.health().connected }).await;
        }
    }
}

/// A blocking call of the test's own on a thread of its own.
async fn aside(act: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let acting = scope.spawn(act);
        // Others go on meanwhile: every test has its own runtime with several threads.
        tokio::task::block_in_place(|| acting.join().expect("done"));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn redis_is_killed_and_comes_back() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::impatient_on(&redis.url()).await;
    let mut ledger = Ledger::open([nodes.start().await, nodes.start().await]).await;
    ledger.send_during(aside(|| redis.kill())).await;
    ledger.away().await;
    ledger.round().await;
    ledger.send_during(aside(|| redis.restart())).await;
    ledger.connected().await;
    ledger.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn with_redis_away_users_of_other_nodes_are_told_all_the_same() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::impatient_on(&redis.url()).await;
    let mut ledger = Ledger::open([nodes.start().await, nodes.start().await]).await;
    redis.kill();
    ledger.away().await;
    for _ in 0..5 {
        ledger.round().await;
    }
    let health = ledger.nodes[0].page("/health").await;
    assert!(health.status == 200 && health.text.contains("degraded"), "{}", health.text);
    assert_eq!(ledger.nodes[0].page("/health/ready").await.status, 200);
    ledger.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_master_fails_and_a_replica_takes_over() {
    let sentinels = Sentinels::start();
    let nodes = Nodes::impatient_on(&sentinels.url()).await;
    let mut ledger = Ledger::open([nodes.start().await, nodes.start().await]).await;
    let began = Instant::now();
    ledger.send_during(aside(|| sentinels.fail_over())).await;
    let failed_over = began.elapsed();
    ledger.connected().await;
    println!("another master after {failed_over:?}, the bus is back after {:?}", began.elapsed());
    ledger.round().await;
    ledger.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_cluster_loses_a_master_and_a_slot_moves() {
    let cluster = Cluster::start();
    let nodes = Nodes::impatient_on(&cluster.url()).await;
    let mut ledger = Ledger::open([nodes.start().await, nodes.start().await]).await;
    // The channels of a user's partition lie where this key lies.
    let tag = tidings_bus::redis::Partition::of("user-0").tag();
    let key = format!("{{{tag}}}");
    ledger.send_during(aside(|| cluster.move_slot(&key))).await;
    ledger.connected().await;
    ledger.send_during(aside(|| cluster.fail_over(&key))).await;
    ledger.connected().await;
    ledger.round().await;
    ledger.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn only_the_connections_that_listen_are_killed() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::impatient_on(&redis.url()).await;
    let mut ledger = Ledger::open([nodes.start().await, nodes.start().await]).await;
    for _ in 0..3 {
        let kill = || {
            redis.call(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        };
        ledger.send_during(aside(kill)).await;
        ledger.connected().await;
    }
    ledger.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_way_to_redis_is_slow_frozen_or_cut() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(redis.port).await;
    let nodes = Nodes::impatient_on(&redis.url()).await;
    let behind = format!("redis://{}", proxy.address);
    let mut ledger = Ledger::open([nodes.start().await, nodes.start_at(&behind).await]).await;
    for manner in [Manner::Delay(Duration::from_secs(2)), Manner::Freeze, Manner::Cut] {
        proxy.behave(manner);
        // Seen in seconds, though no connection was closed.
        let node = &ledger.nodes[1].state.clone();
        let seen = async { eventually(|| async { !node.bus.health().connected }).await };
        ledger.send_during(seen).await;
        proxy.behave(Manner::Pass);
        ledger.connected().await;
    }
    ledger.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_that_is_cut_off_alone_stores_is_found_by_the_others() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(redis.port).await;
    let nodes = Nodes::on(&redis.url()).await;
    let soon = |config: &mut Config| {
        config.cluster.heartbeat = Duration::from_millis(300);
        config.cluster.timeout = Duration::from_secs(2);
    };
    let hears = nodes.start_with(soon).await;
    let behind = format!("redis://{}", proxy.address);
    let cut_off = nodes.start_with(|config| {
        soon(config);
        config.redis_url = Some(behind.into());
    });
    let cut_off = cut_off.await;
    let mut alice = hears.connect("alice").await;
    cut_off.api().notify("alice", "before").await;
    assert_eq!(told(&mut alice, 1).await, [1]);
    proxy.behave(Manner::Freeze);
    // Nobody is told of it: for the node that hears all is well.
    for message in ["one", "two"] {
        cut_off.api().notify("alice", message).await;
    }
    assert_eq!(told(&mut alice, 3).await, [2, 3]);
    cut_off.api().notify("alice", "three").await;
    assert_eq!(told(&mut alice, 4).await, [4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn redis_freezes_without_closing_anything() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::impatient_on(&redis.url()).await;
    let mut ledger = Ledger::open([nodes.start().await, nodes.start().await]).await;
    redis.freeze();
    ledger.away().await;
    for _ in 0..3 {
        ledger.round().await;
    }
    redis.resume();
    ledger.connected().await;
    ledger.round().await;
    ledger.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn redis_has_no_memory_left() {
    let redis = Redis::start(&["--maxmemory-policy noeviction"]);
    let nodes = Nodes::impatient_on(&redis.url()).await;
    let mut ledger = Ledger::open([nodes.start().await, nodes.start().await]).await;
    redis.call(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..5 {
        ledger.round().await;
    }
    redis.call(&["CONFIG", "SET", "maxmemory", "0"]);
    ledger.round().await;
    ledger.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_message_in_an_unknown_version_is_ignored_and_counted() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::impatient_on(&redis.url()).await;
    let mut ledger = Ledger::open([nodes.start().await, nodes.start().await]).await;
    let channels = redis.call(&["PUBSUB", "CHANNELS"]);
    for channel in channels.lines() {
        for message in ["2 node-9 change {}", "1 node-9 gossip x", "nonsense", ""] {
            redis.call(&["PUBLISH", channel, message]);
        }
    }
    for node in &ledger.nodes {
        eventually(|| async {
            let text = node.page("/metrics").await.text;
            let line = text.lines().find(|line| line.starts_with("tidings_bus_unreadable_total"));
            line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()) >= Some(4.0)
        })
        .await;
    }
    ledger.round().await;
    ledger.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_node_is_killed_and_its_users_come_back_elsewhere() {
    const MANY: usize = 1_000;
    let redis = Redis::start(&[]);
    let nodes = Nodes::impatient_on(&redis.url()).await;
    let stays = nodes.start().await;
    let (_dir, path) = fresh();
    let mut command = Tidings::command(&path);
    command.envs(nodes.environment()).args(["serve", "--port", "0"]);
    let goes = Tidings::spawn(command).await;
    let token = |n: usize| sign(&claims(&format!("user-{n}")));
    let connect = async |address, n, since: Option<u64>| {
        let mut client = Client::open(address).await;
        let auth = match since {
            Some(since) => serde_json::json!({ "token": token(n), "since": since }),
            None => serde_json::json!({ "token": token(n) }),
        };
        client.join(auth).await;
        client.wait("connected").await;
        client
    };
    let mut clients = Vec::new();
    for at in (0..MANY).step_by(50) {
        let some = (at..at + 50).map(|n| connect(goes.address, n, None));
        clients.extend(futures_util::future::join_all(some).await);
    }
    let to: Vec<String> = (0..MANY).map(|n| format!("user-{n}")).collect();
    let body = serde_json::json!({ "to": { "users": to }, "type": "like", "message": "one" });
    stays.api().post("/notifications", &body).await.json(201);
    for client in &mut clients {
        assert_eq!(told(client, 1).await, [1]);
    }
    goes.kill().await;
    stays.api().post("/notifications", &body).await.json(201);
    let back = (0..MANY).map(|n| connect(stays.address, n, Some(1)));
    let mut back = within(futures_util::future::join_all(back)).await;
    stays.api().post("/notifications", &body).await.json(201);
    for client in &mut back {
        assert_eq!(told(client, 3).await, [2, 3]);
    }
}
