//! Rooms over the API: members, and what is said.

use serde_json::{Value, json};
use tidings_core::api_key::Scope;
use tidings_server::config;

use crate::{
    rooms::{add, joins, with_claims},
    support::TestServer,
};

#[tokio::test]
async fn members_are_kept_and_listed_page_by_page() {
    let server = TestServer::start().await;
    let api = server.api();
    let users: Vec<_> = (0..25).map(|n| format!("u{n:02}")).collect();
    let body = json!({ "users": users });
    let answer = api.post("/rooms/post:1/members", &body).await.json(200);
    assert_eq!(answer, json!({ "room": "post:1", "added": 25 }));
    let again = api.put("/rooms/post:1/members/u03", &json!({})).await.json(200);
    assert_eq!(again["added"], 0);
    let mut found = Vec::new();
    let mut path = "/rooms/post:1/members?limit=10".to_owned();
    loop {
        let page = api.get(&path).await.json(200);
        found.extend(page["members"].as_array().unwrap().clone());
        let Some(cursor) = page["pagination"]["nextCursor"].as_str() else { break };
        path = format!("/rooms/post:1/members?limit=10&cursor={cursor}");
    }
    assert_eq!(json!(found), json!(users));
    let answer = api.delete("/rooms/post:1/members/u03").await.json(200);
    assert_eq!(answer, json!({ "room": "post:1", "removed": 1 }));
    assert_eq!(api.delete("/rooms/post:1/members/u03").await.json(200)["removed"], 0);
}

#[tokio::test]
async fn a_room_takes_no_more_members_than_its_kind_allows() {
    let server = TestServer::start().await;
    let users: Vec<_> = (0..11).map(|n| format!("u{n}")).collect();
    let answer = server.api().post("/rooms/dm:1/members", &json!({ "users": users })).await;
    answer.problem(409, "ROOM_FULL");
    let page = server.api().get("/rooms/dm:1/members").await.json(200);
    assert_eq!(page["members"], json!([]));
}

#[tokio::test]
async fn what_is_no_room_or_no_user_is_refused_by_field() {
    let server = TestServer::start().await;
    let api = server.api();
    let one = json!({ "users": ["a"] });
    for (room, code) in [("post", "BAD_ROOM"), ("x:1", "UNKNOWN_KIND"), ("user:bob", "NO_MEMBERS")]
    {
        api.post(&format!("/rooms/{room}/members"), &one).await.bad_field(422, "room", code);
    }
    let many: Vec<_> = (0..1_001).map(|n| format!("u{n}")).collect();
    for (users, pointer, code) in [
        (json!([]), "/users", "BAD_LENGTH"),
        (json!(many), "/users", "BAD_LENGTH"),
        (json!(["a", "b c"]), "/users/1", "BAD_ID"),
    ] {
        let answer = api.post("/rooms/post:1/members", &json!({ "users": users })).await;
        answer.bad_field(422, pointer, code);
    }
    let answer = api.get("/rooms/post:1/members?cursor=x").await;
    answer.bad_field(400, "cursor", "BAD_PARAMETER");
}

#[tokio::test]
async fn each_request_needs_its_scope() {
    let server = TestServer::start().await;
    let (read, _) = server.key_with(&[Scope::RoomsRead]).await;
    let (write, _) = server.key_with(&[Scope::RoomsWrite]).await;
    let (read, write) = (server.caller(Some(read)), server.caller(Some(write)));
    let event = json!({ "type": "task:update", "data": {} });
    read.get("/rooms/post:1").await.json(200);
    read.get("/rooms/post:1/members").await.json(200);
    write.put("/rooms/post:1/members/bob", &json!({})).await.json(200);
    write.post("/rooms/post:1/events", &event).await.json(202);
    write.get("/rooms/post:1").await.problem(403, "SCOPE_MISSING");
    write.get("/rooms/post:1/members").await.problem(403, "SCOPE_MISSING");
    read.put("/rooms/post:1/members/bob", &json!({})).await.problem(403, "SCOPE_MISSING");
    read.delete("/rooms/post:1/members/bob").await.problem(403, "SCOPE_MISSING");
    read.post("/rooms/post:1/events", &event).await.problem(403, "SCOPE_MISSING");
    let user = server.user("alice").post("/rooms/post:1/events", &event).await;
    user.problem(403, "API_KEY_NEEDED");
}

