//! The log: a JSON object on each line, and no secrets.

use serde_json::{Value, json};

use crate::support::{Answer, Client, Tidings, claims, fresh, now_secs, sign};

#[tokio::test]
async fn lines_are_json_and_hold_no_token_key_or_payload() {
    let (_dir, path) = fresh();
    let mut command = Tidings::command(&path);
    command.args(["serve", "--port", "0"]);
    command.env("TIDINGS_LOG__LEVEL", "debug").env("TIDINGS_NODE_ID", "node-a");
    let server = Tidings::spawn(command).await;
    let key = Tidings::run(&path, &["keys", "create", "--name", "x", "--quiet"]).await;
    let key = Tidings::printed(&key);
    let token = sign(&claims("alice"));
    let expired = sign(&json!({ "sub": "alice", "exp": now_secs() - 600 }));
    let renewed = sign(&json!({ "sub": "alice", "exp": now_secs() + 7_200 }));

    let api = server.api(Some(key.clone()));
    api.notify("alice", "a very private message").await;
    let issued = api.post("/tokens", &json!({ "userId": "alice" })).await.json(201);
    let issued = issued["token"].as_str().unwrap().to_owned();
    let request = server.api(Some(token.clone())).request("GET", "/notifications?type=like");
    Answer::of(request.header("x-request-id", "request-42")).await.json(200);
    server.api(Some(expired.clone())).get("/notifications").await.problem(401, "TOKEN_EXPIRED");
    let bad_key = format!("{key}0");
    let body = json!({ "to": "alice", "type": "like", "message": "x" });
    server
        .api(Some(bad_key.clone()))
        .post("/notifications", &body)
        .await
        .problem(401, "AUTH_FAILED");

    let query = format!("&token={token}");
    let agent = "a".repeat(1_000);
    let headers = [("user-agent", &*agent)];
    let mut by_query = Client::try_open(server.address, &query, &headers).await.unwrap();
    by_query.join(json!({})).await;
    let connected = by_query.wait("connected").await;
    by_query.ask("auth:refresh", json!({ "token": renewed })).await;
    by_query.ask("notification:read", json!({ "id": "private-argument" })).await;
    let query = format!("&token={expired}");
    Client::try_open(server.address, &query, &[]).await.err().unwrap();
    let mut by_auth = Client::open(server.address).await;
    by_auth.try_join(json!({ "token": expired })).await.unwrap_err();
    by_auth.join(json!({ "token": issued })).await;
    server.terminate();
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0));

    let lines: Vec<Value> = log
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    for line in &lines {
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert_eq!((&line["service"], &line["server_id"]), (&json!("tidings"), &json!("node-a")));
        assert!(["error", "warn", "info", "debug"].contains(&line["level"].as_str().unwrap()));
        assert!(line.get("event").is_some() || line.get("message").is_some(), "{line}");
    }
    let all = log.join("\n");
    // The whole of each, and also its signature alone.
    for token in [&token, &expired, &renewed, &issued] {
        assert!(!all.contains(token.as_str()));
        assert!(!all.contains(token.rsplit('.').next().unwrap()));
    }
    for secret in [&*key, &*bad_key, "a very private message", "private-argument"] {
        assert!(!all.contains(secret), "{secret}");
    }
    assert!(!all.contains(crate::support::SECRET));

    let event = |name: &str| lines.iter().filter(|line| line["event"] == name).collect::<Vec<_>>();
    let opened = &event("connection.opened")[0];
    assert_eq!(opened["user_id"], "alice");
    assert_eq!(opened["socket_id"], connected["socketId"]);
    assert_eq!((&opened["client_type"], &opened["ip"]), (&json!("socket.io"), &json!("127.0.0.1")));
    assert_eq!(opened["user_agent"].as_str().unwrap().len(), 256);
    let asked = event("request").into_iter().find(|line| line["request_id"] == "request-42");
    let asked = asked.expect("its line");
    assert_eq!((&asked["path"], &asked["status"]), (&json!("/api/v1/notifications"), &json!(200)));
    assert!(!event("token.refused").is_empty() && !event("api_key.refused").is_empty());
    assert!(event("token.refused").iter().all(|line| line["target"] == "security"));
    for name in ["server.started", "server.draining", "server.stopped"] {
        assert_eq!(event(name).len(), 1, "{name}");
    }
}
