//! Notifications that applications leave in a real Redis.

use std::{collections::BTreeSet, path::Path, time::Duration};

use serde_json::{Value, json};
use tidings_server::config::Config;
use tidings_testkit::redis::Redis;

use crate::support::{TestServer, Tidings, claims, eventually, fresh, impatient, sign};

const STREAM: &str = "tidings:ingest";

fn on(redis: &Redis) -> impl FnOnce(&mut Config) + use<> {
    let url = redis.url();
    move |config| {
        config.ingest.enabled = true;
        config.ingest.redis_url = Some(url.into());
        config.ingest.pause = Duration::from_millis(5);
        config.ingest.claim_after = Duration::from_millis(200);
        // Longer than any pause of a busy machine.
        config.ingest.same_within = Duration::from_secs(60);
    }
}

/// A server that listens to all channels.
async fn listening(redis: &Redis, configure: impl FnOnce(&mut Config)) -> TestServer {
    let common = on(redis);
    let server = TestServer::with(|config| {
        common(config);
        configure(config);
    })
    .await;
    eventually(|| async { server.metric("tidings_ingest_connected", "").await == 1 }).await;
    server
}

fn like(message: &str) -> String {
    json!({ "to": "alice", "type": "like", "message": message }).to_string()
}

fn add(redis: &Redis, payload: &str) -> String {
    redis.call(&["XADD", STREAM, "*", "payload", payload])
}

async fn entries(server: &TestServer, result: &str) -> u64 {
    server.metric("tidings_ingest_entries_total", &format!("result=\"{result}\"")).await
}

