//! The audit log, from outside.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tidings_core::api_key::Scope;
use tidings_server::config::Config;

use crate::support::{Answer, Client, TestServer, eventually, now_secs, sign};

/// The entries that a query finds, as soon as there are `count`.
async fn entries(server: &TestServer, query: &str, count: usize) -> Vec<Value> {
    let path = format!("/audit?limit=100&{query}");
    let mut found = Vec::new();
    eventually(|| async {
        let answer = server.api().get(&path).await.json(200);
        answer["entries"].as_array().unwrap().len() >= count
    })
    .await;
    let answer = server.api().get(&path).await.json(200);
    found.extend(answer["entries"].as_array().unwrap().iter().cloned());
    assert_eq!(found.len(), count, "{query}: {found:#?}");
    found
}

/// The only entry of an event.
async fn entry(server: &TestServer, event: &str) -> Value {
    entries(server, &format!("event={event}"), 1).await.remove(0)
}

fn anonymous(entry: &Value) {
    assert_eq!(entry["actor"], json!({ "kind": "anonymous" }), "{entry}");
    assert_eq!(entry["ip"], "127.0.0.1", "{entry}");
    assert_eq!(entry["count"], 1, "{entry}");
    assert!(entry["user"].is_null(), "{entry}");
}

fn by_key(server: &TestServer, entry: &Value) {
    assert_eq!(entry["actor"], json!({ "kind": "api_key", "id": server.key_id }), "{entry}");
    assert_eq!(entry["ip"], "127.0.0.1", "{entry}");
}

#[tokio::test]
async fn refused_tokens_are_there_from_every_door() {
    let server = TestServer::start().await;
    let expired = sign(&json!({ "sub": "alice", "exp": now_secs() - 60 }));
    server.caller(Some(expired.clone())).get("/notifications").await.problem(401, "TOKEN_EXPIRED");
    let mut client = Client::open(server.address).await;
    client.try_join(json!({ "token": expired })).await.unwrap_err();
    let header = format!("Bearer {expired}");
    let refused = Client::try_open(server.address, "", &[("authorization", &header)]).await;
    assert!(refused.is_err());
    let mut alice = server.connect("alice").await;
    alice.ask("auth:refresh", json!({ "token": expired })).await;
    let found = entries(&server, "event=token.refused", 4).await;
    let doors: BTreeSet<_> = found.iter().map(|e| e["detail"]["door"].as_str().unwrap()).collect();
    assert_eq!(doors, BTreeSet::from(["api", "connect", "handshake", "auth:refresh"]));
    for entry in &found {
        anonymous(entry);
        assert_eq!(entry["detail"]["code"], "TOKEN_EXPIRED");
        assert_eq!(entry["detail"]["reason"], "expired");
    }
    assert!(!format!("{found:?}").contains(&expired), "never the token");
}

#[tokio::test]
async fn refused_keys_scopes_origins_and_hosts_are_there() {
    let server = TestServer::with(|c| c.http.hosts = vec!["127.0.0.1".into()]).await;
    server.caller(Some("tdk_unknown".into())).get("/audit").await.problem(401, "AUTH_FAILED");
    anonymous(&entry(&server, "api_key.refused").await);

    let (weak, weak_id) = server.key_with(&[Scope::RoomsRead]).await;
    server.caller(Some(weak)).get("/audit").await.problem(403, "SCOPE_MISSING");
    server.user("alice").get("/audit").await.problem(403, "API_KEY_NEEDED");
    let found = entries(&server, "event=scope.refused", 2).await;
    assert_eq!(found[0]["actor"], json!({ "kind": "user", "id": "alice" }));
    assert_eq!(
        (&found[0]["user"], &found[0]["detail"]["scope"]),
        (&json!("alice"), &json!("api key"))
    );
    assert_eq!(found[1]["actor"], json!({ "kind": "api_key", "id": weak_id }));
    assert_eq!(found[1]["detail"]["scope"], "audit:read");

    let request = server.api().request("GET", "/audit");
    let origin = format!("https://evil.example/{}", "x".repeat(1_000));
    assert_eq!(Answer::of(request.header("origin", origin)).await.status, 403);
    let refused = entry(&server, "origin.refused").await;
    anonymous(&refused);
    assert_eq!(refused["detail"]["origin"].as_str().unwrap().len(), 128, "cut");
    let request = server.api().request("GET", "/audit");
    assert_eq!(Answer::of(request.header("host", "rebound.example")).await.status, 421);
    let refused = entry(&server, "host.refused").await;
    anonymous(&refused);
    assert_eq!(refused["detail"]["host"], "rebound.example");
}