#[tokio::test]
async fn events_reach_all_in_the_room_but_those_left_out() {
    let server = TestServer::start().await;
    for user in ["alice", "bob"] {
        add(&server, "post:1", user).await;
    }
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    joins(&mut alice, "post:1").await;
    joins(&mut bob, "post:1").await;
    let data = json!({ "n": 1, "list": [1, null, "x"] });
    for (except, volatile) in [
        (json!("alice"), false),
        (json!(["alice", "carol"]), true),
        (json!({ "users": ["alice"], "sockets": ["x"] }), false),
    ] {
        let event = json!({
            "type": "task:update", "data": data, "except": except, "volatile": volatile
        });
        let answer = server.api().post("/rooms/post:1/events", &event).await.json(202);
        assert_eq!(answer, json!({ "room": "post:1", "type": "task:update" }));
        assert_eq!(bob.wait("task:update").await, data);
        assert!(alice.drain().await.is_empty());
    }
}

#[tokio::test]
async fn names_of_ours_and_odd_events_are_refused() {
    let server = TestServer::start().await;
    for name in [
        "notification",
        "connected",
        "disconnect",
        "error",
        "auth:x",
        "server:shutdown",
        "presence:update",
        "room:joined",
        "room:left",
        "newListener",
    ] {
        let event = json!({ "type": name, "data": {} });
        let answer = server.api().post("/rooms/post:1/events", &event).await;
        answer.bad_field(422, "/type", "RESERVED");
    }
    for (event, pointer, code) in [
        (json!({ "data": {} }), "/type", "MISSING"),
        (json!({ "type": "", "data": {} }), "/type", "BAD_LENGTH"),
        (json!({ "type": "x", "data": "x".repeat(70_000) }), "/data", "TOO_LONG"),
        (json!({ "type": "x", "except": ["a b"] }), "/except", "BAD_ID"),
        (json!({ "type": "x", "except": { "sockets": ["post:1"] } }), "/except/sockets", "BAD_ID"),
    ] {
        let answer = server.api().post("/rooms/post:1/events", &event).await;
        answer.bad_field(422, pointer, code);
    }
}

fn declared() -> Value {
    json!({ "task:update": {
        "schema": {
            "type": "object",
            "required": ["taskId"],
            "properties": { "taskId": { "type": "string" }, "cost": { "type": "number" } }
        },
        "audiences": { "architect": ["*"], "*": ["taskId"] }
    }})
}

#[tokio::test]
async fn declared_events_are_checked_and_each_audience_sees_its_fields() {
    let server = TestServer::with(|config| {
        config.events = serde_json::from_value(declared()).unwrap();
    })
    .await;
    let architect = json!({ "roles": ["architect"], "rooms": ["*"] });
    let mut architect = with_claims(&server, "anna", architect).await;
    let mut guest = with_claims(&server, "gus", json!({ "rooms": ["*"] })).await;
    joins(&mut architect, "task:1").await;
    joins(&mut guest, "task:1").await;
    let post = async |event: Value| server.api().post("/rooms/task:1/events", &event).await;
    let whole = json!({ "taskId": "t1", "cost": 5, "secret": true });
    post(json!({ "type": "task:update", "data": whole })).await.json(202);
    assert_eq!(architect.wait("task:update").await, whole);
    assert_eq!(guest.wait("task:update").await, json!({ "taskId": "t1" }));
    post(json!({ "type": "other", "data": {} })).await.bad_field(422, "/type", "UNKNOWN_TYPE");
    let wrong = post(json!({ "type": "task:update", "data": { "taskId": 5 } })).await;
    wrong.bad_field(422, "/data/taskId", "SCHEMA");
    let missing = post(json!({ "type": "task:update", "data": {} })).await;
    let problem = missing.bad_field(422, "/data", "SCHEMA");
    assert!(problem["detail"].as_str().unwrap().contains("taskId"), "{problem}");
    assert!(guest.drain().await.is_empty());
}

#[test]
fn declarations_that_make_no_sense_are_explained() {
    let mut bad = config::Config { dev: true, ..config::Config::default() };
    bad.rooms = serde_json::from_value(json!({
        "user": { "rule": "everyone" },
        "Desk": { "rule": { "role": "" }, "max_members": 0, "ask_application": true }
    }))
    .unwrap();
    bad.events = serde_json::from_value(json!({ "notification": { "schema": {} } })).unwrap();
    let problems = config::check(&bad).join("\n");
    for part in [
        "rooms.user.rule",
        "rooms.Desk:",
        "rooms.Desk.rule",
        "rooms.Desk.max_members",
        "rooms.Desk.ask_application",
        "events.\"notification\"",
    ] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    bad.events = serde_json::from_value(json!({ "x": { "schema": { "type": 5 } } })).unwrap();
    assert!(config::check(&bad).join("\n").contains("events.\"x\": schema"));
}
