//! `DELETE /users/{id}`: everything about a user goes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Api, TestServer, Tidings, claims, eventually, fresh, now_secs, sign};

async fn start_with(settle: Duration) -> TestServer {
    TestServer::with(|config| config.retention.erasure_settle = settle).await
}

async fn start() -> TestServer {
    start_with(Duration::ZERO).await
}

/// A token of this user that was issued at this second.
fn issued(user: &str, at: i64) -> String {
    let mut claims = claims(user);
    claims["iat"] = json!(at);
    sign(&claims)
}

async fn erase(api: &Api, user: &str) -> Value {
    let begun = api.delete(&format!("/users/{user}")).await.json(202);
    let path = begun["status"].as_str().expect("an address").replace("/api/v1", "");
    eventually(|| async { api.get(&path).await.json(200)["state"] == "done" }).await;
    api.get(&path).await.json(200)
}

/// With a token that is issued later than now, in whole seconds.
async fn newer(server: &TestServer, user: &str) -> Api {
    let now = now_secs();
    eventually(|| async move { now_secs() > now }).await;
    server.caller(Some(issued(user, now_secs())))
}

#[tokio::test]
async fn a_user_is_signed_out_and_gone() {
    // The audit log and the history are written a second after it happened.
    let server = start_with(Duration::from_secs(6)).await;
    let api = server.api();
    let token = issued("alice", now_secs() - 10);
    api.put("/users/alice", &json!({ "name": "Alice" })).await.json(200);
    api.put("/rooms/group:1/members/alice", &json!({})).await;
    let own = api.notify("alice", "for alice").await;
    let like = json!({ "to": "bob", "type": "like", "actorId": "alice", "message": "x" });
    let like = api.post("/notifications", &like).await.json(201);
    let mut client = crate::support::Client::open(server.address).await;
    client.join(json!({ "token": token })).await;
    client.wait("notifications:pending").await;
    eventually(|| async {
        let path = "/connections?user=alice";
        api.get(path).await.json(200)["connections"][0].is_object()
    })
    .await;
    eventually(|| async {
        let log = api.get("/audit?limit=100").await.json(200).to_string();
        log.contains("alice") && log.contains("group:1")
    })
    .await;

    let done = erase(&api, "alice").await;
    assert!(done["finishedAt"].as_str() >= done["requestedAt"].as_str());
    let log = api.get("/audit?limit=100").await.json(200).to_string();
    assert!(!log.contains("alice"), "{log}");

    let (events, told) = client.until_closed().await;
    let error = events.iter().find(|(name, _)| name == "error").expect("told why");
    assert!(told && error.1["code"] == "TOKEN_REVOKED");
    let alice = server.caller(Some(token));
    alice.get("/notifications").await.problem(401, "TOKEN_REVOKED");

    let path = format!("/notifications/{}", like["id"].as_str().expect("an id"));
    let shown = server.user("bob").get(&path).await.json(200);
    assert!(shown.get("actor").is_none() && shown.get("actorId").is_none(), "{shown}");
    assert_eq!(shown["message"], "x");
    let members = api.get("/rooms/group:1/members").await.json(200);
    assert_eq!(members["members"], json!([]), "{members}");
    let alice = newer(&server, "alice").await;
    let list = alice.get("/notifications").await.json(200);
    assert_eq!(list["notifications"], json!([]));
    alice.get(&format!("/notifications/{own}")).await.problem(404, "NOT_FOUND");
    let connections = alice.get("/connections").await.json(200);
    assert_eq!(connections["connections"], json!([]));
}

#[tokio::test]
async fn who_comes_back_starts_over() {
    let server = start().await;
    let api = server.api();
    for _ in 0..3 {
        api.notify("alice", "old").await;
    }
    erase(&api, "alice").await;
    let alice = newer(&server, "alice").await;
    let sync = alice.get("/notifications/sync?since=3").await.json(200);
    assert_eq!((&sync["reset"], &sync["items"]), (&json!(true), &json!([])));
    for _ in 0..5 {
        api.notify("alice", "new").await;
    }
    let sync = alice.get("/notifications/sync?since=3").await.json(200);
    assert_eq!((&sync["reset"], sync["items"].as_array().map(Vec::len)), (&json!(true), Some(5)));
}

