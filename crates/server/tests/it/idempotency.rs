//! `Idempotency-Key`: what is sent twice is done once.

use serde_json::{Value, json};
use tidings_core::api_key::Scope;

use crate::support::{Answer, Api, TestServer, eventually};

async fn send(api: &Api, key: &str, body: &Value) -> Answer {
    let request = api.request("POST", "/notifications").header("idempotency-key", key);
    Answer::of(request.json(body)).await
}

fn like(message: &str) -> Value {
    json!({ "to": "alice", "type": "like", "message": message })
}

async fn count(server: &TestServer) -> usize {
    let list = server.user("alice").get("/notifications?limit=100").await.json(200);
    list["notifications"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_same_request_gets_the_first_answer() {
    let server = TestServer::start().await;
    let first = send(&server.api(), "k1", &like("one")).await;
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = send(&server.api(), "k1", &like("one")).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn it_is_remembered_over_a_restart() {
    let server = TestServer::start().await;
    let key = server.key.clone();
    let first = send(&server.api(), "k1", &like("one")).await.json(201);
    let server = server.restart(|_| {}).await;
    let again = send(&server.caller(Some(key)), "k1", &like("one")).await;
    assert_eq!(again.json(201), first);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn another_body_with_the_same_key_is_refused() {
    let server = TestServer::start().await;
    send(&server.api(), "k1", &like("one")).await.json(201);
    send(&server.api(), "k1", &like("two")).await.problem(422, "IDEMPOTENCY_MISMATCH");
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn a_request_that_overtakes_an_unanswered_one_is_refused() {
    let server = TestServer::start().await;
    let flight = server.state.in_flight.begin(&server.key_id, "k1").expect("nobody has it");
    let answer = send(&server.api(), "k1", &like("one")).await;
    answer.problem(409, "IDEMPOTENCY_IN_FLIGHT");
    assert_eq!(answer.header("retry-after"), "1");
    drop(flight);
    send(&server.api(), "k1", &like("one")).await.json(201);
}

#[tokio::test]
async fn of_many_at_once_one_is_stored() {
    let server = TestServer::start().await;
    let (api, body) = (server.api(), like("one"));
    let sending = (0..20).map(|_| send(&api, "k1", &body));
    let answers = futures_util::future::join_all(sending).await;
    assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status)));
    assert!(answers.iter().any(|answer| answer.status == 201));
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn keys_of_two_senders_never_meet() {
    let server = TestServer::start().await;
    let (other, _) = server.key_with(&[Scope::NotificationsWrite]).await;
    let first = send(&server.api(), "k1", &like("one")).await.json(201);
    let second = send(&server.caller(Some(other)), "k1", &like("one")).await;
    assert_ne!(second.json(201)["id"], first["id"]);
    assert_eq!(second.header("idempotency-replayed"), "");
    assert_eq!(count(&server).await, 2);
}

#[tokio::test]
async fn an_array_is_replayed_whole() {
    let server = TestServer::start().await;
    let body = json!([like("one"), { "to": "alice" }, like("two")]);
    let first = send(&server.api(), "k1", &body).await;
    let again = send(&server.api(), "k1", &body).await;
    assert_eq!(again.json(207), first.json(207));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(count(&server).await, 2);
}

#[tokio::test]
async fn a_refused_request_leaves_the_key_free() {
    let server = TestServer::start().await;
    send(&server.api(), "k1", &like("")).await.problem(422, "INVALID");
    send(&server.api(), "k1", &like("one")).await.json(201);
}

#[tokio::test]
async fn a_key_has_1_to_255_characters() {
    let server = TestServer::start().await;
    for bad in [String::new(), "k".repeat(256)] {
        let answer = send(&server.api(), &bad, &like("one")).await;
        answer.bad_field(400, "Idempotency-Key", "BAD_HEADER");
    }
    send(&server.api(), &"k".repeat(255), &like("one")).await.json(201);
}

#[tokio::test]
async fn the_first_answer_comes_again_also_when_the_request_would_be_refused_by_now() {
    let server = TestServer::start().await;
    let soon = server.state.clock.now().plus(std::time::Duration::from_secs(4));
    let mut passing = like("one");
    passing["expiresAt"] = soon.to_string().into();
    let several = json!([passing, like("two")]);
    let first = send(&server.api(), "k1", &passing).await.json(201);
    let firsts = send(&server.api(), "k2", &several).await.json(201);
    eventually(|| async { server.state.clock.now() > soon }).await;
    assert_eq!(send(&server.api(), "k1", &passing).await.json(201), first);
    assert_eq!(send(&server.api(), "k2", &several).await.json(201), firsts);
}
