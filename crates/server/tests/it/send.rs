//! `POST /notifications`: one, or several in an array.

use serde_json::{Value, json};

use crate::support::TestServer;

fn like(to: impl Into<Value>) -> Value {
    json!({ "to": to.into(), "type": "like", "message": "Bob liked your post" })
}

#[tokio::test]
async fn one_is_answered_201_when_it_is_stored() {
    let server = TestServer::start().await;
    let answer = server.api().post("/notifications", &like("alice")).await.json(201);
    let id = answer["id"].as_str().unwrap();
    assert_eq!(answer, json!({ "id": id, "recipients": 1, "stored": "committed" }));
    let stored = server.user("alice").get(&format!("/notifications/{id}")).await.json(200);
    assert_eq!(stored["message"], "Bob liked your post");
}

#[tokio::test]
async fn every_field_arrives_as_it_was_sent() {
    let server = TestServer::start().await;
    let body = json!({
        "to": { "users": ["alice", "carol", "alice"] },
        "type": "comment", "actorId": "bob", "entityType": "post", "entityId": "post-1",
        "tenant": "acme", "title": "New <comment>", "message": "ünï \u{1F514} \"quoted\"",
        "data": { "z": 1, "a": [1, null, 12345678901234567890u64] },
        "actions": [{ "label": "Open", "url": "/posts/1" }],
        "priority": 2, "groupKey": "g", "collapseKey": "c", "traceId": "t",
        "expiresAt": "2099-01-01T00:00:00Z",
    });
    let answer = server.api().post("/notifications", &body).await.json(201);
    assert_eq!(answer["recipients"], 2, "each once");
    let path = format!("/notifications/{}", answer["id"].as_str().unwrap());
    let mut got = server.user("carol").get(&path).await.json(200);
    let created = got["createdAt"].take();
    assert!(created.as_str().unwrap().ends_with('Z'), "{created}");
    let expected = json!({
        "id": answer["id"], "seq": 1, "rev": 1, "recipientId": "carol", "read": false,
        "type": "comment", "actorId": "bob",
        "entityType": "post", "entityId": "post-1", "tenant": "acme", "title": "New <comment>",
        "message": "ünï \u{1F514} \"quoted\"",
        "data": { "z": 1, "a": [1, null, 12345678901234567890u64] },
        "actions": [{ "label": "Open", "url": "/posts/1" }],
        "priority": 2, "groupKey": "g", "collapseKey": "c", "traceId": "t",
        "createdAt": null, "expiresAt": "2099-01-01T00:00:00.000Z",
    });
    assert_eq!(got, expected);
}

#[tokio::test]
async fn the_types_priority_holds_unless_the_notification_brings_its_own() {
    let server = TestServer::with(|config| {
        let spec = serde_json::from_value(json!({ "priority": 2 })).unwrap();
        config.types.insert("fire".to_owned(), spec);
    })
    .await;
    let alice = server.user("alice");
    for (body, priority) in [
        (json!({ "to": "alice", "type": "fire", "message": "x" }), 2),
        (json!({ "to": "alice", "type": "fire", "message": "x", "priority": 0 }), 0),
        (like("alice"), 0),
    ] {
        let sent = server.api().post("/notifications", &body).await.json(201);
        let path = format!("/notifications/{}", sent["id"].as_str().unwrap());
        assert_eq!(alice.get(&path).await.json(200)["priority"], priority, "{body}");
    }
}

#[tokio::test]
async fn an_array_is_answered_in_its_order() {
    let server = TestServer::start().await;
    let body = json!([like("alice"), like("bob"), like(json!({ "users": ["carol", "dan"] }))]);
    let answer = server.api().post("/notifications", &body).await.json(201);
    let results = answer["results"].as_array().unwrap();
    let counts: Vec<_> = results.iter().map(|result| result["recipients"].as_u64()).collect();
    assert_eq!(counts, [Some(1), Some(1), Some(2)]);
    for (result, user) in results.iter().zip(["alice", "bob", "carol"]) {
        let path = format!("/notifications/{}", result["id"].as_str().unwrap());
        assert_eq!(server.user(user).get(&path).await.status, 200);
    }
}

