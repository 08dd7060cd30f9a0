//! The description of the API is true: every route is in it, and answers as it says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, Api, Stream, TestServer, eventually, schema};

/// Pages for operators, which are not part of the API.
const OPERATORS: [&str; 7] = [
    "/health",
    "/health/live",
    "/health/ready",
    "/ws/metrics",
    "/api/openapi.json",
    "/api/asyncapi.json",
    "/metrics",
];

async fn document(server: &TestServer) -> Value {
    server.page("/api/openapi.json").await.json(200)
}

/// `get /notifications` and so on.
fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().expect("paths");
    let of = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods").keys();
        methods.map(|method| format!("{method} {path}")).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

/// Holds answers against what the document says about their operation.
struct Checker {
    document: Value,
    seen: BTreeSet<(String, String)>,
}

impl Checker {
    /// `operation` as in [`operations`], `path` the same with its parameters filled in.
    async fn check(
        &mut self,
        api: &Api,
        operation: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let (method, _) = operation.split_once(' ').expect("a method");
        let request = api.request(&method.to_uppercase(), path);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = Answer::of(request).await;
        self.hold(operation, &answer);
        answer
    }

    fn hold(&mut self, operation: &str, answer: &Answer) {
        let (method, template) = operation.split_once(' ').expect("a method");
        let described = &self.document["paths"][template][method];
        assert!(described.is_object(), "{operation} is not described");
        let responses = described["responses"].as_object().expect("responses");
        let status = answer.status.to_string();
        let family = format!("{}XX", &status[..1]);
        let (name, response) = [status, family]
            .into_iter()
            .find_map(|name| responses.get(&name).map(|response| (name, response)))
            .unwrap_or_else(|| panic!("{operation}: {} is not described", answer.status));
        self.seen.insert((operation.to_owned(), name));
        let Some(content) = response.get("content") else {
            assert_eq!(answer.text, "", "{operation} has a body that is not described");
            return;
        };
        let schema = &content[answer.header("content-type")]["schema"];
        assert!(schema.is_object(), "{operation}: {} {}", answer.status, answer.text);
        let body = serde_json::from_str(&answer.text).expect("JSON");
        if let Err(problem) = schema::check(&self.document, schema, &body) {
            panic!("{operation} {}: {problem}: {}", answer.status, answer.text);
        }
    }

    /// Whatever was described and never answered.
    fn unseen(&self) -> Vec<String> {
        let mut unseen = Vec::new();
        for operation in operations(&self.document) {
            let (method, path) = operation.split_once(' ').expect("a method");
            let responses = &self.document["paths"][path][method]["responses"];
            for status in responses.as_object().expect("responses").keys() {
                if !self.seen.contains(&(operation.clone(), status.clone())) {
                    unseen.push(format!("{operation} {status}"));
                }
            }
        }
        unseen
    }
}

