//! Tokens that are taken back.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tidings_core::api_key::Scope;
use tidings_server::{
    server::Parts,
    workers::{look_at_memberships, reload_revocations},
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::support::{
    Client, LossyBus, Stream, TestServer, claims, eventually, now_secs, sign, within,
};

/// A token of this user that was issued so many seconds ago.
fn issued(user: &str, ago: i64) -> String {
    let mut claims = claims(user);
    claims["iat"] = json!(now_secs() - ago);
    sign(&claims)
}

fn named(user: &str, jti: &str) -> String {
    let mut claims = claims(user);
    claims["jti"] = json!(jti);
    sign(&claims)
}

async fn join(server: &TestServer, token: &str) -> Client {
    let mut client = Client::open(server.address).await;
    client.join(json!({ "token": token })).await;
    client.wait("notifications:pending").await;
    client
}

/// The connection is told why and not to come back.
async fn is_closed(mut client: Client) {
    let (events, told) = client.until_closed().await;
    let error = events.iter().find(|(name, _)| name == "error").expect("told why");
    assert_eq!(error.1, json!({ "code": "TOKEN_REVOKED", "message": "Token revoked" }));
    assert!(told, "a DISCONNECT came");
}

async fn is_open(client: &mut Client) {
    assert_eq!(client.ask("heartbeat", Value::Null).await["ok"], true);
}

async fn holds(server: &TestServer, token: &str) {
    server.caller(Some(token.to_owned())).get("/notifications").await.json(200);
}

async fn is_refused(server: &TestServer, token: &str) {
    let caller = server.caller(Some(token.to_owned()));
    caller.get("/notifications").await.problem(401, "TOKEN_REVOKED");
    let mut client = Client::open(server.address).await;
    let refusal = client.try_join(json!({ "token": token })).await.unwrap_err();
    let revoked = json!({ "message": "Token revoked", "data": { "code": "TOKEN_REVOKED" } });
    assert_eq!(refusal, revoked);
    let query = format!("&token={token}");
    let refused = Client::try_open(server.address, &query, &[]).await.err().expect("refused");
    assert_eq!((refused.status, &refused.body["code"]), (401, &json!("TOKEN_REVOKED")));
}

#[tokio::test]
async fn a_revoked_user_is_closed_everywhere_and_stays_out() {
    let server = TestServer::start().await;
    let (old, bobs) = (issued("alice", 10), issued("bob", 10));
    let phone = join(&server, &old).await;
    let laptop = join(&server, &sign(&claims("alice"))).await;
    let mut bob = join(&server, &bobs).await;
    let body = json!({ "reason": "left the company" });
    let answer = server.api().post("/users/alice/revoke", &body).await.json(200);
    assert_eq!(answer["userId"], "alice");
    assert!(answer["endsAt"].as_str() > answer["before"].as_str());
    is_closed(phone).await;
    is_closed(laptop).await;
    is_refused(&server, &old).await;
    is_refused(&server, &sign(&claims("alice"))).await;
    is_open(&mut bob).await;
    holds(&server, &bobs).await;
    // Who signs in again is in again.
    let new = issued("alice", -2);
    holds(&server, &new).await;
    let mut alice = join(&server, &new).await;
    let refused = alice.ask("auth:refresh", json!({ "token": old })).await;
    assert_eq!(refused["error"]["code"], "TOKEN_REVOKED");
    is_open(&mut alice).await;
    eventually(|| async {
        let log = server.api().get("/audit?event=user.revoked&user=alice").await.json(200);
        log["entries"][0]["detail"]["reason"] == "left the company"
    })
    .await;
}

#[tokio::test]
async fn a_plain_client_is_closed_with_its_code() {
    let server = TestServer::start().await;
    let url = format!("ws://{}/ws", server.address);
    let (mut socket, _) = within(connect_async(url)).await.unwrap();
    let auth = json!({ "type": "auth", "token": issued("alice", 10) });
    within(socket.send(Message::text(auth.to_string()))).await.unwrap();
    let mut told = false;
    let mut is_connected = false;
    let code = loop {
        match within(socket.next()).await.unwrap().unwrap() {
            Message::Text(text) => {
                told |= text.contains("TOKEN_REVOKED");
                if text.contains("notifications:pending") && !is_connected {
                    is_connected = true;
                    server.api().post("/users/alice/revoke", &json!({})).await.json(200);
                }
            }
            Message::Close(Some(frame)) => break u16::from(frame.code),
            _ => {}
        }
    };
    assert_eq!((code, told), (4403, true));
}

#[tokio::test]
async fn a_stream_and_its_ticket_end_with_their_token() {
    let server = TestServer::start().await;
    let token = issued("alice", 10);
    let mut stream = Stream::open(&server, &token, "").await;
    stream.wait("notifications:pending").await;
    let caller = server.caller(Some(token.clone()));
    let ticket = caller.post("/stream-tickets", &json!({})).await;
    let ticket: Value = serde_json::from_str(&ticket.text).unwrap();
    server.api().post("/users/alice/revoke", &json!({})).await.json(200);
    let last = stream.until_closed().await.pop().expect("told why");
    assert_eq!((last.name.as_str(), &last.data["code"]), ("error", &json!("TOKEN_REVOKED")));
    caller.get("/stream").await.problem(401, "TOKEN_REVOKED");
    let ticket = ticket["ticket"].as_str().expect("a ticket");
    let answer = server.nobody().get(&format!("/stream?ticket={ticket}")).await;
    answer.problem(401, "TOKEN_REVOKED");
}

#[tokio::test]
async fn one_token_is_revoked_and_no_other() {
    let server = TestServer::start().await;
    let (first, second) = (named("alice", "first"), named("alice", "second"));
    let phone = join(&server, &first).await;
    let mut laptop = join(&server, &second).await;
    let answer = server.api().post("/tokens/revoke", &json!({ "token": first })).await.json(200);
    assert_eq!(answer["revoked"], true);
    is_closed(phone).await;
    is_refused(&server, &first).await;
    is_open(&mut laptop).await;
    holds(&server, &second).await;

    let exp = now_secs() + 3600;
    let body = json!({ "jti": "second", "exp": exp, "reason": "lost" });
    let answer = server.api().post("/tokens/revoke", &body).await.json(200);
    assert_eq!(answer["revoked"], true);
    is_closed(laptop).await;
    is_refused(&server, &second).await;
    holds(&server, &named("alice", "third")).await;
    eventually(|| async {
        let log = server.api().get("/audit?event=token.revoked").await.json(200);
        let entries = log["entries"].as_array().unwrap().clone();
        entries.len() == 2 && entries[0]["target"] == "second" && entries[1]["user"] == "alice"
    })
    .await;
}

#[tokio::test]
async fn a_token_that_we_issued_is_revoked() {
    let server = TestServer::start().await;
    let api = server.api();
    let issue = || async {
        let answer = api.post("/tokens", &json!({ "userId": "alice" })).await.json(201);
        answer["token"].as_str().unwrap().to_owned()
    };
    let (one, other) = (issue().await, issue().await);
    api.post("/tokens/revoke", &json!({ "token": one })).await.json(200);
    is_refused(&server, &one).await;
    holds(&server, &other).await;
    api.post("/users/alice/revoke", &json!({})).await.json(200);
    is_refused(&server, &other).await;
}

#[tokio::test]
async fn a_renewed_connection_outlives_its_first_token() {
    let server = TestServer::start().await;
    let (first, second) = (issued("alice", 100), issued("alice", 50));
    let mut alice = join(&server, &first).await;
    assert_eq!(alice.ask("auth:refresh", json!({ "token": second })).await["ok"], true);
    let mut bob = join(&server, &first).await;
    server.api().post("/tokens/revoke", &json!({ "token": first })).await.json(200);
    let (_, told) = bob.until_closed().await;
    assert!(told);
    is_open(&mut alice).await;
}

#[tokio::test]
async fn only_what_was_issued_before_an_instant() {
    let server = TestServer::start().await;
    let (old, new) = (issued("alice", 100), issued("alice", 10));
    let phone = join(&server, &old).await;
    let mut laptop = join(&server, &new).await;
    let before = tidings_core::time::Timestamp::from_millis((now_secs() - 50) * 1_000);
    server.api().post("/users/alice/revoke", &json!({ "before": before })).await.json(200);
    is_closed(phone).await;
    is_open(&mut laptop).await;
    is_refused(&server, &old).await;
    holds(&server, &new).await;
}

#[tokio::test]
async fn revocations_outlive_the_server() {
    let server = TestServer::start().await;
    let (old, one) = (issued("alice", 10), named("bob", "b"));
    server.api().post("/users/alice/revoke", &json!({})).await.json(200);
    server.api().post("/tokens/revoke", &json!({ "token": one })).await.json(200);
    let server = server.restart(|_| {}).await;
    is_refused(&server, &old).await;
    is_refused(&server, &one).await;
    holds(&server, &issued("alice", -2)).await;
}

#[tokio::test]
async fn another_node_closes_at_once_or_when_it_looks() {
    let bus = LossyBus::default();
    let parts = Parts { bus: Some(bus.join()), ..Parts::default() };
    let first = TestServer::with_parts(|_| {}, parts).await;
    let store = Some(Arc::clone(&first.state.store));
    let parts = Parts { store, bus: Some(bus.join()), ..Parts::default() };
    let second = TestServer::with_parts(|_| {}, parts).await;
    let alice = join(&second, &issued("alice", 10)).await;
    first.api().post("/users/alice/revoke", &json!({})).await.json(200);
    is_closed(alice).await;
    is_refused(&second, &issued("alice", 10)).await;

    bus.lose(true);
    let mut bob = join(&second, &issued("bob", 10)).await;
    first.api().post("/users/bob/revoke", &json!({})).await.json(200);
    assert_eq!(bus.lost(), 1);
    // Nothing says so to this node; looking at something else does not either.
    look_at_memberships(second.state.clone()).await.unwrap();
    is_open(&mut bob).await;
    reload_revocations(second.state.clone()).await.unwrap();
    is_closed(bob).await;
    is_refused(&second, &issued("bob", 10)).await;
}

#[tokio::test]
async fn no_token_outlives_the_longest_life() {
    let server = TestServer::with(|config| {
        config.auth.max_token_life = Duration::from_secs(60);
    })
    .await;
    let caller = server.caller(Some(issued("alice", 100)));
    caller.get("/notifications").await.problem(401, "TOKEN_EXPIRED");
    let young = issued("alice", 10);
    holds(&server, &young).await;
    let mut alice = join(&server, &young).await;
    let answer = alice.ask("auth:refresh", json!({ "token": young })).await;
    let end: tidings_core::time::Timestamp = answer["expiresAt"].as_str().unwrap().parse().unwrap();
    assert!(end.as_millis() / 1_000 <= now_secs() + 51, "{answer}");
    // Fractions, as RFC 7519 allows them, and what is no time.
    for iat in [json!(now_secs() as f64 - 10.5), json!("soon"), json!(null)] {
        let mut claims = claims("alice");
        claims["iat"] = iat;
        claims["jti"] = json!(7);
        holds(&server, &sign(&claims)).await;
    }
    let mut old = claims("alice");
    old["iat"] = json!(now_secs() as f64 - 100.5);
    let caller = server.caller(Some(sign(&old)));
    caller.get("/notifications").await.problem(401, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn bad_revocations_do_nothing() {
    let server = TestServer::start().await;
    let api = server.api();
    let long = "x".repeat(200);
    for (path, body, pointer, code) in [
        ("/users/a%20b/revoke", json!({}), "id", "BAD_ID"),
        (
            "/users/alice/revoke",
            json!({ "before": "2099-01-01T00:00:00Z" }),
            "/before",
            "IN_FUTURE",
        ),
        ("/users/alice/revoke", json!({ "before": 5 }), "/before", "WRONG_TYPE"),
        ("/users/alice/revoke", json!({ "reason": long }), "/reason", "TOO_LONG"),
        ("/tokens/revoke", json!({}), "", "BAD_CHOICE"),
        ("/tokens/revoke", json!({ "jti": "j" }), "", "BAD_CHOICE"),
        ("/tokens/revoke", json!({ "exp": 9_999_999_999_u64 }), "", "BAD_CHOICE"),
        ("/tokens/revoke", json!({ "token": "a.b.c", "jti": "j", "exp": 1 }), "", "BAD_CHOICE"),
        ("/tokens/revoke", json!({ "token": "a.b.c" }), "/token", "BAD_TOKEN"),
        ("/tokens/revoke", json!({ "token": "x".repeat(9_000) }), "/token", "TOO_LONG"),
        ("/tokens/revoke", json!({ "jti": "", "exp": 9_999_999_999_u64 }), "/jti", "BAD_LENGTH"),
        (
            "/tokens/revoke",
            json!({ "jti": "x".repeat(257), "exp": 9_999_999_999_u64 }),
            "/jti",
            "BAD_LENGTH",
        ),
        ("/tokens/revoke", json!({ "jti": "j", "exp": -1 }), "/exp", "WRONG_TYPE"),
        ("/tokens/revoke", json!({ "jti": "j", "exp": 1, "reason": long }), "/reason", "TOO_LONG"),
    ] {
        api.post(path, &body).await.bad_field(422, pointer, code);
    }
    let ended = sign(&json!({ "sub": "alice", "exp": now_secs() - 60 }));
    for body in [json!({ "token": ended }), json!({ "jti": "j", "exp": 1 })] {
        assert_eq!(api.post("/tokens/revoke", &body).await.json(200)["revoked"], false);
    }
    let alice = issued("alice", 10);
    holds(&server, &alice).await;
    server
        .user("alice")
        .post("/users/alice/revoke", &json!({}))
        .await
        .problem(403, "API_KEY_NEEDED");
    let (key, _) = server.key_with(&[Scope::TokensWrite, Scope::RoomsWrite]).await;
    let weak = server.caller(Some(key));
    weak.post("/users/alice/revoke", &json!({})).await.problem(403, "SCOPE_MISSING");
    weak.post("/tokens/revoke", &json!({ "token": alice })).await.problem(403, "SCOPE_MISSING");
    holds(&server, &alice).await;
}
