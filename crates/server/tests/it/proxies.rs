//! Two nodes behind the real nginx and the real HAProxy, with the files of `deploy/`.

use std::{net::Ipv4Addr, sync::Arc};

use serde_json::{Value, json};
use tidings_server::{config::Config, lifecycle::Phase, server::Parts};
use tidings_testkit::{postgres::Database, redis::Redis};
use tokio::net::TcpSocket;

use crate::support::{
    Answer, Balancer, Client, Kind, Polling, Stream, TestServer, claims, eventually, sign, store,
    within,
};

/// More than either program sends to one node by chance.
const MANY: u8 = 24;

struct Behind {
    nodes: [TestServer; 2],
    balancer: Balancer,
    _database: Arc<Database<'static>>,
}

impl Behind {
    async fn start(kind: Kind) -> Self {
        let database = store::postgres().await;
        let prefix = format!("test-{:08x}", rand::random::<u32>());
        let configure = |config: &mut Config| {
            config.database_url = Some(database.url().into());
            // Many tests share a server.
            config.database.readers = 3;
            config.database.lanes = 1;
            config.redis_url = Some(Redis::shared().url().into());
            config.redis.prefix.clone_from(&prefix);
            config.http.trusted_proxies = vec![Balancer::own_address()];
        };
        let nodes = [
            TestServer::with_parts(configure, Parts::default()).await,
            TestServer::with_parts(configure, Parts::default()).await,
        ];
        for node in &nodes {
            eventually(|| async { node.state.bus.health().connected }).await;
        }
        let balancer = Balancer::start(kind, &nodes.each_ref().map(|node| node.address)).await;
        Self { nodes, balancer, _database: database }
    }

    /// A device on a WebSocket, from an address of its own.
    async fn websocket(&self, user: &str, from: Ipv4Addr) -> Client {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("bound");
        let stream = within(socket.connect(self.balancer.address)).await.expect("a listener");
        let mut client = Client::over(stream).await;
        client.join(json!({ "token": token(user) })).await;
        client.wait("notifications:pending").await;
        client
    }

    async fn polling(&self, user: &str, from: Ipv4Addr) -> Polling {
        let client = Polling::open(self.balancer.address, from).await;
        client.join(&json!({ "token": token(user) })).await;
        client
    }

    /// How many connections each node has.
    fn connections(&self) -> [i64; 2] {
        self.nodes.each_ref().map(|node| node.state.metrics.active_connections())
    }

    /// As the application, through the proxy.
    async fn notify(&self, user: &str, message: &str) {
        let key = Some(self.nodes[0].key.clone());
        self.balancer.api(client(0), key).notify(user, message).await;
    }
}

/// An address of this machine that is not the proxy's.
fn client(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, n)
}

fn token(user: &str) -> String {
    sign(&claims(user))
}

async fn websockets_are_spread_over_the_nodes_and_told(kind: Kind) {
    let behind = Behind::start(kind).await;
    let mut clients = Vec::new();
    for n in 0..8 {
        clients.push(behind.websocket(&format!("user-{n}"), client(1)).await);
    }
    assert_eq!(behind.connections(), [4, 4], "also those of one address");
    for (n, client) in clients.iter_mut().enumerate() {
        behind.notify(&format!("user-{n}"), "hello").await;
        assert_eq!(client.wait("notification").await["seq"], 1);
    }
}

async fn an_event_stream_comes_through_at_once(kind: Kind) {
    let behind = Behind::start(kind).await;
    let api = behind.balancer.api(client(1), Some(token("alice")));
    let mut stream = Stream::try_open(api.request("GET", "/stream")).await.expect("a stream");
    stream.wait("notifications:pending").await;
    for n in 1..=3 {
        behind.notify("alice", "hello").await;
        assert_eq!(stream.wait("notification").await.id, Some(n.to_string()));
    }
}

async fn a_polling_client_stays_on_its_node_and_goes_over_to_websocket(kind: Kind) {
    let behind = Behind::start(kind).await;
    let mut clients = Vec::new();
    for n in 0..MANY {
        let client = behind.polling(&format!("user-{n}"), client(n)).await;
        behind.notify(&format!("user-{n}"), "polled").await;
        assert_eq!(client.wait("notification").await["message"], "polled");
        clients.push(client);
    }
    let [one, other] = behind.connections();
    assert!(one > 0 && other > 0 && one + other == i64::from(MANY), "{one} and {other}");
    for (n, client) in clients.into_iter().enumerate() {
        let mut client = client.upgrade().await;
        behind.notify(&format!("user-{n}"), "pushed").await;
        assert_eq!(client.wait("notification").await["message"], "pushed");
    }
}

async fn the_address_of_the_client_arrives(kind: Kind) {
    let behind = Behind::start(kind).await;
    let _websocket = behind.websocket("alice", client(7)).await;
    let _polling = behind.polling("bob", client(8)).await;
    let api = behind.balancer.api(client(9), Some(token("carol")));
    // What it says of itself does not count.
    let lying = api.request("GET", "/stream").header("x-forwarded-for", "203.0.113.1");
    let _stream = Stream::try_open(lying).await.expect("a stream");
    for (user, from) in [("alice", client(7)), ("bob", client(8)), ("carol", client(9))] {
        let path = format!("/connections?user={user}");
        let find = || async {
            let found = behind.nodes[0].api().get(&path).await.json(200);
            found["connections"][0]["ip"].as_str().map(str::to_owned)
        };
        eventually(|| async { find().await.is_some() }).await;
        assert_eq!(find().await, Some(from.to_string()), "{user}");
    }
}

