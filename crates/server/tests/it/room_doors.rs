//! Who may join a room does not depend on how a client is connected: every reason, with its yes
//! and its no, over Socket.IO, plain WebSockets and event streams.

use serde_json::{Value, json};
use tidings_server::config::Config;

use crate::support::{Answering, Client, Plain, Says, Stream, TestServer, claims, sign};

/// Joins one room in every way; what each is answered: `OK`, or the code of the error.
async fn outcomes(server: &TestServer, token: &str, room: &str) -> [String; 3] {
    let code = |answer: &Value| match answer["ok"].as_bool() {
        Some(true) => "OK".to_owned(),
        _ => answer["error"]["code"].as_str().expect("a code").to_owned(),
    };
    let mut socket_io = Client::open(server.address).await;
    socket_io.join(json!({ "token": token })).await;
    let by_socket_io = code(&socket_io.ask("room:join", json!(room)).await);

    let mut plain = Plain::open(server, "/ws").await;
    plain.say(json!({ "type": "auth", "token": token })).await;
    plain.hear("notifications:pending").await;
    plain.say(json!({ "type": "room:join", "requestId": 1, "room": room })).await;
    let by_plain = code(&plain.hear("ack").await);

    let mut stream = Stream::open(server, token, &format!("?rooms={room}")).await;
    let by_stream = loop {
        let sent = stream.next().await.expect("open");
        match (sent.name.as_str(), sent.data["room"] == room) {
            ("room:joined", true) => break "OK".to_owned(),
            ("error", true) => break sent.data["code"].as_str().expect("a code").to_owned(),
            _ => {}
        }
    };
    [by_socket_io, by_plain, by_stream]
}

fn token(more: &Value) -> String {
    let mut claims = claims("alice");
    for (name, value) in more.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    sign(&claims)
}

/// Every way of joining comes to the same: it is `expected`.
async fn all(server: &TestServer, more: Value, room: &str, expected: &str) {
    let outcomes = outcomes(server, &token(&more), room).await;
    assert_eq!(outcomes, [expected; 3].map(str::to_owned), "{room} with {more}");
}

fn kinds(config: &mut Config) {
    for (name, kind) in [
        ("hall", json!({ "rule": "everyone" })),
        ("desk", json!({ "rule": "member", "ask_application": true })),
    ] {
        config.rooms.insert(name.to_owned(), serde_json::from_value(kind).expect("a kind"));
    }
}

#[tokio::test]
async fn rules_tokens_and_memberships_decide_alike_at_every_door() {
    let server = TestServer::with(|config| {
        config.authorization.url = Some("http://127.0.0.1:9/".into());
        config.authorization.secret = Some("x".repeat(32));
        kinds(config);
    })
    .await;
    server.api().put("/rooms/dm:1/members/alice", &json!({})).await.json(200);
    let admin = json!({ "roles": ["admin"] });
    let groups = json!({ "groups": ["7", "team:9"] });
    let globs = json!({ "rooms": ["task:1*"] });
    let greedy = json!({ "rooms": ["*"], "roles": ["user"] });
    let none = json!({});
    for (more, room, expected) in [
        (&none, "user:alice", "OK"),
        (&greedy, "user:bob", "FORBIDDEN"),
        (&admin, "admin:broadcast", "OK"),
        (&greedy, "admin:broadcast", "FORBIDDEN"),
        (&none, "hall:1", "OK"),
        (&groups, "group:7", "OK"),
        (&groups, "group:8", "FORBIDDEN"),
        (&groups, "team:9", "OK"),
        (&globs, "task:12", "OK"),
        (&globs, "task:2", "FORBIDDEN"),
        (&none, "dm:1", "OK"),
        (&none, "dm:2", "FORBIDDEN"),
        (&none, "nonsense:1", "UNKNOWN_KIND"),
    ] {
        all(&server, more.clone(), room, expected).await;
    }
}

#[tokio::test]
async fn the_application_decides_alike_at_every_door() {
    let application = Answering::start(Says::Json(json!({ "allow": true }))).await;
    let server = TestServer::with(|config| {
        config.authorization.url = Some(application.url());
        config.authorization.secret = Some("x".repeat(32));
        kinds(config);
    })
    .await;
    all(&server, json!({}), "desk:1", "OK").await;
    assert_eq!(application.count(), 1, "one answer for all of them");
    application.say(Says::Json(json!({ "allow": false })));
    all(&server, json!({}), "desk:2", "FORBIDDEN").await;
    application.say(Says::Status(404));
    all(&server, json!({}), "desk:3", "UNAVAILABLE").await;
}
