//! `PUT /users/{id}`: what the application tells about its users.

use serde_json::{Value, json};

use crate::support::TestServer;

async fn send_by_bob(server: &TestServer) -> Value {
    let body = json!({ "to": "alice", "type": "like", "actorId": "bob", "message": "x" });
    let sent = server.api().post("/notifications", &body).await.json(201);
    let path = format!("/notifications/{}", sent["id"].as_str().unwrap());
    server.user("alice").get(&path).await.json(200)
}

#[tokio::test]
async fn a_user_is_shown_as_the_actor_as_they_were_when_it_was_sent() {
    let server = TestServer::start().await;
    let api = server.api();
    assert!(send_by_bob(&server).await.get("actor").is_none(), "nobody knows bob");
    let bob = json!({ "name": "Bob <b>", "avatarUrl": "https://a.example/b.png" });
    let put = api.put("/users/bob", &bob).await.json(200);
    let known = json!({ "id": "bob", "name": "Bob <b>", "avatarUrl": "https://a.example/b.png" });
    assert_eq!(put, known);
    let first = send_by_bob(&server).await;
    assert_eq!((&first["actor"], &first["actorId"]), (&known, &json!("bob")));
    api.put("/users/bob", &json!({ "name": "Robert" })).await.json(200);
    assert_eq!(send_by_bob(&server).await["actor"], json!({ "id": "bob", "name": "Robert" }));
    let path = format!("/notifications/{}", first["id"].as_str().unwrap());
    assert_eq!(server.user("alice").get(&path).await.json(200)["actor"], known);
}

#[tokio::test]
async fn the_actor_comes_with_the_live_notification_too() {
    let server = TestServer::start().await;
    server.api().put("/users/bob", &json!({ "name": "Bob" })).await.json(200);
    let mut alice = server.connect("alice").await;
    let stored = send_by_bob(&server).await;
    assert_eq!(alice.wait("notification").await, stored);
}

#[tokio::test]
async fn bad_users_are_refused_by_field() {
    let server = TestServer::start().await;
    let api = server.api();
    let none = json!({});
    api.put("/users/a%20b", &none).await.bad_field(422, "id", "BAD_ID");
    api.put(&format!("/users/{}", "a".repeat(129)), &none).await.bad_field(422, "id", "BAD_ID");
    api.put("/users/%FF", &none).await.problem(400, "BAD_ADDRESS");
    let long = json!({ "name": "n".repeat(257) });
    api.put("/users/bob", &long).await.bad_field(422, "/name", "TOO_LONG");
    let script = json!({ "avatarUrl": "javascript:alert(1)" });
    api.put("/users/bob", &script).await.bad_field(422, "/avatarUrl", "BAD_URL");
    api.put("/users/bob", &json!({ "name": 5 })).await.bad_field(422, "/name", "WRONG_TYPE");
    api.put("/users/bob", &json!({ "role": "admin" })).await.bad_field(422, "/role", "WRONG_TYPE");
    api.put("/users/bob", &json!(["Bob"])).await.bad_field(422, "", "WRONG_TYPE");
}
