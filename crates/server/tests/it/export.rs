//! `GET /users/{id}/export`: everything that is kept about a user.

use serde_json::{Value, json};

use crate::support::{TestServer, eventually};

fn count(list: &Value) -> usize {
    list.as_array().expect("a list").len()
}

#[tokio::test]
async fn everything_is_in_it() {
    let server = TestServer::start().await;
    let (api, alice) = (server.api(), server.user("alice"));
    api.put("/users/alice", &json!({ "name": "Alice" })).await.json(200);
    // More than a page of each.
    let rooms: Vec<_> = (0..101).map(|n| format!("group:{n:03}")).collect();
    for room in &rooms {
        api.put(&format!("/rooms/{room}/members/alice"), &json!({})).await;
    }
    let mut first = String::new();
    for n in 0..102 {
        first = api.notify("alice", &format!("n{n}")).await;
    }
    alice.patch(&format!("/notifications/{first}/archive")).await.json(200);
    api.notify("bob", "not hers").await;
    let mut client = server.connect("alice").await;
    client.ask("notification:ack", json!({ "upTo": 5 })).await;
    eventually(|| async {
        let found = api.get("/connections?user=alice").await.json(200);
        let log = api.get("/audit?user=alice").await.json(200);
        count(&found["connections"]) == 1 && count(&log["entries"]) > 0
    })
    .await;

    let export = alice.get("/users/alice/export").await;
    assert_eq!(export.header("cache-control"), "no-store");
    let export = export.json(200);
    assert_eq!(export["userId"], "alice");
    assert_eq!(export["user"]["name"], "Alice");
    assert_eq!((&export["inbox"]["unread"], &export["inbox"]["rev"]), (&json!(101), &json!(103)));
    assert_eq!(export["rooms"], json!(rooms));
    assert_eq!(count(&export["notifications"]), 102);
    assert_eq!(export["notifications"][101]["id"], first, "the archived one");
    assert!(export["notifications"][101]["archivedAt"].is_string());
    assert_eq!(count(&export["connections"]), 1);
    assert!(count(&export["audit"]) > 0);
    assert!(!export.to_string().contains("not hers"));
    eventually(|| async {
        let log = api.get("/audit?event=user.exported").await.json(200);
        count(&log["entries"]) == 1 && log["entries"][0]["user"] == "alice"
    })
    .await;
}

#[tokio::test]
async fn of_nobody_it_is_empty() {
    let server = TestServer::start().await;
    let export = server.api().get("/users/nobody/export").await.json(200);
    assert_eq!((&export["user"], &export["notifications"]), (&Value::Null, &json!([])));
    assert_eq!((&export["rooms"], &export["devices"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn it_is_for_the_user_and_for_servers() {
    let server = TestServer::start().await;
    server.user("bob").get("/users/alice/export").await.problem(403, "FORBIDDEN");
    server.api().get("/users/a%20b/export").await.bad_field(422, "id", "BAD_ID");
}
