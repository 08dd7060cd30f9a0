//! The history of connections, and signing devices out.

use std::{any::Any, io::Read as _, path::Path, time::Duration};

use serde_json::{Value, json};
use tidings_core::api_key::Scope;
use tidings_server::workers::heartbeat;

use crate::support::{
    Answering, Api, Client, Plain, Says, Stream, TestServer, Tidings, claims, eventually, fresh,
    sign, store::sql_session,
};

/// The connections that a query finds, as soon as there are `count` of which `holds` is true.
async fn found(api: &Api, query: &str, count: usize, holds: fn(&Value) -> bool) -> Vec<Value> {
    let path = format!("/connections?limit=100&{query}");
    let get = || async {
        let answer = api.get(&path).await.json(200);
        let all = answer["connections"].as_array().expect("connections").clone();
        all.into_iter().filter(holds).collect::<Vec<_>>()
    };
    eventually(|| async { get().await.len() == count }).await;
    get().await
}

async fn open(api: &Api, query: &str, count: usize) -> Vec<Value> {
    found(api, query, count, |one| one["disconnectedAt"].is_null()).await
}

async fn ended(api: &Api, query: &str, count: usize) -> Vec<Value> {
    found(api, query, count, |one| one["disconnectedAt"].is_string()).await
}

fn token(user: &str, jti: &str) -> String {
    let mut claims = claims(user);
    claims["jti"] = json!(jti);
    sign(&claims)
}

async fn join(server: &TestServer, token: &str) -> Client {
    let mut client = Client::open(server.address).await;
    client.join(json!({ "token": token, "device": "phone" })).await;
    client.wait("notifications:pending").await;
    client
}

#[tokio::test]
async fn a_connection_is_there_from_its_beginning_to_its_end() {
    let server = TestServer::start().await;
    let api = server.api();
    let mut client = Client::open(server.address).await;
    client.join(json!({ "token": server.token("alice"), "device": "phone" })).await;
    let socket_id = client.wait("connected").await["socketId"].clone();
    let [one] = &open(&api, "user=alice", 1).await[..] else { panic!("one") };
    assert_eq!(one["userId"], "alice");
    assert_eq!(one["socketId"], socket_id);
    assert_eq!(one["nodeId"], server.state.node_id.as_str());
    assert_eq!((&one["client"], &one["device"]), (&json!("socket.io"), &json!("phone")));
    assert_eq!(one["ip"], "127.0.0.1");
    assert!(one["current"].is_null(), "only a user has a current one");
    assert!(one["seenAt"].as_str() >= one["connectedAt"].as_str());
    drop(client);
    let [gone] = &ended(&api, "user=alice", 1).await[..] else { panic!("one") };
    assert_eq!((&gone["id"], &gone["reason"]), (&one["id"], &json!("transport close")));
    assert!(open(&api, "active=true", 0).await.is_empty());
    assert_eq!(ended(&api, "active=false", 1).await.len(), 1);
}

#[tokio::test]
async fn those_who_leave_at_once_are_there_with_their_end() {
    let server = TestServer::start().await;
    let users: Vec<String> = (0..20).map(|number| format!("user-{number}")).collect();
    for user in &users {
        drop(server.connect(user).await);
    }
    let stays = server.connect("alice").await;
    let gone = ended(&server.api(), "", users.len()).await;
    let mut names: Vec<&str> = gone.iter().filter_map(|one| one["userId"].as_str()).collect();
    names.sort_unstable();
    let mut expected: Vec<&str> = users.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for one in &gone {
        assert_eq!(one["reason"], "transport close", "{one}");
        assert!(one["disconnectedAt"].as_str() >= one["connectedAt"].as_str(), "{one}");
    }
    assert_eq!(open(&server.api(), "", 1).await[0]["userId"], "alice");
    drop(stays);
}