#[tokio::test]
async fn refused_rooms_and_strangers_notifications_are_there() {
    let server = TestServer::start().await;
    let id = server.api().notify("bob", "x").await;
    let mut alice = server.connect("alice").await;
    let answer = alice.ask("room:join", json!(["group:7", "no room", "team:1"])).await;
    assert_eq!(answer["ok"], false);
    let found = entries(&server, "event=room.refused&user=alice", 2).await;
    let rooms: BTreeSet<_> = found.iter().map(|e| e["room"].as_str().unwrap()).collect();
    assert_eq!(rooms, BTreeSet::from(["group:7", "team:1"]), "what is no room was not refused");
    assert_eq!(found[0]["actor"], json!({ "kind": "user", "id": "alice" }));
    assert_eq!(found[0]["ip"], "127.0.0.1");
    assert!(found[0]["detail"]["reason"].as_str().unwrap().contains("not a member"));
    entries(&server, "room=team:1", 1).await;

    alice.ask("notification:read", json!(id)).await;
    server.user("carol").get(&format!("/notifications/{id}")).await.problem(404, "NOT_FOUND");
    let found = entries(&server, "event=notification.foreign", 2).await;
    assert!(found.iter().all(|entry| entry["target"] == json!(id)), "{found:?}");
    assert_eq!((&found[0]["user"], &found[1]["user"]), (&json!("carol"), &json!("alice")));
}

#[tokio::test]
async fn members_and_expulsions_are_there() {
    let server = TestServer::start().await;
    let api = server.api();
    api.put("/rooms/team:1/members/alice", &json!({})).await.json(200);
    let mut alice = server.connect("alice").await;
    assert_eq!(alice.ask("room:join", json!("team:1")).await["ok"], true);
    api.delete("/rooms/team:1/members/alice").await.json(200);
    alice.wait("room:left").await;
    let many: Vec<_> = (0..1_000).map(|n| format!("user-{n}")).collect();
    api.post("/rooms/team:1/members", &json!({ "users": many })).await.json(200);

    let expelled = entry(&server, "room.expelled").await;
    assert_eq!(expelled["actor"], json!({ "kind": "system" }));
    assert_eq!((&expelled["user"], &expelled["room"]), (&json!("alice"), &json!("team:1")));
    assert_eq!(expelled["detail"]["reason"], "membership");
    let removed = entry(&server, "members.removed").await;
    by_key(&server, &removed);
    assert_eq!((&removed["user"], &removed["room"]), (&json!("alice"), &json!("team:1")));
    let added = entries(&server, "event=members.added&room=team:1", 2).await;
    assert_eq!(added[1]["user"], "alice");
    assert!(added[0]["user"].is_null());
    assert_eq!(added[0]["detail"]["number"], "1000");
    let users = added[0]["detail"]["users"].as_str().unwrap();
    assert!(users.starts_with("user-0 user-1 ") && users.len() <= 128, "{users}");
}

