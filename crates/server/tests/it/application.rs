//! The application is asked who may join a room.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidings_core::room::RoomName;
use tidings_server::{config::Config, server::Parts, workers::look_at_memberships};

use crate::support::{
    Answering, Asked, Client, LossyBus, Says, TestServer, claims, eventually, logged, now_secs,
    sign,
};

const SECRET: &str = "a secret of the application, long enough";

pub fn ask(application: &Answering) -> impl FnOnce(&mut Config) {
    let url = application.url();
    move |config| {
        config.authorization.url = Some(url);
        config.authorization.secret = Some(SECRET.to_owned());
        // Whoever does not answer in time is asked again, and tests count the questions.
        config.authorization.timeout = Duration::from_secs(10);
        let desk = json!({ "rule": "member", "ask_application": true });
        let hall = json!({ "rule": "member", "ask_application": true, "when_down": "allow" });
        for (name, kind) in [("desk", desk), ("hall", hall)] {
            config.rooms.insert(name.to_owned(), serde_json::from_value(kind).unwrap());
        }
    }
}

pub fn yes() -> Says {
    Says::Json(json!({ "allow": true }))
}

pub fn no() -> Says {
    Says::Json(json!({ "allow": false }))
}

pub async fn join(client: &mut Client, room: &str) -> Result<(), (String, String)> {
    let answer = client.ask("room:join", json!(room)).await;
    match answer["ok"].as_bool().unwrap() {
        true => Ok(()),
        false => {
            let text = |name: &str| answer["error"][name].as_str().unwrap().to_owned();
            Err((text("code"), text("message")))
        }
    }
}

pub fn unavailable(answer: Result<(), (String, String)>) {
    assert_eq!(answer.unwrap_err().0, "UNAVAILABLE");
}

/// HMAC-SHA256 (RFC 2104), written down a second time.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// What the application does before it believes a question.
fn is_signed(asked: &Asked) -> bool {
    let header = |name: &str| asked.headers[name].to_str().unwrap();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let age = now_secs() - timestamp.parse::<i64>().unwrap();
    let signed = format!("{id}.{timestamp}.{}", asked.text());
    let expected = STANDARD.encode(hmac(SECRET.as_bytes(), signed.as_bytes()));
    age.abs() < 300 && header("webhook-signature") == format!("v1,{expected}")
}

#[tokio::test]
async fn it_is_asked_with_a_signature_and_lets_in() {
    let application = Answering::start(yes()).await;
    let server = TestServer::with(ask(&application)).await;
    let mut claims = claims("alice");
    claims["roles"] = json!(["architect"]);
    claims["groups"] = json!(["team:9"]);
    let mut alice = Client::open(server.address).await;
    alice.join(json!({ "token": sign(&claims) })).await;
    assert_eq!(join(&mut alice, "desk:1").await, Ok(()));
    assert_eq!(alice.wait("room:joined").await["room"], "desk:1");
    let asked = application.asked();
    assert_eq!(asked.len(), 1);
    assert!(is_signed(&asked[0]));
    let body: Value = serde_json::from_slice(&asked[0].body).unwrap();
    let id = asked[0].headers["webhook-id"].to_str().unwrap();
    let expected = json!({
        "requestId": id, "action": "join", "user": "alice", "roles": ["architect"],
        "groups": ["team:9"], "room": "desk:1",
    });
    assert_eq!(body, expected);
    // A changed body, id or time is noticed.
    let mut forged = asked[0].clone();
    forged.body = forged.text().replace("alice", "mallory").into_bytes();
    assert!(!is_signed(&forged));
    let mut forged = asked[0].clone();
    forged.headers.insert("webhook-id", "msg_other".parse().unwrap());
    assert!(!is_signed(&forged));
    server
        .api()
        .post("/rooms/desk:1/events", &json!({ "type": "hello", "data": {} }))
        .await
        .json(202);
    alice.wait("hello").await;
}