#[tokio::test]
async fn every_kind_of_client_is_listed_by_pages() {
    let server = TestServer::start().await;
    let api = server.api();
    let _client = join(&server, &server.token("alice")).await;
    let _plain = Plain::open(&server, &format!("/ws?token={}", server.token("alice"))).await;
    let _stream = Stream::of(&server, "alice", "").await;
    open(&api, "user=alice", 3).await;
    let mut kinds = Vec::new();
    let mut cursor = String::new();
    for _ in 0..3 {
        let path = format!("/connections?user=alice&limit=1{cursor}");
        let page = api.get(&path).await.json(200);
        kinds.push(page["connections"][0]["client"].as_str().unwrap().to_owned());
        cursor = format!("&cursor={}", page["pagination"]["nextCursor"].as_str().unwrap_or("end"));
    }
    kinds.sort();
    assert_eq!(kinds, ["socket.io", "sse", "websocket"]);
    assert_eq!(cursor, "&cursor=end");
    for (query, name) in [("cursor=x", "cursor"), ("limit=101", "limit"), ("user=a%20b", "user")] {
        let answer = api.get(&format!("/connections?{query}")).await;
        answer.bad_field(400, name, "BAD_PARAMETER");
    }
}

#[tokio::test]
async fn a_user_sees_the_own_and_which_of_them_is_this() {
    let server = TestServer::start().await;
    let (phone, laptop) = (token("alice", "phone"), token("alice", "laptop"));
    let (_phone, _laptop) = (join(&server, &phone).await, join(&server, &laptop).await);
    let _bob = server.connect("bob").await;
    open(&server.api(), "", 3).await;
    let alice = server.caller(Some(phone));
    let own = open(&alice, "", 2).await;
    assert_eq!(own.iter().filter(|one| one["current"] == true).count(), 1);
    assert!(own.iter().all(|one| one["userId"] == "alice"));
    assert_eq!(open(&alice, "user=alice", 2).await.len(), 2);
    alice.get("/connections?user=bob").await.problem(403, "FORBIDDEN");
    let (key, _) = server.key_with(&[Scope::PresenceRead]).await;
    let without = server.caller(Some(key));
    without.get("/connections").await.problem(403, "SCOPE_MISSING");
    let path = format!("/connections/{}", own[0]["id"].as_str().unwrap());
    without.delete(&path).await.problem(403, "SCOPE_MISSING");
}

#[tokio::test]
async fn a_device_is_signed_out_and_stays_out() {
    let server = TestServer::start().await;
    let (phone, laptop) = (token("alice", "phone"), token("alice", "laptop"));
    let mut lost = join(&server, &phone).await;
    let mut kept = join(&server, &laptop).await;
    let alice = server.caller(Some(laptop));
    let own = open(&alice, "", 2).await;
    let other = own.iter().find(|one| one["current"] == false).expect("the phone");
    let path = format!("/connections/{}", other["id"].as_str().unwrap());

    server.user("bob").delete(&path).await.problem(404, "NOT_FOUND");
    assert_eq!(alice.delete(&path).await.status, 204);
    let (events, told) = lost.until_closed().await;
    assert!(told, "it is told not to come back");
    assert!(events.iter().any(|(name, arg)| name == "error" && arg["code"] == "TOKEN_REVOKED"));
    server.caller(Some(phone)).get("/notifications").await.problem(401, "TOKEN_REVOKED");
    assert_eq!(kept.ask("heartbeat", Value::Null).await["ok"], true);
    ended(&alice, "", 1).await;

    assert_eq!(alice.delete(&path).await.status, 204, "once more does nothing");
    let nobodys = "/connections/0197a000-0000-7000-8000-000000000000";
    alice.delete(nobodys).await.problem(404, "NOT_FOUND");
    let path = "/audit?event=connection.signed_out&user=alice";
    eventually(|| async {
        let log = server.api().get(path).await.json(200);
        log["entries"][0]["actor"] == json!({ "kind": "user", "id": "alice" })
    })
    .await;
}

