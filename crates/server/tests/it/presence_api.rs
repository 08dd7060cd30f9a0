//! `GET /presence`: who may ask, and what is answered.

use std::time::Duration;

use serde_json::json;
use tidings_core::api_key::Scope;

use crate::{
    presence::{AFTER, has_connections, member, together},
    support::{TestServer, eventually},
};

#[tokio::test]
async fn a_room_is_told_page_by_page() {
    let server = TestServer::start().await;
    let users = ["u1", "u2", "u3", "u4", "u5"];
    let _clients = together(&server, "post:1", &users).await;
    let api = server.api();
    let whole = api.get("/presence?room=post:1").await.json(200);
    assert_eq!(
        (&whole["room"], &whole["online"], &whole["large"]),
        (&json!("post:1"), &json!(5), &json!(false))
    );
    assert_eq!(whole["pagination"], json!({ "limit": 100, "nextCursor": null, "hasMore": false }));
    let mut found = Vec::new();
    let mut path = "/presence?room=post:1&limit=2".to_owned();
    loop {
        let page = api.get(&path).await.json(200);
        assert_eq!(page["online"], 5);
        let users = page["users"].as_array().unwrap();
        found.extend(users.iter().map(|user| user["userId"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["pagination"]["nextCursor"].as_str() else { break };
        path = format!("/presence?room=post:1&limit=2&cursor={cursor}");
    }
    assert_eq!(found, users);
    let empty = api.get("/presence?room=post:2").await.json(200);
    assert_eq!((&empty["online"], &empty["users"]), (&json!(0), &json!([])));
    let room = api.get("/rooms/post:1").await.json(200);
    assert_eq!((&room["online"], &room["onlineUsers"]), (&json!(5), &json!(users)));
}

#[tokio::test]
async fn users_are_answered_in_their_order_up_to_a_thousand() {
    let server = TestServer::start().await;
    let _clients = together(&server, "post:1", &["bob"]).await;
    let answer = server.api().get("/presence?users=zoe,bob,zoe").await.json(200);
    let statuses: Vec<_> =
        answer["users"].as_array().unwrap().iter().map(|u| &u["status"]).collect();
    assert_eq!(statuses, ["offline", "online", "offline"]);
    assert_eq!(answer["online"], 1);
    let many = |n: usize| (0..n).map(|n| format!("u{n}")).collect::<Vec<_>>().join(",");
    let answer = server.api().get(&format!("/presence?users={}", many(1_000))).await.json(200);
    assert_eq!(answer["users"].as_array().unwrap().len(), 1_000);
    let path = format!("/presence?users={}", many(1_001));
    server.api().get(&path).await.bad_field(400, "users", "BAD_PARAMETER");
}

#[tokio::test]
async fn bad_questions_are_refused_by_field() {
    let server = TestServer::start().await;
    for (query, field, status, code) in [
        ("", "room", 400, "BAD_PARAMETER"),
        ("?room=post:1&users=a", "users", 400, "BAD_PARAMETER"),
        ("?users=a,b%20c", "users", 400, "BAD_PARAMETER"),
        ("?users=", "users", 400, "BAD_PARAMETER"),
        ("?users=a&limit=1", "limit", 400, "BAD_PARAMETER"),
        ("?room=post:1&limit=0", "limit", 400, "BAD_PARAMETER"),
        ("?room=post:1&limit=1001", "limit", 400, "BAD_PARAMETER"),
        ("?room=post:1&cursor=x", "cursor", 400, "BAD_PARAMETER"),
        ("?room=post:*", "room", 422, "BAD_ROOM"),
        ("?room=user:alice", "room", 422, "NO_PRESENCE"),
        ("?room=x:1", "room", 422, "UNKNOWN_KIND"),
    ] {
        server.api().get(&format!("/presence{query}")).await.bad_field(status, field, code);
    }
}

#[tokio::test]
async fn keys_need_the_scope_and_users_a_room_that_is_open_to_them() {
    let server = TestServer::start().await;
    let _clients = together(&server, "post:1", &["bob"]).await;
    let (key, _) = server.key_with(&[Scope::RoomsRead]).await;
    server.caller(Some(key)).get("/presence?users=bob").await.problem(403, "SCOPE_MISSING");
    let (key, _) = server.key_with(&[Scope::PresenceRead]).await;
    server.caller(Some(key)).get("/presence?users=bob").await.json(200);
    server.nobody().get("/presence?users=bob").await.problem(401, "AUTH_FAILED");
    let alice = server.user("alice");
    alice.get("/presence?room=post:1").await.problem(403, "FORBIDDEN");
    server.api().put("/rooms/post:1/members/alice", &json!({})).await.json(200);
    assert_eq!(alice.get("/presence?room=post:1").await.json(200)["online"], 1);
    alice.get("/presence?users=bob").await.problem(403, "FORBIDDEN");
    alice.get("/presence?users=alice,bob").await.problem(403, "FORBIDDEN");
    let own = alice.get("/presence?users=alice").await.json(200);
    assert_eq!(own["users"], json!([{ "userId": "alice", "status": "offline" }]));
}

#[tokio::test]
async fn who_went_was_last_seen_then() {
    let server = TestServer::start().await;
    let clients = together(&server, "post:1", &["bob"]).await;
    drop(clients);
    eventually(|| async {
        server.tell_presence(Duration::from_secs(61)).await;
        let answer = server.api().get("/presence?users=bob").await.json(200);
        answer["users"][0]["lastSeen"].is_string()
    })
    .await;
}

#[tokio::test]
async fn who_is_in_no_room_is_here_from_the_first_connection_to_the_last() {
    let server = TestServer::start().await;
    let alice = || async {
        let answer = server.api().get("/presence?users=alice").await.json(200);
        answer["users"][0].clone()
    };
    let first = member(&server, "alice", &[]).await;
    let alone = alice().await;
    assert_eq!(alone["status"], "online");
    let second = member(&server, "alice", &["post:1"]).await;
    drop(first);
    has_connections(&server, "user:alice", 1).await;
    server.tell_presence(AFTER).await;
    let on = alice().await;
    let told = (&on["status"], &on["connectedAt"]);
    assert_eq!(told, (&json!("online"), &alone["connectedAt"]), "without a break");
    drop(second);
    eventually(|| async {
        server.tell_presence(AFTER).await;
        alice().await["lastSeen"].is_string()
    })
    .await;
    let third = member(&server, "alice", &[]).await;
    assert_eq!(alice().await["status"], "online");
    drop(third);
    eventually(|| async {
        server.tell_presence(AFTER).await;
        alice().await["status"] == "offline"
    })
    .await;
}
