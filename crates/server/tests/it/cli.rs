//! The command line, with and without a running server.

use serde_json::json;

use crate::support::{Client, Tidings, claims, fresh, sign};

fn line_of<'a>(list: &'a str, name: &str) -> Vec<&'a str> {
    let line = list.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
    line.unwrap_or_else(|| panic!("no {name}: {list}")).split_whitespace().collect()
}

async fn printed(path: &std::path::Path, args: &[&str]) -> String {
    Tidings::printed(&Tidings::run(path, args).await)
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked_without_a_server_and_with_one() {
    let (_dir, path) = fresh();
    let before = printed(&path, &["keys", "create", "--name", "before", "--quiet"]).await;
    assert!(before.starts_with("tdk_") && before.len() == 52, "the key alone: {before}");
    let server = Tidings::serve(&path).await;
    server.api(Some(before.clone())).notify("alice", "x").await;
    let args =
        ["keys", "create", "--name", "sender", "--scopes", "notifications:write,users:write"];
    let text = printed(&path, &args).await;
    let key = text.lines().next().unwrap().to_owned();
    assert!(text.contains("not shown again"), "{text}");
    let sender = server.api(Some(key.clone()));
    sender.notify("alice", "x").await;
    sender.post("/tokens", &json!({ "userId": "a" })).await.problem(403, "SCOPE_MISSING");
    let list = printed(&path, &["keys", "list"]).await;
    assert!(!list.contains(&key) && !list.contains(&before), "never the keys: {list}");
    let line = line_of(&list, "sender");
    assert_eq!((line[3], line[4]), ("-", "notifications:write,users:write"));
    assert_eq!(printed(&path, &["keys", "revoke", line[0]]).await, "The key is revoked.");
    let send = json!({ "to": "alice", "type": "like", "message": "x" });
    sender.post("/notifications", &send).await.problem(401, "AUTH_FAILED");
    let again = Tidings::run(&path, &["keys", "revoke", line[0]]).await;
    assert!(Tidings::complained(&again).contains("there is no key"));
    server.kill().await;
    let list = printed(&path, &["keys", "list"]).await;
    assert!(line_of(&list, "sender")[3].ends_with('Z'), "revoked at: {list}");
    assert_eq!(line_of(&list, "before")[3], "-");
}

#[tokio::test]
async fn what_operators_do_is_in_the_audit_log_with_and_without_a_server() {
    let (_dir, path) = fresh();
    printed(&path, &["keys", "create", "--name", "app", "--quiet"]).await;
    let list = printed(&path, &["keys", "list"]).await;
    let id = line_of(&list, "app")[0].to_owned();
    let made = printed(&path, &["audit", "list", "--event", "api_key.created", "--json"]).await;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["actor"]["kind"], &made["target"]), (&json!("operator"), &json!(id)));
    assert_eq!(made["detail"]["name"], "app");
    let server = Tidings::serve(&path).await;
    printed(&path, &["notify", "--to", "alice", "--message", "x"]).await;
    printed(&path, &["keys", "revoke", &id]).await;
    let list = printed(&path, &["audit", "list"]).await;
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(lines[0].contains(&format!("api_key.revoked actor=operator target={id:?}")), "{list}");
    assert!(lines[1].contains("notification.sent actor=operator"), "{list}");
    let bad = Tidings::run(&path, &["audit", "list", "--limit", "0"]).await;
    assert!(Tidings::complained(&bad).contains("limit"));
    server.kill().await;
}

#[tokio::test]
async fn unknown_scopes_are_refused_with_those_there_are() {
    let (_dir, path) = fresh();
    let args = ["keys", "create", "--name", "x", "--scopes", "everything"];
    let output = Tidings::run(&path, &args).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("notifications:write"), "{text}");
}