#[tokio::test]
async fn what_is_signed_out_is_the_token_that_it_stands_on_now() {
    let server = TestServer::start().await;
    let (first, second) = (token("alice", "1"), token("alice", "2"));
    let mut client = join(&server, &first).await;
    let renewed = client.ask("auth:refresh", json!({ "token": second })).await;
    assert_eq!(renewed["ok"], true);
    let alice = server.caller(Some(second.clone()));
    let of_second = found(&alice, "", 1, |one| one["current"] == true).await;
    let path = format!("/connections/{}", of_second[0]["id"].as_str().unwrap());
    assert_eq!(server.api().delete(&path).await.status, 204, "by the application");
    client.until_closed().await;
    alice.get("/notifications").await.problem(401, "TOKEN_REVOKED");
    server.caller(Some(first)).get("/notifications").await.json(200);
}

#[tokio::test]
async fn a_client_that_comes_back_is_another_connection() {
    let server = TestServer::start().await;
    let client = server.connect("alice").await;
    let auth = client.coming_back(json!({ "token": server.token("alice") }));
    drop(client);
    ended(&server.api(), "", 1).await;
    let mut again = Client::open(server.address).await;
    again.resume(auth).await;
    let [was, is] = [ended(&server.api(), "", 1).await, open(&server.api(), "", 1).await];
    assert_ne!(was[0]["id"], is[0]["id"]);
    assert_eq!(was[0]["socketId"], is[0]["socketId"], "recovered with its id");
}

#[tokio::test]
async fn without_history_nothing_is_kept() {
    let server = TestServer::with(|config| config.connections.history = false).await;
    let client = server.connect("alice").await;
    drop(client);
    let text = server.page("/metrics").await.text;
    assert!(text.contains("connection_notes_dropped_total"));
    open(&server.api(), "", 0).await;
}

#[tokio::test]
async fn connections_do_not_wait_for_the_history() {
    let server = TestServer::start().await;
    drop(server.connect("alice").await);
    ended(&server.api(), "", 1).await;
    let held = hold_history(&server).await;
    let mut client = server.connect("alice").await;
    assert_eq!(client.ask("heartbeat", Value::Null).await["ok"], true);
    drop(held);
    open(&server.api(), "", 1).await;
}

/// Whoever backs the store up, or looks at it by hand, may hold it for a while.
async fn hold_history(server: &TestServer) -> Box<dyn Any> {
    if let Some(url) = server.database_url() {
        let other = sql_session(&url).await;
        other.batch_execute("BEGIN; LOCK TABLE websocket_connections").await.unwrap();
        return Box::new(other);
    }
    let other = rusqlite::Connection::open(server.database_file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    Box::new(other)
}

#[tokio::test]
async fn a_node_that_slept_says_again_what_it_holds() {
    let server = TestServer::start().await;
    let _client = server.connect("alice").await;
    let before = open(&server.api(), "", 1).await;
    let later = server.state.clock.now().plus(Duration::from_secs(3600));
    // As another node would see it that was awake.
    let lost = tidings_core::connection::Lost::Silent { since: later };
    while server.state.store.close_lost(lost.clone(), 10).await.unwrap() > 0 {}
    assert_eq!(ended(&server.api(), "", 1).await[0]["reason"], "node lost");
    heartbeat(&server.state, server.state.clock.now()).await.unwrap();
    assert_eq!(open(&server.api(), "", 1).await[0]["id"], before[0]["id"]);
}

/// A key that may look at connections.
async fn reading_key(data: &Path) -> String {
    let create = ["keys", "create", "--name", "k", "--scopes", "connections:read", "--quiet"];
    Tidings::printed(&Tidings::run(data, &create).await)
}

/// What a killed server left open, as the next one tells it.
async fn after_a_kill(configure: &[(&str, &str)]) -> Value {
    let (_dir, data) = fresh();
    let serve = || {
        let mut command = Tidings::command(&data);
        command.args(["serve", "--port", "0"]).envs(configure.iter().copied());
        Tidings::spawn(command)
    };
    let first = serve().await;
    let key = reading_key(&data).await;
    let mut client = Client::open(first.address).await;
    client.join(json!({ "token": sign(&claims("alice")) })).await;
    open(&first.api(Some(key.clone())), "", 1).await;
    first.kill().await;
    let second = serve().await;
    let mut left = ended(&second.api(Some(key)), "user=alice", 1).await;
    second.kill().await;
    left.remove(0)
}

#[tokio::test]
async fn what_a_killed_node_held_is_closed_when_it_is_started_again() {
    let left = after_a_kill(&[("TIDINGS_NODE_ID", "one")]).await;
    assert_eq!((&left["nodeId"], &left["reason"]), (&json!("one"), &json!("node lost")));
}

#[tokio::test]
async fn what_a_dead_node_held_is_closed_by_the_others() {
    let quickly =
        [("TIDINGS_CONNECTIONS__HEARTBEAT", "50ms"), ("TIDINGS_CONNECTIONS__LOST_AFTER", "2s")];
    let left = after_a_kill(&quickly).await;
    assert_eq!(left["reason"], "node lost");
}

/// The lines of every object in a directory.
fn archived(directory: &Path) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).into_iter().flatten() {
            let path = file.unwrap().path();
            // What is being written has another name until it is whole.
            match path.extension().and_then(|extension| extension.to_str()) {
                None => folders.push(path),
                Some("zst") => lines.extend(unpacked(&std::fs::read(path).unwrap())),
                Some(_) => {}
            }
        }
    }
    lines
}

