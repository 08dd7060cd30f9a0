//! Several nodes with one bus among Socket.IO servers of others. What those servers do themselves is tested with the real
//! ones, in `e2e/node/interop.test.mjs`.

use std::sync::Arc;

use serde_json::json;
use tidings_server::{config::Config, server::Parts};
use tidings_testkit::redis::Redis;

use crate::support::{Client, TestServer, eventually};

fn among(redis: &Redis) -> impl Fn(&mut Config) + use<> {
    let url = redis.url();
    move |config| {
        config.redis_url = Some(url.clone().into());
        config.socketio.enabled = true;
        let open = serde_json::from_value(json!({ "rule": "everyone" })).unwrap();
        config.rooms.insert("post".to_owned(), open);
    }
}

/// As a server with the adapter publishes it.
fn broadcast(redis: &Redis, name: &str, data: u32) {
    let script = format!(
        "local packet = {{type = 2, data = {{'{name}', {data}}}, nsp = '/'}}
        local options = {{rooms = {{'post:1'}}, except = {{'nobody'}}}}
        local message = cmsgpack.pack({{'node01', packet, options}})
        return redis.call('PUBLISH', 'socket.io#/#post:1#', message)"
    );
    assert_eq!(redis.call(&["EVAL", &script, "0"]), "2", "both nodes hear it");
}

async fn heard(server: &TestServer, result: &str) -> u64 {
    server.metric("tidings_socketio_messages_total", &format!("result=\"{result}\"")).await
}

async fn in_room(server: &TestServer, user: &str) -> Client {
    let mut client = server.connect(user).await;
    client.emit("room:join", json!("post:1")).await;
    client.wait("room:joined").await;
    client
}

#[tokio::test]
async fn nobody_hears_anything_twice() {
    let redis = Redis::start(&[]);
    let one = TestServer::with(among(&redis)).await;
    let parts = Parts { store: Some(Arc::clone(&one.state.store)), ..Parts::default() };
    let two = TestServer::with_parts(among(&redis), parts).await;
    for node in [&one, &two] {
        eventually(|| async { node.metric("tidings_socketio_connected", "").await == 1 }).await;
    }
    let counted = redis.call(&["PUBSUB", "NUMSUB", "socket.io-request#/#"]);
    assert_eq!(counted.lines().last(), Some("2"), "each node is one server");
    let mut clients = [in_room(&one, "alice").await, in_room(&two, "bob").await];
    let event = json!({ "type": "from:us", "data": { "n": 1 } });
    one.api().post("/rooms/post:1/events", &event).await.json(202);
    // The other node had it from the bus, and once more from there.
    eventually(|| async { heard(&two, "own").await == 1 }).await;
    broadcast(&redis, "from:them", 2);
    broadcast(&redis, "end", 3);
    for client in &mut clients {
        let mut told = Vec::new();
        loop {
            let (name, data) = client.event().await;
            match name.as_str() {
                "end" => break,
                "from:us" | "from:them" => told.push((name, data)),
                _ => {}
            }
        }
        let expected =
            [("from:us".to_owned(), json!({ "n": 1 })), ("from:them".to_owned(), json!(2))];
        assert_eq!(told, expected);
    }
    assert_eq!(heard(&one, "delivered").await, 2);
    assert_eq!(heard(&two, "delivered").await, 2);
}