async fn a_node_that_drains_gets_no_new_clients(kind: Kind) {
    let behind = Behind::start(kind).await;
    let api = behind.balancer.api(client(1), None);
    match kind {
        // It asks whether the node is ready, and who is there already is served on.
        Kind::HaProxy => {
            let mut there = Vec::new();
            for n in 0..MANY {
                there.push(behind.polling(&format!("user-{n}"), client(n)).await);
            }
            behind.nodes[0].state.lifecycle.enter(Phase::Unready);
            let node = || async {
                let answer = Answer::of(api.http.get(format!("{}/health", api.origin))).await;
                serde_json::from_str::<Value>(&answer.text).expect("JSON")["nodeId"].clone()
            };
            let ready = &json!(behind.nodes[1].state.node_id);
            eventually(|| async { node().await == *ready && node().await == *ready }).await;
            for (n, client) in there.iter().enumerate() {
                behind.notify(&format!("user-{n}"), "still here").await;
                assert_eq!(client.wait("notification").await["message"], "still here");
            }
        }
        // It is refused by the node, and asks the next.
        Kind::Nginx => behind.nodes[0].state.lifecycle.enter(Phase::Draining),
    }
    let before = behind.connections();
    let mut new = Vec::new();
    for n in 0..8 {
        new.push(behind.websocket(&format!("new-{n}"), client(n)).await);
    }
    for (n, client) in new.iter_mut().enumerate() {
        behind.notify(&format!("new-{n}"), "hello").await;
        assert_eq!(client.wait("notification").await["seq"], 1);
    }
    let after = behind.connections();
    assert!(after[0] <= before[0] && after[1] >= before[1] + 8, "{before:?} {after:?}");
}

async fn a_node_that_is_gone_is_passed_over(kind: Kind) {
    let behind = Behind::start(kind).await;
    let Behind { nodes: [gone, there], balancer, _database } = behind;
    gone.stop().await;
    let api = balancer.api(client(1), Some(there.key.clone()));
    for n in 0..8 {
        let mut client = Client::open(balancer.address).await;
        client.join(json!({ "token": token(&format!("user-{n}")) })).await;
        client.wait("notifications:pending").await;
        // What it could not send it sends to the other, also if that changes something.
        api.notify(&format!("user-{n}"), "hello").await;
        assert_eq!(client.wait("notification").await["seq"], 1);
    }
}

async fn a_poll_that_lands_on_another_node_is_refused_at_once_and_the_client_recovers(kind: Kind) {
    let behind = Behind::start(kind).await;
    let mut alice = behind.polling("alice", client(1)).await;
    behind.notify("alice", "first").await;
    let rev = alice.wait("notification").await["rev"].clone();
    behind.notify("alice", "missed").await;
    // As one that keeps no cookies and moves on to where the other node answers.
    alice.cookie = None;
    for n in 2.. {
        alice.move_to(client(n));
        if alice.say(r#"42["heartbeat"]"#).await.status != 200 {
            break;
        }
    }
    let refused = alice.poll_once().await;
    assert_eq!(refused.status, 400);
    let unknown = json!({ "code": 1, "message": "Session ID unknown" });
    assert_eq!(serde_json::from_str::<Value>(&refused.text).expect("JSON"), unknown);
    let alice = Polling::open(behind.balancer.address, alice.from).await;
    let pending = alice.join(&json!({ "token": token("alice"), "since": rev })).await;
    let missed = pending["notifications"].as_array().expect("notifications");
    assert_eq!((missed.len(), &missed[0]["message"]), (1, &json!("missed")));
}

async fn what_is_too_large_or_not_for_everybody_is_refused(kind: Kind) {
    let behind = Behind::start(kind).await;
    let api = behind.balancer.api(client(1), Some(behind.nodes[0].key.clone()));
    // What a node would take goes through, and is its own business.
    let large = |size: usize| format!(r#"{{"message":"{}"}}"#, "x".repeat(size));
    let judged = api.post_raw("/notifications", large(1_000_000)).await;
    assert_eq!(judged.header("content-type"), "application/problem+json", "{}", judged.text);
    // The proxy may close before everything was sent; then there is no answer to read.
    let request = api.request("POST", "/notifications").body(large(3_000_000));
    if let Ok(answer) = within(request.send()).await {
        assert_eq!(answer.status(), 413);
    }
    let metrics = Answer::of(api.http.get(format!("{}/metrics", api.origin))).await;
    assert_eq!(metrics.status, 404);
}

#[tokio::test]
async fn a_browser_that_moves_keeps_its_node_by_haproxys_cookie() {
    let behind = Behind::start(Kind::HaProxy).await;
    let mut alice = behind.polling("alice", client(1)).await;
    assert!(alice.cookie.as_ref().is_some_and(|cookie| cookie.starts_with("tidings_node=")));
    for n in 2..MANY {
        alice.move_to(client(n));
        behind.notify("alice", "found").await;
        assert_eq!(alice.wait("notification").await["message"], "found");
    }
}

/// The same behind each.
macro_rules! behind_both {
    ($($test:ident)*) => {
        mod nginx {
            $(#[tokio::test] async fn $test() { super::$test(super::Kind::Nginx).await; })*
        }
        mod haproxy {
            $(#[tokio::test] async fn $test() { super::$test(super::Kind::HaProxy).await; })*
        }
    };
}

behind_both! {
    websockets_are_spread_over_the_nodes_and_told
    an_event_stream_comes_through_at_once
    a_polling_client_stays_on_its_node_and_goes_over_to_websocket
    the_address_of_the_client_arrives
    a_node_that_drains_gets_no_new_clients
    a_node_that_is_gone_is_passed_over
    a_poll_that_lands_on_another_node_is_refused_at_once_and_the_client_recovers
    what_is_too_large_or_not_for_everybody_is_refused
}