fn unpacked(object: &[u8]) -> Vec<Value> {
    let mut text = String::new();
    zstd::Decoder::new(object).unwrap().read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_is_too_old_is_archived_in_a_directory_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("archive");
    let url = format!("file://{}", directory.display());
    let server = TestServer::with(|config| {
        config.connections.archive = Some(url);
        config.connections.archive_after = Duration::ZERO;
        config.retention.connections = Duration::ZERO;
        config.retention.interval = Duration::from_millis(20);
    })
    .await;
    for user in ["alice", "bob"] {
        drop(server.connect(user).await);
    }
    let _stays = server.connect("carol").await;
    eventually(|| async { archived(&directory).len() == 2 }).await;
    ended(&server.api(), "", 0).await;
    open(&server.api(), "user=carol", 1).await;
    let mut lines = archived(&directory);
    lines.sort_by_key(|line| line["userId"].to_string());
    assert_eq!((&lines[0]["userId"], &lines[1]["userId"]), (&json!("alice"), &json!("bob")));
    assert_eq!(lines[0]["reason"], "transport close");
    let fields = lines[0].as_object().unwrap();
    assert!(fields.keys().all(|name| !name.contains("token")), "{fields:?}");
}

#[tokio::test]
async fn the_archive_may_be_a_bucket_and_nothing_is_removed_before_it_is_there() {
    let bucket = Answering::start(Says::Status(403)).await;
    let endpoint = format!("http://{}", bucket.address);
    let (_dir, data) = fresh();
    let mut command = Tidings::command(&data);
    command.args(["serve", "--port", "0"]).envs([
        ("TIDINGS_CONNECTIONS__ARCHIVE", "s3://history/tidings"),
        ("TIDINGS_CONNECTIONS__ARCHIVE_AFTER", "0s"),
        ("TIDINGS_RETENTION__CONNECTIONS", "0s"),
        ("TIDINGS_RETENTION__INTERVAL", "20ms"),
        ("AWS_ENDPOINT_URL", &endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "a secret of nobody"),
    ]);
    let tidings = Tidings::spawn(command).await;
    let mut client = Client::open(tidings.address).await;
    client.join(json!({ "token": sign(&claims("alice")) })).await;
    drop(client);
    eventually(|| async { bucket.count() > 0 }).await;
    let api = tidings.api(Some(reading_key(&data).await));
    ended(&api, "", 1).await;
    bucket.say(Says::Stored);
    ended(&api, "", 0).await;
    let kept = bucket.asked().pop().expect("it was put there");
    assert!(kept.path.starts_with("/history/tidings/20"), "{}", kept.path);
    let signature = kept.headers["authorization"].to_str().unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDTEST/"), "{signature}");
    assert_eq!(unpacked(&kept.body)[0]["userId"], "alice");
    tidings.kill().await;
}
