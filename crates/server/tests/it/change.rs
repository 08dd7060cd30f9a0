//! What a user does with the own inbox over HTTP; and servers take messages back.

use serde_json::{Value, json};

use crate::support::{TestServer, eventually, logged};

async fn state(server: &TestServer, id: &str) -> Value {
    server.user("alice").get(&format!("/notifications/{id}")).await.json(200)
}

fn outcome(changed: u64, unread: u64, rev: u64, read_up_to: u64) -> Value {
    json!({ "changed": changed, "unread": unread, "rev": rev, "readUpTo": read_up_to })
}

#[tokio::test]
async fn a_notification_is_read_and_unread_by_patch_and_put() {
    let server = TestServer::start().await;
    let id = server.api().notify("alice", "one").await;
    let alice = server.user("alice");
    let path = |change: &str| format!("/notifications/{id}/{change}");
    assert_eq!(alice.patch(&path("read")).await.json(200), outcome(1, 0, 2, 0));
    let read = state(&server, &id).await;
    assert_eq!(read["read"], true);
    assert!(read["readAt"].is_string() && read["seenAt"].is_string(), "{read}");
    assert_eq!(alice.patch(&path("read")).await.json(200), outcome(0, 0, 2, 0), "no rev");
    assert_eq!(alice.patch(&path("unread")).await.json(200), outcome(1, 1, 3, 0));
    assert_eq!(state(&server, &id).await["read"], false);
    let put = alice.put(&path("read"), &json!({})).await.json(200);
    assert_eq!(put, outcome(1, 0, 4, 0));
}

#[tokio::test]
async fn a_notification_is_seen_archived_and_taken_back_out() {
    let server = TestServer::start().await;
    let id = server.api().notify("alice", "one").await;
    let alice = server.user("alice");
    let path = |change: &str| format!("/notifications/{id}/{change}");
    assert_eq!(alice.patch(&path("seen")).await.json(200), outcome(1, 1, 2, 0));
    let seen = state(&server, &id).await;
    assert!(seen["seenAt"].is_string() && seen["read"] == false, "{seen}");
    assert_eq!(alice.patch(&path("archive")).await.json(200), outcome(1, 0, 3, 0));
    assert!(state(&server, &id).await["archivedAt"].is_string());
    assert_eq!(alice.patch(&path("unarchive")).await.json(200), outcome(1, 1, 4, 0));
    assert!(state(&server, &id).await["archivedAt"].is_null());
    alice.patch(&path("burn")).await.problem(404, "NOT_FOUND");
    alice.request("POST", &path("read")).send().await.unwrap().error_for_status().unwrap_err();
}

#[tokio::test]
async fn read_all_goes_up_to_a_seq() {
    let server = TestServer::start().await;
    let (api, alice) = (server.api(), server.user("alice"));
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(api.notify("alice", &format!("n{n}")).await);
    }
    let path = "/notifications/read-all";
    assert_eq!(alice.post(path, &json!({ "upTo": 2 })).await.json(200), outcome(2, 2, 5, 2));
    assert_eq!(state(&server, &ids[1]).await["read"], true);
    assert_eq!(state(&server, &ids[2]).await["read"], false);
    assert_eq!(alice.put(path, &json!({ "upTo": 3 })).await.json(200), outcome(1, 1, 6, 3));
    let bare = alice.request("POST", path).send().await.unwrap();
    assert_eq!(bare.json::<Value>().await.unwrap(), outcome(1, 0, 7, 6), "everything");
    api.notify("alice", "new").await;
    let unread = alice.get("/notifications/unread-count").await.json(200);
    assert_eq!(unread["unread"], 1);
    for bad in [json!({ "upTo": -1 }), json!({ "upTo": "2" }), json!({ "upTo": 1.5 })] {
        alice.post(path, &bad).await.bad_field(422, "/upTo", "WRONG_TYPE");
    }
    alice.post(path, &json!({ "upto": 1 })).await.bad_field(422, "/upto", "WRONG_TYPE");
    alice.post(path, &json!([1])).await.problem(422, "INVALID");
}