#[tokio::test]
async fn its_refusal_comes_with_its_reason() {
    let application = Answering::start(Says::Json(json!({
        "allow": false, "reason": format!("the desk of Ann{}", "n".repeat(1_000)), "more": [1],
    })))
    .await;
    let server = TestServer::with(ask(&application)).await;
    let mut alice = server.connect("alice-refused").await;
    let (code, message) = join(&mut alice, "desk:1").await.unwrap_err();
    assert_eq!(code, "FORBIDDEN");
    assert!(message.contains("does not let you in: the desk of Ann"), "{message}");
    assert!(message.len() < 300, "{message}");
    assert!(logged(&["event=room.refused", "alice-refused", "desk:1", "the desk of Ann"]));
    application.say(no());
    let (code, message) = join(&mut alice, "desk:2").await.unwrap_err();
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("FORBIDDEN", "the application does not let you in")
    );
    let sent = json!({ "type": "hello", "data": {} });
    server.api().post("/rooms/desk:1/events", &sent).await.json(202);
    assert!(alice.drain().await.iter().all(|(name, _)| name != "hello"));
    eventually(|| async {
        let log = server.api().get("/audit?event=room.refused&user=alice-refused").await.json(200);
        log["entries"].as_array().unwrap().len() == 2
    })
    .await;
}

#[tokio::test]
async fn it_is_asked_only_where_nothing_else_decides() {
    let application = Answering::start(no()).await;
    let server = TestServer::with(ask(&application)).await;
    server.api().put("/rooms/desk:1/members/alice", &json!({})).await.json(200);
    let mut by_token = claims("alice");
    by_token["rooms"] = json!(["desk:2*"]);
    let mut alice = Client::open(server.address).await;
    alice.join(json!({ "token": sign(&by_token) })).await;
    assert_eq!(join(&mut alice, "desk:1").await, Ok(()));
    assert_eq!(join(&mut alice, "desk:22").await, Ok(()));
    assert_eq!(join(&mut alice, "user:bob").await.unwrap_err().0, "FORBIDDEN");
    assert_eq!(join(&mut alice, "team:1").await.unwrap_err().0, "FORBIDDEN");
    assert_eq!(join(&mut alice, "admin:broadcast").await.unwrap_err().0, "FORBIDDEN");
    assert_eq!(application.count(), 0);
    assert_eq!(join(&mut alice, "desk:3").await.unwrap_err().0, "FORBIDDEN");
    assert_eq!(application.count(), 1);
}

#[tokio::test]
async fn answers_are_kept_per_user_room_and_roles() {
    let application = Answering::start(yes()).await;
    let server = TestServer::with(ask(&application)).await;
    let mut alice = server.connect("alice").await;
    for _ in 0..3 {
        assert_eq!(join(&mut alice, "desk:1").await, Ok(()));
        assert_eq!(alice.ask("room:leave", json!("desk:1")).await["ok"], true);
    }
    let mut laptop = server.connect("alice").await;
    assert_eq!(join(&mut laptop, "desk:1").await, Ok(()));
    assert_eq!(application.count(), 1);
    assert_eq!(join(&mut laptop, "desk:2").await, Ok(()));
    let mut bob = server.connect("bob").await;
    assert_eq!(join(&mut bob, "desk:1").await, Ok(()));
    assert_eq!(application.count(), 3);
    // With other roles it may say otherwise.
    application.say(no());
    let mut claims = claims("alice");
    claims["roles"] = json!(["guest"]);
    let answer = laptop.ask("auth:refresh", json!({ "token": sign(&claims) })).await;
    assert_eq!(answer["ok"], true);
    let mut left = [laptop.wait("room:left").await, laptop.wait("room:left").await];
    left.sort_by_key(|left| left["room"].to_string());
    let gone = |room| json!({ "room": room, "reason": "application" });
    assert_eq!(left, [gone("desk:1"), gone("desk:2")]);
    assert_eq!(application.count(), 5);
}

