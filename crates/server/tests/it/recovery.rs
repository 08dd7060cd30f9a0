//! Connections that break and go on where they were, as the JavaScript client asks for it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    rooms::{add, joins},
    support::{Client, TestServer, claims, eventually, logged, sign},
};

pub async fn says(server: &TestServer, room: &str, n: u64) {
    let event = json!({ "type": "said", "data": { "n": n } });
    server.api().post(&format!("/rooms/{room}/events"), &event).await.json(202);
}

pub async fn notify(server: &TestServer, user: &str, message: &str) {
    let body = json!({ "to": user, "type": "like", "message": message });
    server.api().post("/notifications", &body).await.json(201);
}

/// Cuts the connection; when it returns the server knows.
pub async fn cut(server: &TestServer, client: Client, user: &str) -> Value {
    let claim = client.coming_back(json!({ "token": server.token(user) }));
    drop(client);
    let user = tidings_core::ids::UserId::new(user).expect("an id");
    eventually(async || server.state.hub.sessions_of(&user).is_empty()).await;
    claim
}

pub async fn back(server: &TestServer, claim: Value) -> (Client, Value) {
    let mut client = Client::open(server.address).await;
    let answer = client.resume(claim).await;
    (client, answer)
}

pub fn numbers(events: &[(String, Value)]) -> Vec<u64> {
    let said = events.iter().filter(|(name, _)| name == "said");
    said.filter_map(|(_, data)| data["n"].as_u64()).collect()
}

pub fn messages(pending: &Value) -> Vec<&str> {
    let items = pending["notifications"].as_array().expect("a list");
    items.iter().filter_map(|item| item["message"].as_str()).collect()
}

#[tokio::test]
async fn who_comes_back_has_its_id_its_rooms_and_what_it_missed_each_once() {
    let server = TestServer::start().await;
    add(&server, "group:7", "alice").await;
    let mut alice = server.connect("alice").await;
    joins(&mut alice, "group:7").await;
    says(&server, "group:7", 1).await;
    assert_eq!(alice.wait("said").await["n"], 1);
    notify(&server, "alice", "before").await;
    alice.wait("notification:count").await;
    let mut claim = cut(&server, alice, "alice").await;
    for round in 1..=3 {
        says(&server, "group:7", round * 10).await;
        says(&server, "group:8", 99).await;
        says(&server, "user:alice", round * 10 + 1).await;
        notify(&server, "alice", &format!("missed {round}")).await;
        let (mut alice, answer) = back(&server, claim.clone()).await;
        assert_eq!(answer["pid"], claim["pid"], "round {round}");
        assert_eq!(numbers(&alice.heard()), [round * 10, round * 10 + 1], "before the answer");
        let connected = alice.wait("connected").await;
        assert_eq!(connected["recovered"], true, "round {round}");
        assert_eq!(connected["socketId"], answer["sid"]);
        let pending = alice.wait("notifications:pending").await;
        assert_eq!(messages(&pending), [format!("missed {round}")]);
        says(&server, "group:7", 5).await;
        notify(&server, "alice", "live").await;
        assert_eq!(alice.wait("said").await["n"], 5, "it is in its rooms");
        assert_eq!(alice.wait("notification").await["message"], "live");
        alice.wait("notification:count").await;
        claim = cut(&server, alice, "alice").await;
    }
}

#[tokio::test]
async fn what_was_sent_and_not_received_is_sent_again() {
    let server = TestServer::start().await;
    add(&server, "group:7", "alice").await;
    let mut alice = server.connect("alice").await;
    joins(&mut alice, "group:7").await;
    notify(&server, "alice", "received").await;
    alice.wait("notification:count").await;
    says(&server, "group:7", 1).await;
    alice.wait("said").await;
    // On their way, and never read.
    notify(&server, "alice", "lost").await;
    says(&server, "group:7", 2).await;
    let claim = cut(&server, alice, "alice").await;
    let (mut alice, _) = back(&server, claim).await;
    assert_eq!(numbers(&alice.heard()), [2]);
    assert_eq!(alice.wait("connected").await["recovered"], true);
    assert_eq!(messages(&alice.wait("notifications:pending").await), ["lost"]);
}

#[tokio::test]
async fn a_client_that_says_what_it_has_is_believed() {
    let server = TestServer::start().await;
    notify(&server, "alice", "one").await;
    notify(&server, "alice", "two").await;
    let alice = server.connect("alice").await;
    let mut claim = cut(&server, alice, "alice").await;
    claim["since"] = json!(1);
    let (mut alice, _) = back(&server, claim).await;
    assert_eq!(alice.wait("connected").await["recovered"], true);
    assert_eq!(messages(&alice.wait("notifications:pending").await), ["two"]);
}