#[tokio::test]
async fn a_deleted_notification_is_gone() {
    let server = TestServer::start().await;
    let id = server.api().notify("alice", "one").await;
    let path = format!("/notifications/{id}");
    let alice = server.user("alice");
    assert_eq!(alice.delete(&path).await.json(200), outcome(1, 0, 2, 0));
    alice.get(&path).await.problem(404, "NOT_FOUND");
    alice.delete(&path).await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn an_inbox_is_cleared_up_to_a_seq() {
    let server = TestServer::start().await;
    let (api, alice) = (server.api(), server.user("alice"));
    for n in 0..4 {
        api.notify("alice", &format!("n{n}")).await;
    }
    assert_eq!(alice.delete("/notifications?upTo=3").await.json(200), outcome(3, 1, 5, 0));
    let list = alice.get("/notifications").await.json(200);
    assert_eq!(list["notifications"].as_array().unwrap().len(), 1);
    assert_eq!(alice.delete("/notifications").await.json(200)["unread"], 0);
    alice.delete("/notifications?upTo=-3").await.bad_field(400, "upTo", "BAD_PARAMETER");
    alice.delete("/notifications?upto=3").await.bad_field(400, "upto", "BAD_PARAMETER");
}

#[tokio::test]
async fn a_server_takes_a_message_back_from_everybody() {
    let server = TestServer::start().await;
    let (api, alice) = (server.api(), server.user("alice"));
    let body = json!({ "to": { "users": ["alice", "bob"] }, "type": "like", "message": "oops" });
    let sent = api.post("/notifications", &body).await.json(201);
    let id = sent["id"].as_str().unwrap();
    let path = format!("/notifications/{id}");
    let taken = api.delete(&path).await.json(200);
    assert_eq!(taken, json!({ "id": id, "removed": 2, "complete": true }));
    for user in ["alice", "bob"] {
        server.user(user).get(&path).await.problem(404, "NOT_FOUND");
    }
    assert_eq!(alice.get("/notifications/unread-count").await.json(200)["unread"], 0);
    let unknown = "/notifications/01930000-0000-7000-8000-000000000000";
    api.delete(unknown).await.problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_message_in_many_inboxes_is_taken_back_in_batches() {
    let server = TestServer::start().await;
    let api = server.api();
    let users: Vec<_> = (0..1_500).map(|n| format!("u{n}")).collect();
    let body = json!({ "to": { "users": users }, "type": "like", "message": "oops" });
    let sent = api.post("/notifications", &body).await.json(202);
    let id = sent["id"].as_str().unwrap();
    let status = format!("/announcements/{id}");
    eventually(|| async { api.get(&status).await.json(200)["state"] == "done" }).await;
    let path = format!("/notifications/{id}");
    let taken = api.delete(&path).await.json(202);
    assert_eq!(taken, json!({ "id": id, "removed": 1000, "complete": false }));
    let last = server.user("u1499");
    eventually(|| async { last.get(&path).await.status == 404 }).await;
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_not_found_and_logged() {
    let server = TestServer::start().await;
    let id = server.api().notify("alice", "for alice").await;
    let mallory = server.user("mallory.rest");
    let path = format!("/notifications/{id}");
    mallory.get(&path).await.problem(404, "NOT_FOUND");
    mallory.delete(&path).await.problem(404, "NOT_FOUND");
    for change in ["read", "unread", "seen", "archive", "unarchive"] {
        mallory.patch(&format!("{path}/{change}")).await.problem(404, "NOT_FOUND");
    }
    let parts = ["event=notification.foreign", "user_id=mallory.rest", &id, "ip=127.0.0.1"];
    assert!(logged(&parts));
    assert_eq!(state(&server, &id).await["read"], false);
}

#[tokio::test]
async fn expired_notifications_leave_the_inbox_as_a_change() {
    let server = TestServer::start().await;
    let mut device = server.connect("alice").await;
    let soon = server.state.clock.now();
    let soon = tidings_core::time::Timestamp::from_millis(soon.as_millis() + 4_000);
    let body = json!({ "to": "alice", "type": "like", "message": "x", "expiresAt": soon });
    let id = server.api().post("/notifications", &body).await.json(201)["id"].clone();
    device.wait("notification").await;
    let updated = device.wait("notification:updated").await;
    assert_eq!(updated, json!({ "rev": 2, "unread": 0, "removed": [id] }));
    let list = server.user("alice").get("/notifications").await.json(200);
    assert_eq!(list["notifications"], json!([]));
}