#[tokio::test]
async fn it_is_openapi_3_1_and_describes_both_prefixes() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"], json!([{ "url": "/api/v1" }, { "url": "/api" }]));
    let names: BTreeSet<_> = document["components"]["securitySchemes"]
        .as_object()
        .expect("schemes")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, BTreeSet::from(["apiKey", "userToken"]));
    for operation in operations(&document) {
        let (method, path) = operation.split_once(' ').unwrap();
        let security = &document["paths"][path][method]["security"];
        assert!(security.as_array().is_some_and(|list| !list.is_empty()), "{operation}");
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn every_route_is_described_or_a_page_for_operators() {
    let source = include_str!("../../src/api/mod.rs");
    for route in source.split(".route(\"").skip(1) {
        let path = route.split('"').next().unwrap();
        assert!(OPERATORS.contains(&path), "{path}: describe it, with routes!");
    }
    let server = TestServer::start().await;
    for path in OPERATORS {
        let path = if path == "/ws/metrics" { "/api/v1/ws/metrics" } else { path };
        assert_eq!(server.page(path).await.status, 200, "{path}");
    }
    // And every described one exists, under both prefixes.
    for operation in operations(&document(&server).await) {
        let (method, template) = operation.split_once(' ').unwrap();
        let path = template
            .replace("{change}", "read")
            .replace("{id}", "x")
            .replace("{room}", "x")
            .replace("{user}", "x");
        for prefix in ["/api", "/api/v1"] {
            let nobody = Api { prefix, ..server.nobody() };
            let answer = Answer::of(nobody.request(&method.to_uppercase(), &path)).await;
            assert_eq!(answer.status, 401, "{operation}");
        }
    }
}

async fn check_rooms(check: &mut Checker, api: &Api) {
    let users = || Some(json!({ "users": ["alice", "bob"] }));
    let event = || Some(json!({ "type": "task:update", "data": { "id": 1 }, "except": "bob" }));
    let members = "/rooms/group:1/members";
    for (operation, path, body) in [
        ("put /rooms/{room}/members/{user}", "/rooms/group:1/members/alice", None),
        ("post /rooms/{room}/members", members, users()),
        ("get /rooms/{room}/members", "/rooms/group:1/members?limit=1", None),
        ("get /rooms/{room}", "/rooms/group:1", None),
        ("post /rooms/{room}/events", "/rooms/group:1/events", event()),
        ("delete /rooms/{room}/members/{user}", "/rooms/group:1/members/alice", None),
        ("delete /rooms/{room}/members", members, users()),
    ] {
        let answer = check.check(api, operation, path, body.clone()).await;
        assert!(answer.status < 300, "{operation}: {}", answer.text);
        let nowhere = path.replace("group:1", "no%20room");
        let answer = check.check(api, operation, &nowhere, body).await;
        assert!(answer.status >= 400, "{operation}: {}", answer.text);
    }
}

async fn check_stream(check: &mut Checker, server: &TestServer) {
    let (alice, operation) = (server.user("alice"), "get /stream");
    let path = "/stream?since=0&device=d&rooms=post:1";
    let stream = Stream::try_open(alice.request("GET", path)).await.expect("a stream");
    let content = &check.document["paths"]["/stream"]["get"]["responses"]["200"]["content"];
    assert!(content[stream.header("content-type").unwrap()].is_object());
    check.seen.insert((operation.to_owned(), "200".to_owned()));
    check.check(&alice, operation, "/stream?since=x", None).await.problem(400, "INVALID");
    let tickets = "post /stream-tickets";
    check.check(&alice, tickets, "/stream-tickets", None).await.json(201);
    check.check(&server.nobody(), tickets, "/stream-tickets", None).await;
}

async fn check_connections(check: &mut Checker, server: &TestServer) {
    let (api, alice) = (server.api(), server.user("alice"));
    let _client = server.connect("alice").await;
    let list = "get /connections";
    let path = "/connections?user=alice&active=true";
    eventually(|| async { api.get(path).await.json(200)["connections"][0].is_object() }).await;
    let found = check.check(&api, list, path, None).await.json(200);
    check.check(&alice, list, "/connections", None).await.json(200);
    check.check(&alice, list, "/connections?limit=0", None).await;
    let delete = "delete /connections/{id}";
    let path = format!("/connections/{}", found["connections"][0]["id"].as_str().unwrap());
    assert_eq!(check.check(&api, delete, &path, None).await.status, 204);
    check.check(&api, delete, "/connections/x", None).await;
    let rebalance = "post /admin/rebalance";
    let few = Some(json!({ "connections": 1, "seconds": 0 }));
    check.check(&api, rebalance, "/admin/rebalance", few).await.json(202);
    let none = Some(json!({ "connections": 0 }));
    check.check(&api, rebalance, "/admin/rebalance", none).await;
}

#[tokio::test]
async fn answers_are_as_described() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let mut check = Checker { document, seen: BTreeSet::new() };
    let (api, alice) = (server.api(), server.user("alice"));
    let bob = json!({ "name": "Bob", "avatarUrl": "/b.png" });
    check.check(&api, "put /users/{id}", "/users/bob", Some(bob)).await.json(200);
    check.check(&api, "put /users/{id}", "/users/b%20b", Some(json!({}))).await;
    let full = json!({
        "to": "alice", "type": "like", "actorId": "bob", "message": "x", "title": "t",
        "entityType": "post", "entityId": "1", "tenant": "a", "data": { "x": 1 }, "priority": 2,
        "actions": [{ "label": "Open", "url": "/x" }], "groupKey": "g", "collapseKey": "c",
        "traceId": "t", "dedupeKey": "d", "expiresAt": "2099-01-01T00:00:00Z",
    });
    let send = "post /notifications";
    let sent = check.check(&api, send, "/notifications", Some(full.clone())).await.json(201);
    check.check(&api, send, "/notifications", Some(full.clone())).await.json(200);
    let all = json!({ "to": { "all": true }, "type": "system", "message": "x" });
    let job = check.check(&api, send, "/notifications", Some(all.clone())).await.json(202);
    check.check(&api, send, "/notifications", Some(json!([full, all]))).await.json(202);
    check.check(&api, send, "/notifications", Some(json!([full, {}]))).await.json(207);
    check.check(&api, send, "/notifications", Some(json!([{}]))).await.json(422);
    check.check(&api, send, "/notifications", Some(json!({}))).await.problem(422, "INVALID");
    let status = "get /announcements/{id}";
    let path = format!("/announcements/{}", job["id"].as_str().unwrap());
    check.check(&api, status, &path, None).await.json(200);
    check.check(&api, status, "/announcements/x", None).await.problem(404, "NOT_FOUND");

    let one = format!("/notifications/{}", sent["id"].as_str().unwrap());
    check.check(&alice, "get /notifications/{id}", &one, None).await.json(200);
    check.check(&alice, "get /notifications/{id}", "/notifications/x", None).await;
    for (method, change) in [("patch", "read"), ("put", "unread"), ("patch", "archive")] {
        let operation = format!("{method} /notifications/{{id}}/{{change}}");
        check.check(&alice, &operation, &format!("{one}/{change}"), None).await.json(200);
        check.check(&alice, &operation, &format!("{one}/burn"), None).await;
    }
    for query in ["", "?archived=true", "?page=1", "?limit=1"] {
        let path = format!("/notifications{query}");
        check.check(&alice, "get /notifications", &path, None).await.json(200);
    }
    check.check(&alice, "get /notifications", "/notifications?limit=-1", None).await;
    let (count, path) = ("get /notifications/unread-count", "/notifications/unread-count");
    let answer = check.check(&alice, count, path, None).await;
    let request = alice.request("GET", path).header("if-none-match", answer.header("etag"));
    let unchanged = Answer::of(request).await;
    assert_eq!(unchanged.status, 304);
    check.hold(count, &unchanged);
    check.check(&api, count, path, None).await.problem(403, "USER_TOKEN_NEEDED");
    for since in ["0", "99", "x"] {
        let path = format!("/notifications/sync?since={since}");
        check.check(&alice, "get /notifications/sync", &path, None).await;
    }
    for method in ["post", "put"] {
        let operation = format!("{method} /notifications/read-all");
        let body = Some(json!({ "upTo": 1 }));
        check.check(&alice, &operation, "/notifications/read-all", body).await.json(200);
        let bad = Some(json!({ "upTo": "x" }));
        check.check(&alice, &operation, "/notifications/read-all", bad).await;
    }
    let delete = "delete /notifications/{id}";
    check.check(&api, delete, &one, None).await.json(200);
    check.check(&alice, delete, &one, None).await.problem(404, "NOT_FOUND");
    let id = api.notify("alice", "x").await;
    check.check(&alice, delete, &format!("/notifications/{id}"), None).await.json(200);
    check.check(&alice, "delete /notifications", "/notifications", None).await.json(200);
    check.check(&alice, "delete /notifications", "/notifications?x=1", None).await;
    let tokens = "post /tokens";
    check.check(&api, tokens, "/tokens", Some(json!({ "userId": "alice" }))).await.json(201);
    check.check(&api, tokens, "/tokens", Some(json!({}))).await;

    let many: Vec<_> = (0..1_001).map(|n| format!("u{n}")).collect();
    let many = json!({ "to": { "users": many }, "type": "like", "message": "x" });
    let sent = check.check(&api, send, "/notifications", Some(many)).await.json(202);
    let path = format!("/announcements/{}", sent["id"].as_str().unwrap());
    crate::support::eventually(|| async { api.get(&path).await.json(200)["state"] == "done" })
        .await;
    let path = format!("/notifications/{}", sent["id"].as_str().unwrap());
    check.check(&api, delete, &path, None).await.json(202);

    check_rooms(&mut check, &api).await;
    let (user, token) = ("post /users/{id}/revoke", "post /tokens/revoke");
    check.check(&api, user, "/users/carol/revoke", Some(json!({ "reason": "r" }))).await.json(200);
    check.check(&api, user, "/users/carol/revoke", Some(json!({ "x": 1 }))).await;
    let body = Some(json!({ "jti": "j", "exp": 9_999_999_999_u64 }));
    check.check(&api, token, "/tokens/revoke", body).await.json(200);
    check.check(&api, token, "/tokens/revoke", Some(json!({}))).await;
    let export = "get /users/{id}/export";
    check.check(&alice, export, "/users/alice/export", None).await.json(200);
    check.check(&alice, export, "/users/bob/export", None).await.problem(403, "FORBIDDEN");
    let begun = check.check(&api, "delete /users/{id}", "/users/carol", None).await.json(202);
    check.check(&api, "delete /users/{id}", "/users/c%20c", None).await;
    let path = format!("/erasures/{}", begun["id"].as_str().unwrap());
    check.check(&api, "get /erasures/{id}", &path, None).await.json(200);
    check.check(&api, "get /erasures/{id}", "/erasures/x", None).await;
    // Each kind of entry: with a room, a target, a user, details.
    let log = check.check(&api, "get /audit", "/audit?limit=100", None).await.json(200);
    assert!(log["entries"].as_array().is_some_and(|entries| entries.len() > 3), "{log}");
    check.check(&api, "get /audit", "/audit?limit=0", None).await.problem(400, "INVALID");
    let presence = "get /presence";
    for query in ["room=group:1", "users=alice,bob"] {
        check.check(&api, presence, &format!("/presence?{query}"), None).await.json(200);
    }
    check.check(&api, presence, "/presence", None).await.problem(400, "INVALID");
    check_stream(&mut check, &server).await;
    check_connections(&mut check, &server).await;

    // Only a store that is busy or away gives that one.
    let unseen: Vec<_> = check.unseen().into_iter().filter(|u| !u.ends_with(" 503")).collect();
    assert_eq!(unseen, Vec::<String>::new());
}

#[tokio::test]
async fn what_may_be_sent_is_what_is_described() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let body = &document["paths"]["/notifications"]["post"]["requestBody"];
    let schema = &body["content"]["application/json"]["schema"];
    let like = |to: Value| json!({ "to": to, "type": "like", "message": "x" });
    for (value, status) in [
        (like(json!("alice")), 201),
        (like(json!({ "users": ["alice"] })), 201),
        (like(json!({ "all": true })), 202),
        (json!([like(json!("alice"))]), 201),
        (like(json!(5)), 422),
        (json!({ "type": "like", "message": "x" }), 422),
        (json!({ "to": "alice", "type": "like", "message": "x", "nonsense": 1 }), 422),
        (json!("alice"), 422),
    ] {
        let described = schema::check(&document, schema, &value);
        assert_eq!(described.is_ok(), status < 400, "{value}: {described:?}");
        assert_eq!(server.api().post("/notifications", &value).await.status, status, "{value}");
    }
}