#[tokio::test]
async fn notify_reaches_the_inbox_without_a_server_and_the_device_with_one() {
    let (_dir, path) = fresh();
    let args = ["notify", "--to", "alice", "--type", "like", "--message", "offline"];
    let said = printed(&path, &args).await;
    assert!(said.ends_with("was sent to 1 user"), "{said}");
    let server = Tidings::serve(&path).await;
    let mut alice = Client::open(server.address).await;
    alice.join(json!({ "token": sign(&claims("alice")) })).await;
    let pending = alice.wait("notifications:pending").await;
    assert_eq!(pending["notifications"][0]["message"], "offline");
    let args = [
        "notify",
        "--to",
        "alice",
        "--to",
        "bob",
        "--type",
        "comment",
        "--actor",
        "carol",
        "--title",
        "T",
        "--entity-type",
        "post",
        "--entity-id",
        "p1",
        "--data",
        "{\"n\":1}",
    ];
    assert!(printed(&path, &args).await.ends_with("was sent to 2 users"));
    let live = alice.wait("notification").await;
    assert_eq!((&live["type"], &live["data"]), (&json!("comment"), &json!({ "n": 1 })));
    assert_eq!((&live["entityId"], &live["actorId"]), (&json!("p1"), &json!("carol")));
    let all = printed(&path, &["notify", "--all", "--type", "system"]).await;
    assert!(all.ends_with("is being announced to 1 user"), "{all}");
    assert_eq!(alice.wait("notification").await["type"], "system");
}

#[tokio::test]
async fn a_notification_that_is_not_valid_says_why() {
    let (_dir, path) = fresh();
    for (args, part) in [
        (&["notify", "--to", "a b"][..], "/to/users/0"),
        (&["notify", "--to", "alice", "--type", "unheard-of"], "/type"),
        (&["notify", "--to", "alice", "--data", "[1]"], "/data"),
        (&["notify", "--to", "alice", "--data", "{"], "--data is not JSON"),
        (&["notify", "--to", "alice", "--message", " "], "/message"),
    ] {
        let complaint = Tidings::complained(&Tidings::run(&path, args).await);
        assert!(complaint.contains(part), "{args:?}: {complaint}");
    }
}

#[tokio::test]
async fn a_token_of_the_command_line_lets_its_user_in() {
    let (_dir, path) = fresh();
    let token = printed(&path, &["token", "--user", "alice", "--role", "admin"]).await;
    let server = Tidings::serve(&path).await;
    let alice = server.api(Some(token));
    assert_eq!(alice.get("/notifications").await.status, 200);
    let expired = printed(&path, &["token", "--user", "alice", "--ttl=-1h"]).await;
    server.api(Some(expired)).get("/notifications").await.problem(401, "TOKEN_EXPIRED");
    let bad = Tidings::run(&path, &["token", "--user", "a b"]).await;
    assert!(Tidings::complained(&bad).contains("--user"));
}

#[tokio::test]
async fn migrations_go_up_and_down_and_tell_where_they_are() {
    let (_dir, path) = fresh();
    let status = printed(&path, &["migrate", "status"]).await;
    let count = status.lines().count();
    assert!(count >= 1 && status.lines().all(|line| line.ends_with("missing")), "{status}");
    assert_eq!(printed(&path, &["migrate", "up"]).await.lines().count(), count);
    assert_eq!(printed(&path, &["migrate", "up"]).await, "Nothing to do.");
    let status = printed(&path, &["migrate", "status"]).await;
    assert!(status.lines().all(|line| line.ends_with("applied")), "{status}");
    assert_eq!(printed(&path, &["migrate", "down"]).await.lines().count(), 1);
    let status = printed(&path, &["migrate", "status"]).await;
    assert!(status.lines().last().unwrap().ends_with("missing"), "{status}");
    let steps = count.to_string();
    printed(&path, &["migrate", "down", "--steps", &steps]).await;
    let status = printed(&path, &["migrate", "status"]).await;
    assert!(status.lines().all(|line| line.ends_with("missing")), "{status}");
    // A start brings it up by itself.
    let server = Tidings::serve(&path).await;
    assert_eq!(server.api(None).get("/health/ready").await.status, 200);
}
