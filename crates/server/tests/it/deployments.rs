//! What nodes do for one another is the same on a single Redis, behind Sentinels and on a Cluster.

use std::time::Duration;

use serde_json::json;
use tidings_server::config::Config;

use crate::{
    cluster::{Watch, has_users},
    presence::{AFTER, NOW, member},
    rooms::joins,
    support::{Client, Deployment, Nodes, SOON, TestServer, eventually, hears_the_same_on, told},
};

macro_rules! everywhere {
    ($($scenario:ident),* $(,)?) => {
        everywhere!(@ standalone, Standalone, $($scenario),*);
        everywhere!(@ sentinels, Sentinels, $($scenario),*);
        everywhere!(@ cluster, Cluster, $($scenario),*);
    };
    (@ $module:ident, $deployment:ident, $($scenario:ident),*) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(super::Deployment::$deployment).await;
            })*
        }
    };
}

everywhere!(
    a_user_hears_the_same_on_every_node,
    what_is_said_in_a_room_reaches_those_on_other_nodes,
    what_is_for_everybody_reaches_everybody,
    users_of_all_nodes_are_seen_and_leave_nothing_behind,
    of_a_node_that_is_killed_no_ghost_remains,
    what_applications_leave_is_taken_by_one_node,
    socketio_servers_of_others_are_heard_once,
);

/// Two nodes, and what they have in common, which ends with the last of the three.
async fn two(on: Deployment, configure: fn(&mut Config)) -> (TestServer, TestServer, Nodes) {
    let nodes = Nodes::on(&on.url()).await;
    (nodes.start_with(configure).await, nodes.start_with(configure).await, nodes)
}

async fn a_user_hears_the_same_on_every_node(on: Deployment) {
    let (here, there, _nodes) = two(on, |_| {}).await;
    hears_the_same_on(&here, &there).await;
}

async fn what_is_said_in_a_room_reaches_those_on_other_nodes(on: Deployment) {
    let (here, there, _nodes) = two(on, |_| {}).await;
    let mut clients = [here.connect("alice").await, there.connect("bob").await];
    for (server, client, user) in [&here, &there]
        .into_iter()
        .zip(&mut clients)
        .zip(["alice", "bob"])
        .map(|((s, c), u)| (s, c, u))
    {
        let path = format!("/rooms/group:1/members/{user}");
        assert!(server.api().put(&path, &json!({})).await.status < 300);
        assert_eq!(client.ask("room:join", json!("group:1")).await["ok"], true);
    }
    for n in 0..10 {
        let api = if n % 2 == 0 { here.api() } else { there.api() };
        let event = json!({ "type": "task:update", "data": { "n": n } });
        assert!(api.post("/rooms/group:1/events", &event).await.status < 300);
        for client in &mut clients {
            assert_eq!(client.wait("task:update").await["n"], n);
        }
    }
    // A membership that is taken away on one node ends on the other.
    here.api().delete("/rooms/group:1/members/bob").await;
    assert_eq!(clients[1].wait("room:left").await["room"], "group:1");
}

async fn what_is_for_everybody_reaches_everybody(on: Deployment) {
    let (here, there, _nodes) = two(on, |_| {}).await;
    let (mut alice, mut bob) = (here.connect("alice").await, there.connect("bob").await);
    let body = json!({ "to": { "all": true }, "type": "system", "message": "to all" });
    let sent = there.api().post("/notifications", &body).await.json(202);
    assert_eq!(alice.wait("notification").await["id"], sent["id"]);
    assert_eq!(bob.wait("notification").await["id"], sent["id"]);
    let revoked = here.api().post("/users/bob/revoke", &json!({})).await;
    assert!(revoked.status < 300, "{}", revoked.text);
    assert_eq!(bob.wait("error").await["code"], "TOKEN_REVOKED");
}

fn lively(config: &mut Config) {
    config.cluster.heartbeat = Duration::from_millis(50);
}

async fn users_of_all_nodes_are_seen_and_leave_nothing_behind(on: Deployment) {
    let (here, there, nodes) = two(on, lively).await;
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut seen = Watch::of("post:1");
    let mut alice = member(&there, "alice", &["post:1"]).await;
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online"]).await;
    alice.ask("presence:update", json!("busy")).await;
    seen.until(&here, &mut bob, NOW, &["alice=busy", "bob=online"]).await;
    has_users(&here, "post:1", 2, 2).await;
    let list = here.api().get("/presence?users=alice").await.json(200);
    assert_eq!(list["users"][0]["status"], "busy");
    let mut devices = Vec::new();
    for n in 0..6 {
        let node = if n % 2 == 0 { &here } else { &there };
        devices.push(node.connect("carol").await);
    }
    assert_eq!(devices[0].wait("error").await["code"], "CONNECTION_LIMIT");
    drop((devices, alice));
    there.stop().await;
    seen.until(&here, &mut bob, AFTER, &["bob=online"]).await;
    // Who is left clears away after who went, a heartbeat later: its own part are a user and a place.
    eventually(|| async { keys(on, &nodes, "left") <= 2 }).await;
    drop(bob);
    here.stop().await;
    assert_eq!((keys(on, &nodes, "members"), keys(on, &nodes, "left")), (0, 0));
}

/// Keys of this kind that are left.
fn keys(on: Deployment, nodes: &Nodes, kind: &str) -> usize {
    let pattern = format!("{}:*{kind}:*", nodes.prefix());
    let of = |server: &tidings_testkit::redis::Redis| {
        server.call(&["KEYS", &pattern]).lines().filter(|line| !line.is_empty()).count()
    };
    on.masters().into_iter().map(of).sum()
}

