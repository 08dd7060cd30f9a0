//! Tickets for clients that can only give an address.

use serde_json::json;

use crate::support::{Answer, Plain, Stream, TestServer, logged, now_secs, sign};

async fn ticket(server: &TestServer, user: &str) -> String {
    let answer = server.user(user).post("/stream-tickets", &json!({})).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json(201)["ticket"].as_str().expect("a ticket").to_owned()
}

fn stream(server: &TestServer, ticket: &str) -> reqwest::RequestBuilder {
    server.nobody().request("GET", &format!("/stream?ticket={ticket}"))
}

#[tokio::test]
async fn a_ticket_opens_one_stream() {
    let server = TestServer::start().await;
    let ticket = ticket(&server, "alice").await;
    let mut alice = Stream::try_open(stream(&server, &ticket)).await.unwrap();
    assert_eq!(alice.wait("connected").await.data["userId"], "alice");
    Answer::of(stream(&server, &ticket)).await.problem(401, "TICKET_INVALID");
    assert_eq!(Plain::try_open(&server, &format!("/ws?ticket={ticket}")).await.err(), Some(401));
    assert!(logged(&["event=token.refused", "code=TICKET_INVALID"]));
    assert!(!logged(&[&ticket]), "a ticket was logged");
    assert!(!logged(&[&ticket[4..]]), "a ticket was logged");
}

#[tokio::test]
async fn a_ticket_opens_one_plain_websocket() {
    let server = TestServer::start().await;
    let ticket = ticket(&server, "alice").await;
    let path = format!("/ws?ticket={ticket}");
    let mut alice = Plain::open(&server, &path).await;
    assert_eq!(alice.hear("connected").await["userId"], "alice");
    alice.say(json!({ "type": "room:join", "room": "user:alice", "requestId": 1 })).await;
    assert_eq!(alice.hear("ack").await["ok"], true);
    assert_eq!(Plain::try_open(&server, &path).await.err(), Some(401));
    Answer::of(stream(&server, &ticket)).await.problem(401, "TICKET_INVALID");
}

#[tokio::test]
async fn a_ticket_carries_the_claims_of_its_token_and_ends_with_it() {
    let server = TestServer::start().await;
    let exp = now_secs() + 8;
    let token = sign(&json!({ "sub": "alice", "exp": exp, "rooms": ["post:1"] }));
    let issued = server.caller(Some(token)).post("/stream-tickets", &json!({})).await.json(201);
    let end = tidings_core::time::Timestamp::from_millis(exp * 1_000).to_string();
    assert_eq!(issued["expiresAt"], end);
    let path = format!("/stream?rooms=post:1,post:2&ticket={}", issued["ticket"].as_str().unwrap());
    let mut alice = Stream::try_open(server.nobody().request("GET", &path)).await.unwrap();
    assert_eq!(alice.wait("room:joined").await.data["room"], "post:1");
    let refused = alice.wait("error").await.data;
    assert_eq!((&refused["code"], &refused["room"]), (&json!("FORBIDDEN"), &json!("post:2")));
    assert_eq!(alice.until_closed().await.last().unwrap().data["code"], "TOKEN_EXPIRED");
}

#[tokio::test]
async fn only_users_get_tickets_and_only_a_few() {
    let server = TestServer::start().await;
    server.nobody().post("/stream-tickets", &json!({})).await.problem(401, "AUTH_FAILED");
    server.api().post("/stream-tickets", &json!({})).await.problem(403, "USER_TOKEN_NEEDED");
    server.user("alice").get("/stream-tickets").await.problem(405, "METHOD_NOT_ALLOWED");
    let first = ticket(&server, "alice").await;
    let mut last = String::new();
    for _ in 0..10 {
        last = ticket(&server, "alice").await;
    }
    // The oldest made room.
    Answer::of(stream(&server, &first)).await.problem(401, "TICKET_INVALID");
    assert!(Stream::try_open(stream(&server, &last)).await.is_ok());
}

#[tokio::test]
async fn a_token_beside_a_ticket_leaves_it_unused() {
    let server = TestServer::start().await;
    let ticket = ticket(&server, "alice").await;
    let path = format!("/stream?ticket={ticket}");
    let mut bob = Stream::try_open(server.user("bob").request("GET", &path)).await.unwrap();
    assert_eq!(bob.wait("connected").await.data["userId"], "bob");
    let mut alice = Stream::try_open(stream(&server, &ticket)).await.unwrap();
    assert_eq!(alice.wait("connected").await.data["userId"], "alice");
}
