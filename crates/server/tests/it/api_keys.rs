//! API keys and their scopes.

use serde_json::json;
use tidings_core::api_key::Scope;

use crate::support::{Answer, TestServer, logged};

#[tokio::test]
async fn a_key_goes_in_either_header() {
    let server = TestServer::start().await;
    let body = json!({ "to": "alice", "type": "like", "message": "x" });
    server.api().post("/notifications", &body).await.json(201);
    let request = server.nobody().request("POST", "/notifications").json(&body);
    Answer::of(request.header("x-api-key", &server.key)).await.json(201);
    // The explicit header wins over a token beside it.
    let request = server.user("alice").request("POST", "/notifications").json(&body);
    Answer::of(request.header("x-api-key", &server.key)).await.json(201);
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let server = TestServer::start().await;
    let send = json!({ "to": "alice", "type": "like", "message": "x" });
    let id = server.api().notify("alice", "x").await;
    let mut body = send.clone();
    body["to"] = json!({ "users": (0..1_001).map(|n| format!("u{n}")).collect::<Vec<_>>() });
    let job = server.api().post("/notifications", &body).await.json(202)["id"].clone();
    let announcement = format!("/announcements/{}", job.as_str().unwrap());
    for scope in Scope::ALL {
        let (key, key_id) = server.key_with(&[scope]).await;
        let api = server.caller(Some(key));
        for (needs, answer) in [
            (Scope::NotificationsWrite, api.post("/notifications", &send).await),
            (Scope::NotificationsRead, api.get(&announcement).await),
            (Scope::UsersWrite, api.put("/users/bob", &json!({})).await),
            (Scope::AuditRead, api.get("/audit").await),
            (Scope::TokensWrite, api.post("/tokens", &json!({ "userId": "bob" })).await),
        ] {
            if needs == scope {
                assert!((200..300).contains(&answer.status), "{scope}: {}", answer.text);
            } else {
                let problem = answer.problem(403, "SCOPE_MISSING");
                assert!(problem["detail"].as_str().unwrap().contains(needs.as_str()));
                let parts = ["event=scope.refused", &key_id, needs.as_str()];
                assert!(logged(&parts), "{key_id} {needs}");
            }
        }
        if scope != Scope::NotificationsWrite {
            api.delete(&format!("/notifications/{id}")).await.problem(403, "SCOPE_MISSING");
        }
    }
}

#[tokio::test]
async fn keys_and_tokens_do_not_stand_in_for_one_another() {
    let server = TestServer::start().await;
    let (api, alice) = (server.api(), server.user("alice"));
    for path in ["", "/unread-count", "/sync?since=0"] {
        let answer = api.get(&format!("/notifications{path}")).await;
        answer.problem(403, "USER_TOKEN_NEEDED");
    }
    api.post("/notifications/read-all", &json!({})).await.problem(403, "USER_TOKEN_NEEDED");
    api.delete("/notifications").await.problem(403, "USER_TOKEN_NEEDED");
    let send = json!({ "to": "bob", "type": "like", "message": "x" });
    alice.post("/notifications", &send).await.problem(403, "API_KEY_NEEDED");
    alice.put("/users/alice", &json!({})).await.problem(403, "API_KEY_NEEDED");
    alice.post("/tokens", &json!({ "userId": "bob" })).await.problem(403, "API_KEY_NEEDED");
}

#[tokio::test]
async fn a_revoked_or_unknown_key_is_refused_at_once() {
    let server = TestServer::start().await;
    let (key, id) = server.key_with(&Scope::ALL).await;
    let api = server.caller(Some(key));
    api.notify("alice", "x").await;
    assert!(server.state.store.revoke_api_key(&id, server.state.clock.now()).await.unwrap());
    let send = json!({ "to": "alice", "type": "like", "message": "x" });
    let answer = api.post("/notifications", &send).await;
    answer.problem(401, "AUTH_FAILED");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    for unknown in ["tdk_0123", "tdk_", "nonsense"] {
        let request = server.nobody().request("POST", "/notifications").json(&send);
        let answer = Answer::of(request.header("x-api-key", unknown)).await;
        answer.problem(401, "AUTH_FAILED");
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_credential() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    for (method, path) in [
        ("GET", "/notifications"),
        ("POST", "/notifications"),
        ("DELETE", "/notifications"),
        ("GET", "/notifications/unread-count"),
        ("GET", "/notifications/sync?since=0"),
        ("POST", "/notifications/read-all"),
        ("PUT", "/notifications/read-all"),
        ("GET", "/notifications/01930000-0000-7000-8000-000000000000"),
        ("DELETE", "/notifications/01930000-0000-7000-8000-000000000000"),
        ("PATCH", "/notifications/01930000-0000-7000-8000-000000000000/read"),
        ("PUT", "/notifications/01930000-0000-7000-8000-000000000000/read"),
        ("GET", "/announcements/01930000-0000-7000-8000-000000000000"),
        ("PUT", "/users/alice"),
        ("GET", "/audit"),
        ("POST", "/tokens"),
    ] {
        let answer = Answer::of(nobody.request(method, path).json(&json!({}))).await;
        answer.problem(401, "AUTH_FAILED");
    }
}