#[tokio::test]
async fn a_bad_entry_of_an_array_is_left_out_and_says_why() {
    let server = TestServer::start().await;
    let wrong = json!({ "to": "alice", "type": "unheard-of", "message": "" });
    let body = json!([like("alice"), wrong, { "to": 5 }, "text", like("alice")]);
    let answer = server.api().post("/notifications", &body).await.json(207);
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 5);
    assert!(results[0]["id"].is_string() && results[4]["id"].is_string());
    let problem = &results[1]["problem"];
    let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().collect();
    assert_eq!(pointers[0]["pointer"], "/1/type");
    assert_eq!(pointers[1]["pointer"], "/1/message");
    assert_eq!(results[2]["problem"]["errors"][0]["pointer"], "/2/to");
    assert_eq!(results[3]["problem"]["status"], 422);
    let list = server.user("alice").get("/notifications").await.json(200);
    assert_eq!(list["notifications"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_array_of_nothing_but_bad_entries_is_answered_422() {
    let server = TestServer::start().await;
    let body = json!([{ "to": "alice" }, { "to": "alice", "type": "like", "message": " " }]);
    let answer = server.api().post("/notifications", &body).await.json(422);
    assert_eq!(answer["results"].as_array().unwrap().len(), 2);
    assert_eq!(answer["results"][1]["problem"]["errors"][0]["pointer"], "/1/message");
}

#[tokio::test]
async fn an_array_holds_at_most_1000() {
    let server = TestServer::start().await;
    let api = server.api();
    let thousand: Vec<_> = (0..1_000).map(|_| like("alice")).collect();
    let answer = api.post("/notifications", &json!(thousand)).await.json(201);
    assert_eq!(answer["results"].as_array().unwrap().len(), 1_000);
    let more: Vec<_> = (0..1_001).map(|_| like("bob")).collect();
    api.post("/notifications", &json!(more)).await.bad_field(422, "", "BAD_LENGTH");
    api.post("/notifications", &json!([])).await.bad_field(422, "", "BAD_LENGTH");
    let unread = |user: &str| {
        let user = server.user(user);
        async move { user.get("/notifications/unread-count").await.json(200)["unread"].clone() }
    };
    assert_eq!(unread("alice").await, 1_000);
    assert_eq!(unread("bob").await, 0);
}

#[tokio::test]
async fn a_dedupe_key_gives_each_user_one_notification() {
    let server = TestServer::start().await;
    let api = server.api();
    let with_key = |to: Value| {
        let mut body = like(to);
        body["dedupeKey"] = "like:1:bob".into();
        body
    };
    let first = api.post("/notifications", &with_key("alice".into())).await.json(201);
    let second = api.post("/notifications", &with_key("alice".into())).await.json(200);
    assert_eq!(second["duplicate"], true);
    assert_eq!(second["id"], first["id"], "the first one's");
    let both = with_key(json!({ "users": ["alice", "carol"] }));
    let third = api.post("/notifications", &both).await.json(201);
    assert_eq!(third["recipients"], 1, "carol has none yet");
    for user in ["alice", "carol"] {
        let list = server.user(user).get("/notifications").await.json(200);
        assert_eq!(list["notifications"].as_array().unwrap().len(), 1, "{user}");
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let server = TestServer::start().await;
    let body = json!({
        "to": { "users": ["alice", "not an id"] }, "type": "unheard-of", "message": "  ",
        "title": "t".repeat(257), "tenant": "", "data": [1],
        "actions": [{ "label": "x", "url": "javascript:alert(1)" }],
        "expiresAt": "2001-01-01T00:00:00Z", "sendAt": "2999-01-01T00:00:00Z",
    });
    let answer = server.api().post("/notifications", &body).await;
    for (pointer, code) in [
        ("/to/users/1", "BAD_ID"),
        ("/type", "UNKNOWN_TYPE"),
        ("/message", "EMPTY"),
        ("/title", "TOO_LONG"),
        ("/tenant", "EMPTY"),
        ("/data", "WRONG_TYPE"),
        ("/actions/0/url", "BAD_URL"),
        ("/expiresAt", "IN_THE_PAST"),
        ("/sendAt", "TOO_FAR"),
    ] {
        answer.bad_field(422, pointer, code);
    }
    assert_eq!(server.user("alice").get("/notifications/unread-count").await.json(200)["rev"], 0);
}

#[tokio::test]
async fn recipients_are_named_in_exactly_one_way() {
    let server = TestServer::start().await;
    for to in [json!({}), json!({ "all": false }), json!({ "all": true, "users": ["a"] })] {
        let answer = server.api().post("/notifications", &like(to)).await;
        answer.bad_field(422, "/to", "BAD_RECIPIENTS");
    }
    let nobody = like(json!({ "users": [] }));
    server.api().post("/notifications", &nobody).await.bad_field(422, "/to/users", "EMPTY");
}