#[tokio::test]
async fn it_says_itself_how_long_an_answer_holds() {
    let application = Answering::start(Says::Json(json!({ "allow": true, "ttl": 0 }))).await;
    let server = TestServer::with(ask(&application)).await;
    let mut alice = server.connect("alice").await;
    for asked in 1..4 {
        assert_eq!(join(&mut alice, "desk:1").await, Ok(()));
        assert_eq!(alice.ask("room:leave", json!("desk:1")).await["ok"], true);
        assert_eq!(application.count(), asked);
    }
    let server = TestServer::with(|config| {
        ask(&application)(config);
        config.authorization.cache = Duration::ZERO;
    })
    .await;
    application.say(Says::Json(json!({ "allow": true, "ttl": 500 })));
    let mut alice = server.connect("alice").await;
    for _ in 0..3 {
        assert_eq!(join(&mut alice, "desk:1").await, Ok(()));
        assert_eq!(alice.ask("room:leave", json!("desk:1")).await["ok"], true);
    }
    assert_eq!(application.count(), 4);
}

#[tokio::test]
async fn who_asks_the_same_at_the_same_time_shares_an_answer() {
    let application = Answering::start(Says::Later(json!({ "allow": true }))).await;
    let server = TestServer::with(ask(&application)).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect("alice").await;
        client.emit("room:join", json!(["desk:1", "desk:1", "desk:2"])).await;
        clients.push(client);
    }
    // Two rooms, and nobody else asks before these are answered.
    eventually(|| async { application.count() == 2 }).await;
    application.release();
    for client in &mut clients {
        client.wait("room:joined").await;
        client.wait("room:joined").await;
    }
    assert_eq!(application.count(), 2);
}

#[tokio::test]
async fn who_is_taken_from_the_members_is_asked_about_anew() {
    let bus = LossyBus::default();
    let application = Answering::start(yes()).await;
    let parts = Parts { bus: Some(bus.join()), ..Parts::default() };
    let first = TestServer::with_parts(ask(&application), parts).await;
    let store = Some(Arc::clone(&first.state.store));
    let parts = Parts { store, bus: Some(bus.join()), ..Parts::default() };
    let second = TestServer::with_parts(ask(&application), parts).await;
    let mut here = first.connect("alice").await;
    let mut there = second.connect("alice").await;
    assert_eq!(join(&mut here, "desk:1").await, Ok(()));
    assert_eq!(join(&mut there, "desk:1").await, Ok(()));
    // This one has heard the answer about a room that nobody of it is in any more.
    assert_eq!(join(&mut there, "desk:2").await, Ok(()));
    assert_eq!(there.ask("room:leave", json!("desk:2")).await["ok"], true);
    application.say(no());
    let mut other = first.connect("alice").await;
    assert_eq!(join(&mut other, "desk:1").await, Ok(()), "the answer still holds");
    first.api().delete("/rooms/desk:1/members/alice").await.json(200);
    first.api().delete("/rooms/desk:2/members/alice").await.json(200);
    for client in [&mut here, &mut there, &mut other] {
        let left = client.wait("room:left").await;
        if left["room"] == "desk:2" {
            continue;
        }
        assert_eq!(left, json!({ "room": "desk:1", "reason": "application" }));
    }
    assert_eq!(join(&mut there, "desk:2").await.unwrap_err().0, "FORBIDDEN");
    assert_eq!(join(&mut here, "desk:1").await.unwrap_err().0, "FORBIDDEN");
}

#[tokio::test]
async fn it_is_asked_again_about_those_who_are_in() {
    let application = Answering::start(yes()).await;
    let server = TestServer::with(|config| {
        ask(&application)(config);
        config.authorization.cache = Duration::ZERO;
        config.authorization.pause = Duration::from_millis(10);
    })
    .await;
    let mut alice = server.connect("alice").await;
    assert_eq!(join(&mut alice, "desk:1").await, Ok(()));
    look_at_memberships(server.state.clone()).await.unwrap();
    assert_eq!(application.count(), 2);
    // While it does not answer, nobody is taken out.
    application.say(Says::Status(503));
    look_at_memberships(server.state.clone()).await.unwrap();
    assert!(application.count() > 2);
    assert!(alice.drain().await.iter().all(|(name, _)| name != "room:left"));
    application.say(no());
    let desk = RoomName::parse("desk:1").unwrap();
    eventually(|| async {
        look_at_memberships(server.state.clone()).await.unwrap();
        server.state.rooms.presence(&desk).users == 0
    })
    .await;
    assert_eq!(alice.wait("room:left").await, json!({ "room": "desk:1", "reason": "application" }));
}
