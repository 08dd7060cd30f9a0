//! `POST /tokens`: tokens for applications without an identity provider.

use serde_json::json;

use crate::support::TestServer;

#[tokio::test]
async fn a_token_lets_its_user_in() {
    let server = TestServer::start().await;
    let body = json!({ "userId": "alice", "ttlSeconds": 60 });
    let issued = server.api().post("/tokens", &body).await.json(201);
    let expires: tidings_core::time::Timestamp =
        issued["expiresAt"].as_str().unwrap().parse().unwrap();
    let ttl = expires.since(server.state.clock.now()).as_secs();
    assert!((50..=60).contains(&ttl), "{ttl}");
    let alice = server.caller(issued["token"].as_str().map(str::to_owned));
    server.api().notify("alice", "x").await;
    assert_eq!(alice.get("/notifications/unread-count").await.json(200)["unread"], 1);
}

#[tokio::test]
async fn a_token_can_carry_no_rights() {
    let server = TestServer::start().await;
    let api = server.api();
    for field in ["role", "roles", "permissions", "groups", "rooms", "sub", "exp"] {
        let body = json!({ "userId": "alice", field: ["admin"] });
        let answer = api.post("/tokens", &body).await;
        answer.bad_field(422, &format!("/{field}"), "WRONG_TYPE");
    }
    let issued = api.post("/tokens", &json!({ "userId": "alice" })).await.json(201);
    let claims = server.state.tokens.verify(issued["token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims.rights, tidings_server::auth::Rights::default());
}

#[tokio::test]
async fn a_token_lasts_a_second_to_a_day() {
    let server = TestServer::start().await;
    let api = server.api();
    for bad in [0, 86_401] {
        let body = json!({ "userId": "alice", "ttlSeconds": bad });
        api.post("/tokens", &body).await.bad_field(422, "/ttlSeconds", "OUT_OF_RANGE");
    }
    let body = json!({ "userId": "alice", "ttlSeconds": -1 });
    api.post("/tokens", &body).await.bad_field(422, "/ttlSeconds", "WRONG_TYPE");
    api.post("/tokens", &json!({})).await.bad_field(422, "/userId", "MISSING");
    api.post("/tokens", &json!({ "userId": "a b" })).await.bad_field(422, "/userId", "WRONG_TYPE");
}

#[tokio::test]
async fn a_server_without_a_shared_secret_signs_nothing() {
    let server = TestServer::with(|config| {
        config.auth.jwt_secret = None;
        config.auth.keys = vec![
            serde_json::from_value(json!({
                "algorithm": "ES256", "public_key": include_str!("keys/p256.pub.pem"),
            }))
            .unwrap(),
        ];
    })
    .await;
    let answer = server.api().post("/tokens", &json!({ "userId": "alice" })).await;
    answer.problem(409, "NO_SIGNING_SECRET");
}