#[tokio::test]
async fn what_servers_do_is_there() {
    let server = TestServer::start().await;
    let api = server.api();
    api.put("/users/alice", &json!({ "name": "Alice" })).await.json(200);
    let token = api.post("/tokens", &json!({ "userId": "alice" })).await.json(201);
    let id = api.notify("alice", "x").await;
    api.delete(&format!("/notifications/{id}")).await.json(200);
    let all = json!({ "to": { "all": true }, "type": "system", "message": "x" });
    let job = api.post("/notifications", &all).await.json(202)["id"].clone();
    for event in ["user.updated", "token.issued"] {
        let entry = entry(&server, event).await;
        by_key(&server, &entry);
        assert_eq!(entry["user"], "alice");
    }
    let retracted = entry(&server, "notification.retracted").await;
    by_key(&server, &retracted);
    assert_eq!(retracted["target"], json!(id));
    let accepted = entry(&server, "announcement.accepted").await;
    by_key(&server, &accepted);
    assert_eq!((&accepted["target"], &accepted["detail"]["recipients"]), (&job, &json!("1")));
    let finished = entry(&server, "announcement.finished").await;
    assert_eq!(finished["actor"], json!({ "kind": "system" }));
    assert_eq!(finished["target"], job);
    let log = api.get("/audit?limit=100").await.text;
    assert!(!log.contains(token["token"].as_str().unwrap()), "never a token");
}

#[tokio::test]
async fn a_repeated_announcement_is_there_once() {
    let server = TestServer::start().await;
    let all = json!({ "to": { "all": true }, "type": "system", "message": "x" });
    for _ in 0..2 {
        let request = server.api().request("POST", "/notifications").json(&all);
        Answer::of(request.header("idempotency-key", "once")).await.json(202);
    }
    server.api().put("/users/last", &json!({})).await.json(200);
    entry(&server, "user.updated").await;
    entry(&server, "announcement.accepted").await;
}