async fn messages(server: &TestServer, user: &str) -> Vec<String> {
    let page = server.user(user).get("/notifications?limit=100").await.json(200);
    let list = page["notifications"].as_array().expect("a list").clone();
    list.iter().map(|one| one["message"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn what_is_added_to_the_stream_is_carried_out_and_gone() {
    let redis = Redis::start(&[]);
    let server = listening(&redis, |_| {}).await;
    let mut alice = server.connect("alice").await;
    add(&redis, &like("Bob liked your post"));
    assert_eq!(alice.wait("notification").await["message"], "Bob liked your post");
    eventually(|| async { redis.call(&["XLEN", STREAM]) == "0" }).await;
    eventually(|| async {
        redis.call(&["XPENDING", STREAM, "tidings"]).lines().next() == Some("0")
    })
    .await;
    for n in 0..50 {
        add(&redis, &like(&format!("n{n}")));
    }
    let last = |notification: &Value| notification["message"] == "n49";
    while !last(&alice.wait("notification").await) {}
    let mut listed = messages(&server, "alice").await;
    listed.reverse();
    let expected: Vec<String> = (0..50).map(|n| format!("n{n}")).collect();
    assert_eq!(listed[1..], expected, "in their order");
}

#[tokio::test]
async fn what_is_published_reaches_who_the_channel_names() {
    let redis = Redis::start(&[]);
    let server = listening(&redis, |config| {
        for kind in ["task", "post"] {
            let open = serde_json::from_value(json!({ "rule": "everyone" })).unwrap();
            config.rooms.insert(kind.to_owned(), open);
        }
        let more = [("tasks:updates", "room"), ("admin:notifications", "room:post:admins")];
        let more = more.map(|(channel, target)| (channel.to_owned(), target.to_owned()));
        config.ingest.channels.extend(more);
    })
    .await;
    let mut alice = server.connect("alice").await;
    let publish = |channel: &str, message: Value| {
        assert_eq!(redis.call(&["PUBLISH", channel, &message.to_string()]), "1");
    };
    publish("user:alice", json!({ "type": "like", "message": "by user" }));
    assert_eq!(alice.wait("notification").await["message"], "by user");
    let error = json!({ "code": "E1", "message": "It broke" });
    let told = json!({ "user_id": "alice", "type": "error_docs", "timestamp": "2026-11-21T00:00:00Z",
        "payload": { "error": error, "suggestions": ["restart"] } });
    publish("channels:user:alice", told);
    let heard = alice.wait("notification").await;
    assert_eq!((&heard["message"], &heard["data"]["error"]), (&"It broke".into(), &error));
    publish("channels:broadcast", json!({ "type": "system", "message": "to everybody" }));
    assert_eq!(alice.wait("notification").await["message"], "to everybody");
    alice.emit("room:join", json!(["post:admins", "task:1"])).await;
    alice.wait("room:joined").await;
    alice.wait("room:joined").await;
    publish(
        "tasks:updates",
        json!({ "room": "task:1", "type": "task:update", "data": { "n": 1 } }),
    );
    assert_eq!(alice.wait("task:update").await, json!({ "n": 1 }));
    publish("admin:notifications", json!({ "type": "admin:news", "data": { "n": 2 } }));
    assert_eq!(alice.wait("admin:news").await, json!({ "n": 2 }));
    eventually(|| async { entries(&server, "said").await == 2 }).await;
    assert_eq!(entries(&server, "accepted").await, 3);
}

#[tokio::test]
async fn of_two_nodes_exactly_one_takes_a_message() {
    let redis = Redis::start(&[]);
    // Each with a store of its own: what both took would be stored twice. So would what a slow one loses to the other.
    let patient = |config: &mut Config| config.ingest.claim_after = Duration::from_secs(600);
    let nodes = [listening(&redis, patient).await, listening(&redis, patient).await];
    let channel = json!({ "type": "like", "message": "" });
    for n in 0..40 {
        let mut message = channel.clone();
        message["message"] = format!("n{n}").into();
        assert_eq!(redis.call(&["PUBLISH", "user:alice", &message.to_string()]), "2");
    }
    let both = || async {
        let [one, two] = &nodes;
        [messages(one, "alice").await, messages(two, "alice").await].concat()
    };
    eventually(|| async { both().await.len() >= 40 }).await;
    let heard = async |result: &str| {
        let [one, two] = &nodes;
        let label = format!("result=\"{result}\"");
        let name = "tidings_ingest_messages_total";
        one.metric(name, &label).await + two.metric(name, &label).await
    };
    eventually(|| async { heard("elsewhere").await == 40 }).await;
    assert_eq!(heard("taken").await, 40);
    eventually(|| async { redis.call(&["XLEN", STREAM]) == "0" }).await;
    let all = both().await;
    assert_eq!(all.len(), 40, "{all:?}");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 40);
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_put_aside_with_the_reason() {
    let redis = Redis::start(&[]);
    let server = listening(&redis, |_| {}).await;
    let mut alice = server.connect("alice").await;
    let bad = add(&redis, "not JSON");
    add(&redis, &json!({ "to": "alice", "type": "like", "message": "" }).to_string());
    redis.call(&["XADD", STREAM, "*", "body", &like("no field payload")]);
    redis.call(&["XADD", STREAM, "*", "channel", "unknown", "payload", &like("m")]);
    redis.call(&["PUBLISH", "user:alice", &json!({ "to": "bob", "type": "like" }).to_string()]);
    eventually(|| async { entries(&server, "dead").await == 5 }).await;
    add(&redis, &like("good"));
    assert_eq!(alice.wait("notification").await["message"], "good", "nothing is held up");
    let dead = redis.call(&["XRANGE", "tidings:ingest:dead", "-", "+"]);
    for reason in [&bad, "not JSON", "/message", "no field `payload`", "not configured", "/to"] {
        assert!(dead.contains(reason), "{reason}: {dead}");
    }
    eventually(|| async { redis.call(&["XLEN", STREAM]) == "0" }).await;
    assert_eq!(messages(&server, "bob").await, Vec::<String>::new());
}

#[tokio::test]
async fn an_entry_that_is_delivered_again_is_not_doubled() {
    let redis = Redis::start(&[]);
    let server = listening(&redis, |_| {}).await;
    let id = add(&redis, &like("once"));
    eventually(|| async { entries(&server, "accepted").await == 1 }).await;
    // As if it had died between the commit and the acknowledgement; and Redis had lost the group too.
    redis.call(&["DEL", STREAM]);
    redis.call(&["XADD", STREAM, &id, "payload", &like("once")]);
    eventually(|| async { entries(&server, "repeated").await == 1 }).await;
    assert_eq!(messages(&server, "alice").await, ["once"]);
}

#[tokio::test]
async fn entries_of_a_dead_node_are_taken_over() {
    let redis = Redis::start(&[]);
    redis.call(&["XGROUP", "CREATE", STREAM, "tidings", "0", "MKSTREAM"]);
    add(&redis, &like("left behind"));
    let ghost = ["XREADGROUP", "GROUP", "tidings", "ghost", "COUNT", "1", "STREAMS", STREAM, ">"];
    assert!(redis.call(&ghost).contains("left behind"));
    let server = listening(&redis, |_| {}).await;
    eventually(|| async { messages(&server, "alice").await == ["left behind"] }).await;
    eventually(|| async { redis.call(&["XLEN", STREAM]) == "0" }).await;
}

#[tokio::test]
async fn with_the_database_away_entries_wait_in_their_order() {
    let redis = Redis::start(&[]);
    let server = listening(&redis, impatient).await;
    let outage = server.away().await;
    for n in 0..3 {
        add(&redis, &like(&format!("n{n}")));
    }
    let pending = || redis.call(&["XPENDING", STREAM, "tidings"]).lines().next().map(str::to_owned);
    assert_eq!(redis.call(&["XLEN", STREAM]), "3");
    outage.end().await;
    eventually(|| async { messages(&server, "alice").await == ["n2", "n1", "n0"] }).await;
    eventually(|| async { pending().as_deref() == Some("0") }).await;
    assert_eq!(entries(&server, "dead").await, 0);
}

#[tokio::test]
async fn what_the_database_refuses_is_put_aside() {
    let redis = Redis::start(&[]);
    let server = listening(&redis, |_| {}).await;
    server.poison("poisonous").await;
    add(&redis, &like("poisonous"));
    add(&redis, &json!({ "to": "bob", "type": "like", "message": "good" }).to_string());
    eventually(|| async { messages(&server, "bob").await == ["good"] }).await;
    eventually(|| async { entries(&server, "dead").await == 1 }).await;
    let dead = redis.call(&["XRANGE", "tidings:ingest:dead", "-", "+"]);
    assert!(dead.contains("on purpose"), "{dead}");
}

#[tokio::test]
async fn it_goes_on_after_redis_was_away() {
    let redis = Redis::start(&[]);
    let server = listening(&redis, |_| {}).await;
    redis.kill();
    eventually(|| async { server.metric("tidings_ingest_connected", "").await == 0 }).await;
    redis.restart();
    add(&redis, &like("after"));
    eventually(|| async { messages(&server, "alice").await == ["after"] }).await;
    eventually(|| async { server.metric("tidings_ingest_connected", "").await == 1 }).await;
    let message = json!({ "type": "like", "message": "published" });
    redis.call(&["PUBLISH", "user:alice", &message.to_string()]);
    eventually(|| async { messages(&server, "alice").await.len() == 2 }).await;
}

const ENTRIES: usize = 600;
const KILLS: usize = 4;

async fn serve(path: &Path, redis: &Redis) -> Tidings {
    let mut command = Tidings::command(path);
    command.args(["serve", "--port", "0"]);
    command.env("TIDINGS_INGEST__ENABLED", "true").env("TIDINGS_INGEST__REDIS_URL", redis.url());
    command.env("TIDINGS_INGEST__CLAIM_AFTER", "200ms");
    Tidings::spawn(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_and_repeats_nothing() {
    let redis = Redis::start(&[]);
    let (_dir, path) = fresh();
    let left = || redis.call(&["XLEN", STREAM]).parse::<usize>().expect("a number");
    for kill in 0..KILLS {
        let server = serve(&path, &redis).await;
        let from = kill * ENTRIES / KILLS;
        for n in from..from + ENTRIES / KILLS {
            add(&redis, &like(&format!("n{n}")));
            // While some of them are under way.
            if n == from + ENTRIES / KILLS / 2 {
                break;
            }
        }
        let most = left();
        eventually(|| async { left() < most || left() == 0 }).await;
        server.kill().await;
        for n in from + ENTRIES / KILLS / 2 + 1..from + ENTRIES / KILLS {
            add(&redis, &like(&format!("n{n}")));
        }
    }
    let server = serve(&path, &redis).await;
    eventually(|| async { left() == 0 }).await;
    let alice = server.api(Some(sign(&claims("alice"))));
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = alice.get(&format!("/notifications?limit=100{cursor}")).await.json(200);
        let entries = page["notifications"].as_array().expect("a list").clone();
        let texts = entries.iter().map(|one| one["message"].as_str().expect("a text").to_owned());
        listed.extend(texts);
        match page["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed.len(), ENTRIES);
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>().len(), ENTRIES);
}