#[tokio::test]
async fn it_is_audited_without_the_name() {
    let server = start().await;
    let api = server.api();
    let done = erase(&api, "alice").await;
    eventually(|| async {
        let log = api.get("/audit?event=user.erased").await.json(200);
        log["entries"][0]["target"] == done["id"]
    })
    .await;
    let log = api.get("/audit?event=user.erased").await.json(200);
    let hash = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90";
    assert_eq!(log["entries"][0]["detail"]["subject"], hash, "SHA-256 of the id");
    assert!(log["entries"][0].get("userId").is_none(), "{log}");
}

#[tokio::test]
async fn what_was_begun_is_finished_after_a_restart() {
    let server = start_with(Duration::from_secs(2)).await;
    for _ in 0..20 {
        server.api().notify("alice", "x").await;
    }
    let begun = server.api().delete("/users/alice").await.json(202);
    assert_eq!(begun["state"], "running");
    let server = server.restart(|_| {}).await;
    let path = format!("/erasures/{}", begun["id"].as_str().expect("an id"));
    eventually(|| async { server.api().get(&path).await.json(200)["state"] == "done" }).await;
}

/// The real binary, killed again and again while batches of 500 rows are taken out.
#[tokio::test]
async fn kill_9_in_the_middle_only_pauses_it() {
    const ITEMS: usize = 6_000;
    let (_dir, path) = fresh();
    let key = Tidings::run(&path, &["keys", "create", "--name", "erase", "--quiet"]).await;
    let key = Tidings::printed(&key);
    let serve = async || {
        let mut command = Tidings::command(&path);
        command.env("TIDINGS_RETENTION__ERASURE_SETTLE", "0s");
        command.args(["serve", "--port", "0"]);
        Tidings::spawn(command).await
    };
    let mut server = serve().await;
    let both = json!({ "to": { "users": ["alice", "bob"] }, "type": "like", "message": "x" });
    for _ in 0..ITEMS / 100 {
        let many = vec![&both; 100];
        let answer = server.api(Some(key.clone())).post("/notifications", &json!(many)).await;
        answer.json(201);
    }
    let begun = server.api(Some(key.clone())).delete("/users/alice").await.json(202);
    let status = begun["status"].as_str().expect("an address").replace("/api/v1", "");
    for _ in 0..5 {
        for _ in 0..rand::random_range(0..5) {
            server.api(Some(key.clone())).get(&status).await.json(200);
        }
        server.kill().await;
        server = serve().await;
    }
    let api = server.api(Some(key));
    eventually(|| async { api.get(&status).await.json(200)["state"] == "done" }).await;
    let count = async |token: String| {
        let own = server.api(Some(token));
        own.get("/notifications/unread-count").await.json(200)["unread"].clone()
    };
    assert_eq!(count(issued("alice", now_secs() + 2)).await, json!(0));
    assert_eq!(count(sign(&claims("bob"))).await, json!(ITEMS), "his are all there");
    let alice = server.api(Some(issued("alice", now_secs() + 2)));
    alice.get("/notifications").await.json(200);
    let sync = alice.get(&format!("/notifications/sync?since={ITEMS}")).await.json(200);
    assert_eq!((&sync["reset"], &sync["items"]), (&json!(true), &json!([])));
    server.kill().await;
}

#[tokio::test]
async fn only_servers_with_the_scope_may() {
    let server = start().await;
    let alice = server.user("alice");
    alice.delete("/users/alice").await.problem(403, "API_KEY_NEEDED");
    server.api().delete("/users/a%20b").await.bad_field(422, "id", "BAD_ID");
    server.api().get("/erasures/x").await.problem(404, "NOT_FOUND");
    let unknown = "/erasures/019c1640-e400-7000-8000-00000000c351";
    server.api().get(unknown).await.problem(404, "NOT_FOUND");
}