async fn of_a_node_that_is_killed_no_ghost_remains(on: Deployment) {
    let nodes = Nodes::on(&on.url()).await;
    let soon = |config: &mut Config| {
        lively(config);
        config.cluster.timeout = SOON;
    };
    let here = nodes.start_with(soon).await;
    let there = nodes.doomed(soon).await;
    let mut bob = member(&here, "bob", &["post:1"]).await;
    let mut seen = Watch::of("post:1");
    let _alice = member(&there, "alice", &["post:1"]).await;
    seen.until(&here, &mut bob, NOW, &["alice=online", "bob=online"]).await;
    seen.moves.clear();
    there.kill();
    seen.until(&here, &mut bob, AFTER, &["bob=online"]).await;
    assert_eq!(seen.moves, ["-alice"]);
    has_users(&here, "post:1", 1, 1).await;
    // A user and a place.
    eventually(|| async { here.metric("tidings_cluster_reaped_total", "").await == 2 }).await;
    assert_eq!(here.metric("tidings_cluster_nodes_lost_total", "").await, 1);
}

const STREAM: &str = "tidings:ingest";

fn ingesting(config: &mut Config) {
    config.ingest.enabled = true;
    config.ingest.pause = Duration::from_millis(5);
    // Longer than any pause of a busy machine.
    config.ingest.claim_after = Duration::from_secs(600);
    config.ingest.same_within = Duration::from_secs(60);
}

async fn what_applications_leave_is_taken_by_one_node(on: Deployment) {
    let (here, there, _nodes) = two(on, ingesting).await;
    for node in [&here, &there] {
        eventually(|| async { node.metric("tidings_ingest_connected", "").await == 1 }).await;
    }
    let mut alice = there.connect("alice").await;
    let holder = on.holder(STREAM);
    // An application may publish at any server of a Cluster.
    let anywhere = on.masters();
    for n in 0..10 {
        let like = json!({ "type": "like", "message": format!("published {n}") });
        anywhere[n % anywhere.len()].call(&["PUBLISH", "user:alice", &like.to_string()]);
        let like = json!({ "to": "alice", "type": "like", "message": format!("added {n}") });
        holder.call(&["XADD", STREAM, "*", "payload", &like.to_string()]);
    }
    assert_eq!(told(&mut alice, 20).await, (1..=20).collect::<Vec<u64>>());
    eventually(|| async { holder.call(&["XLEN", STREAM]) == "0" }).await;
    let heard = async |result: &str| {
        let (name, label) = ("tidings_ingest_messages_total", format!("result=\"{result}\""));
        here.metric(name, &label).await + there.metric(name, &label).await
    };
    eventually(|| async { heard("elsewhere").await == 10 }).await;
    assert_eq!(heard("taken").await, 10);
    let unread = here.user("alice").get("/notifications/unread-count").await.json(200);
    assert_eq!(unread["unread"], 20);
}

fn among_others(config: &mut Config) {
    config.socketio.enabled = true;
    let open = serde_json::from_value(json!({ "rule": "everyone" })).expect("a rule");
    config.rooms.insert("post".to_owned(), open);
}

async fn socketio_servers_of_others_are_heard_once(on: Deployment) {
    let (one, two, _nodes) = two(on, among_others).await;
    for node in [&one, &two] {
        eventually(|| async { node.metric("tidings_socketio_connected", "").await == 1 }).await;
    }
    let mut clients = [one.connect("alice").await, two.connect("bob").await];
    for client in &mut clients {
        joins(client, "post:1").await;
    }
    // As servers with the adapter count: on a Cluster over all of its members.
    let counted = |server: &tidings_testkit::redis::Redis| {
        let answer = server.call(&["PUBSUB", "NUMSUB", "socket.io-request#/#"]);
        answer.lines().last().and_then(|count| count.parse::<u32>().ok()).expect("a number")
    };
    let masters = on.masters();
    assert_eq!(masters.iter().copied().map(counted).sum::<u32>(), 2, "each node is one server");
    let event = json!({ "type": "from:us", "data": 1 });
    one.api().post("/rooms/post:1/events", &event).await.json(202);
    // The other node had it from the bus, and once more from there.
    let own = async || two.metric("tidings_socketio_messages_total", "result=\"own\"").await;
    eventually(|| async { own().await == 1 }).await;
    for (n, master) in masters.iter().enumerate() {
        broadcast(master, "from:them", n);
        let mut heard = Vec::new();
        for client in &mut clients {
            heard.push(hears(client, &format!("from:them:{n}")).await);
        }
        let expected = if n == 0 { vec!["from:us".to_owned()] } else { Vec::new() };
        assert_eq!(heard, [expected.clone(), expected], "{n}");
    }
}

/// Waits for an event; says which of the test's came before it.
async fn hears(client: &mut Client, awaited: &str) -> Vec<String> {
    let mut before = Vec::new();
    loop {
        match client.event().await.0 {
            name if name == awaited => return before,
            name if name.starts_with("from:") => before.push(name),
            _ => {}
        }
    }
}

/// As a server with the adapter publishes it.
fn broadcast(redis: &tidings_testkit::redis::Redis, name: &str, n: usize) {
    let script = format!(
        "local packet = {{type = 2, data = {{'{name}:{n}', 0}}, nsp = '/'}}
        local options = {{rooms = {{'post:1'}}, except = {{'nobody'}}}}
        local message = cmsgpack.pack({{'node01', packet, options}})
        return redis.call('PUBLISH', 'socket.io#/#post:1#', message)"
    );
    redis.call(&["EVAL", &script, "0"]);
}