#[tokio::test]
async fn pages_are_newest_first_and_complete() {
    let server = TestServer::start().await;
    for n in 0..7 {
        server.api().put(&format!("/users/user-{n}"), &json!({})).await.json(200);
    }
    let all = entries(&server, "event=user.updated", 7).await;
    let users: Vec<_> = all.iter().map(|entry| entry["user"].as_str().unwrap()).collect();
    let sent: Vec<_> = (0..7).rev().map(|n| format!("user-{n}")).collect();
    assert_eq!(users, sent, "also within one millisecond");
    let times: Vec<_> = all.iter().map(|entry| entry["at"].as_str().unwrap()).collect();
    assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "{times:?}");
    let (mut cursor, mut paged, mut pages) = (String::new(), Vec::new(), Vec::new());
    loop {
        let path = format!("/audit?event=user.updated&limit=3{cursor}");
        let page = server.api().get(&path).await.json(200);
        let entries = page["entries"].as_array().unwrap();
        pages.push(entries.len());
        paged.extend(entries.iter().cloned());
        let pagination = &page["pagination"];
        assert_eq!(pagination["limit"], 3);
        assert_eq!(pagination["hasMore"], !pagination["nextCursor"].is_null());
        match pagination["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((pages, paged), (vec![3, 3, 1], all.clone()));
    // Times are bounds on both sides: `since` is in, `until` is not.
    let (newest, oldest) = (times[0], times[6]);
    let since = server.api().get(&format!("/audit?event=user.updated&since={newest}")).await;
    let since = since.json(200)["entries"].clone();
    assert!(since.as_array().unwrap().iter().all(|entry| entry["at"] == newest), "{since}");
    assert!(since.as_array().unwrap().contains(&all[0]));
    let until = server.api().get(&format!("/audit?event=user.updated&until={oldest}")).await;
    assert_eq!(until.json(200)["entries"], json!([]));
}

#[tokio::test]
async fn filters_are_combined() {
    let server = TestServer::start().await;
    let api = server.api();
    for user in ["alice", "bob"] {
        api.put(&format!("/rooms/team:1/members/{user}"), &json!({})).await.json(200);
        api.put(&format!("/rooms/team:2/members/{user}"), &json!({})).await.json(200);
    }
    entries(&server, "event=members.added", 4).await;
    entries(&server, "event=members.added&user=alice", 2).await;
    entries(&server, "event=members.added&user=alice&room=team:1&ip=127.0.0.1", 1).await;
    entries(&server, "room=team:2&ip=127.0.0.1", 2).await;
    entries(&server, "room=team:2&ip=127.0.0.2", 0).await;
    entries(&server, "room=team:2&ip=::ffff:127.0.0.1", 2).await;
    entries(&server, "event=members.removed&user=alice", 0).await;
}

#[tokio::test]
async fn bad_questions_say_what_is_wrong() {
    let server = TestServer::start().await;
    for (query, pointer) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=YXg", "cursor"),
        ("cursor=bTAxOTMwMDAw", "cursor"),
        ("event=", "event"),
        ("event=Token%20Refused", "event"),
        ("event=%27%20OR%201%3D1", "event"),
        ("user=a%20b", "user"),
        ("user=", "user"),
        ("ip=localhost", "ip"),
        ("ip=1.2.3", "ip"),
        ("room=%2A%20", "room"),
        ("since=yesterday", "since"),
        ("since=0", "since"),
        ("until=2026-13-01T00:00:00Z", "until"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-02T00:00:00Z", "until"),
    ] {
        let answer = server.api().get(&format!("/audit?{query}")).await;
        answer.bad_field(400, pointer, "BAD_PARAMETER");
    }
    server.api().get("/audit?nonsense=1").await.problem(400, "INVALID");
    server.nobody().get("/audit").await.problem(401, "AUTH_FAILED");
}

#[tokio::test]
async fn the_same_again_is_counted_and_a_flood_is_bounded() {
    let server = TestServer::start().await;
    for _ in 0..200 {
        server.caller(Some("a.b.c".into())).get("/notifications").await.problem(401, "AUTH_FAILED");
    }
    let path = "/audit?event=token.refused";
    eventually(|| async {
        let answer = server.api().get(path).await.json(200);
        answer["entries"][0]["count"] == 200
    })
    .await;
    let same = entry(&server, "token.refused").await;
    assert!(same["lastAt"].as_str().unwrap() > same["at"].as_str().unwrap());

    // Each is different, and as long as a token may be.
    let mut key = server.caller(None);
    for n in 0..150 {
        key.token = Some(sign(&json!({ "sub": format!("no id {n}"), "exp": now_secs() + 60 })));
        key.get("/notifications").await.problem(401, "AUTH_FAILED");
        let long = json!({ "sub": "x", "exp": now_secs(), "roles": "y".repeat(3_000 + n) });
        key.token = Some(sign(&long));
        key.get("/notifications").await.problem(401, "AUTH_FAILED");
    }
    let sum = || async {
        let answer = server.api().get("/audit?event=token.refused&limit=100").await.json(200);
        let mut found = answer["entries"].as_array().unwrap().clone();
        if let Some(cursor) = answer["pagination"]["nextCursor"].as_str() {
            let path = format!("/audit?event=token.refused&limit=100&cursor={cursor}");
            let rest = server.api().get(&path).await.json(200);
            found.extend(rest["entries"].as_array().unwrap().iter().cloned());
        }
        found
    };
    let counted = |found: &[Value]| found.iter().map(|e| e["count"].as_u64().unwrap()).sum::<u64>();
    eventually(|| async { counted(&sum().await) == 500 }).await;
    let found = sum().await;
    assert!(found.len() <= 202, "{}", found.len());
    for entry in found {
        assert!(entry["detail"].to_string().len() < 1_100, "{entry}");
    }
}

#[tokio::test]
async fn the_end_of_the_server_loses_nothing() {
    let server = TestServer::start().await;
    for _ in 0..3 {
        server.nobody().get("/notifications").await.problem(401, "AUTH_FAILED");
    }
    let server = server.restart(|_| {}).await;
    let refused = entry(&server, "token.refused").await;
    assert_eq!((&refused["count"], &refused["detail"]["reason"]), (&json!(3), &json!("no token")));
}

#[tokio::test]
async fn old_entries_are_forgotten() {
    let keep = |config: &mut Config| {
        config.retention.audit = Duration::from_millis(1);
        config.retention.interval = Duration::from_millis(10);
    };
    let server = TestServer::start().await;
    server.api().put("/users/alice", &json!({})).await.json(200);
    entry(&server, "user.updated").await;
    let server = server.restart(keep).await;
    eventually(|| async {
        let answer = server.api().get("/audit").await.json(200);
        answer["entries"] == json!([])
    })
    .await;
    assert_eq!(Config::default().retention.audit, Duration::from_secs(90 * 24 * 3600));
}