#[tokio::test]
async fn a_connection_that_only_the_server_believes_in_is_taken_over_and_does_not_count() {
    let server = TestServer::with(|config| config.limits.connections_per_user = 2).await;
    let mut other = server.connect("alice").await;
    let mut alice = server.connect("alice").await;
    let sid = server.state.hub.sessions_of(&"alice".parse().expect("an id")).len();
    assert_eq!(sid, 2);
    says(&server, "user:alice", 1).await;
    alice.wait("said").await;
    let claim = alice.coming_back(json!({ "token": server.token("alice") }));
    let (mut again, _) = back(&server, claim).await;
    assert_eq!(again.wait("connected").await["recovered"], true);
    other.wait("said").await;
    says(&server, "user:alice", 2).await;
    assert_eq!(other.wait("said").await["n"], 2, "nobody had to go for it");
    assert_eq!(again.wait("said").await["n"], 2);
}

#[tokio::test]
async fn rooms_are_authorised_again() {
    let server = TestServer::start().await;
    for room in ["group:7", "group:8"] {
        add(&server, room, "alice").await;
    }
    let mut alice = server.connect("alice").await;
    joins(&mut alice, "group:7").await;
    joins(&mut alice, "group:8").await;
    let claim = cut(&server, alice, "alice").await;
    server.api().delete("/rooms/group:7/members/alice").await.json(200);
    says(&server, "group:7", 7).await;
    says(&server, "group:8", 8).await;
    let (mut alice, _) = back(&server, claim).await;
    assert_eq!(numbers(&alice.heard()), [8], "nothing from where it may not be");
    assert_eq!(alice.wait("connected").await["recovered"], true);
    says(&server, "group:7", 70).await;
    says(&server, "group:8", 80).await;
    assert_eq!(alice.wait("said").await["n"], 80);
}

#[tokio::test]
async fn a_pid_is_worth_nothing_without_a_token_of_its_user() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    says(&server, "user:alice", 1).await;
    alice.wait("said").await;
    let mut claim = cut(&server, alice, "alice").await;
    says(&server, "user:alice", 2).await;
    let own = claim["token"].take();
    let mut expired = claims("alice");
    expired["exp"] = json!(1);
    for token in [Value::Null, json!(sign(&expired))] {
        claim["token"] = token;
        let mut nobody = Client::open(server.address).await;
        nobody.try_join(claim.clone()).await.expect_err("refused");
    }
    claim["token"] = server.token("mallory").into();
    let (mut mallory, answer) = back(&server, claim.clone()).await;
    assert_ne!(answer["pid"], claim["pid"]);
    assert_eq!(mallory.wait("connected").await["recovered"], false);
    assert!(!mallory.drain().await.iter().any(|(name, _)| name == "said"));
    assert!(logged(&["recovery.refused", "mallory"]));
    // And it is still there for its owner.
    claim["token"] = own;
    let (mut alice, _) = back(&server, claim).await;
    assert_eq!(numbers(&alice.heard()), [2]);
}

#[tokio::test]
async fn after_the_window_the_cursor_still_knows() {
    let server =
        TestServer::with(|config| config.gateway.recovery = Duration::from_millis(1)).await;
    notify(&server, "alice", "had").await;
    let alice = server.connect("alice").await;
    let mut claim = cut(&server, alice, "alice").await;
    for n in 0..60 {
        notify(&server, "alice", &format!("missed {n}")).await;
    }
    claim["since"] = json!(1);
    let (mut alice, answer) = back(&server, claim.clone()).await;
    assert_ne!(answer["pid"], claim["pid"]);
    assert_eq!(alice.wait("connected").await["recovered"], false);
    let pending = alice.wait("notifications:pending").await;
    let expected: Vec<String> = (0..60).map(|n| format!("missed {n}")).collect();
    assert_eq!(messages(&pending), expected);
}

#[tokio::test]
async fn without_a_window_no_event_has_an_offset() {
    let server = TestServer::with(|config| config.gateway.recovery = Duration::ZERO).await;
    let mut alice = server.connect("alice").await;
    says(&server, "user:alice", 1).await;
    alice.wait("said").await;
    let claim = alice.coming_back(json!({}));
    assert_eq!(claim, json!({ "pid": null, "offset": null }));
}
