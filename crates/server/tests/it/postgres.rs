//! PostgreSQL as the store, where it is more than another place for the same rows.

use std::path::Path;

use serde_json::json;
use tidings_server::server::Parts;
use tidings_testkit::postgres::Postgres;

use crate::support::{LossyBus, TestServer, Tidings, fresh, store, within};

async fn run(path: &Path, url: &str, args: &[&str]) -> std::process::Output {
    let mut command = Tidings::command(path);
    command.env("TIDINGS_DATABASE_URL", url).args(args);
    within(command.output()).await.expect("it runs")
}

#[tokio::test]
async fn what_is_wrong_with_the_database_is_said_without_the_password() {
    let (_dir, path) = fresh();
    let server = Postgres::shared();
    let database = server.database();
    let wrong = database.tcp_url().replace("only-for-tests", "wr0ng-secret");
    let absent = server.tcp_url("absent");
    for (url, part) in [
        (wrong.as_str(), "password authentication failed for user \"tidings\""),
        (absent.as_str(), "database \"absent\" does not exist"),
        ("postgres://tidings:wr0ng-secret@127.0.0.1:1/x", "Connection refused"),
        ("postgres://tidings:wr0ng-secret@db/x?sslmode=maybe", "sslmode must be"),
        ("postgres://:wr0ng-secret@/x", "names no host"),
    ] {
        for args in [&["serve", "--port", "0"][..], &["migrate", "status"]] {
            let complaint = Tidings::complained(&run(&path, url, args).await);
            assert!(complaint.contains(part), "{part}: {complaint}");
            assert!(!complaint.contains("secret@"), "{complaint}");
            assert!(!complaint.contains("wr0ng-secret") && !complaint.contains("only-for-tests"));
        }
    }
    let shown = Tidings::printed(&run(&path, &database.tcp_url(), &["config", "show"]).await);
    assert!(shown.contains("database_url = \"postgres://tidings@localhost:"), "{shown}");
    assert!(!shown.contains("only-for-tests"), "{shown}");
}

#[tokio::test]
async fn the_command_line_works_without_a_server() {
    let (_dir, path) = fresh();
    let database = Postgres::shared().database();
    let url = database.tcp_url();
    let printed = async |args: &[&str]| Tidings::printed(&run(&path, &url, args).await);
    assert!(printed(&["migrate", "status"]).await.lines().all(|line| line.ends_with("missing")));
    let up = printed(&["migrate", "up"]).await;
    assert!(up.starts_with("0001 initial"), "{up}");
    assert_eq!(printed(&["migrate", "up"]).await, "Nothing to do.");
    let last = up.lines().last().unwrap();
    assert_eq!(printed(&["migrate", "down"]).await, last);
    // What needs the newest schema brings it there.
    let key = printed(&["keys", "create", "--name", "app", "--quiet"]).await;
    assert!(key.starts_with("tdk_"), "{key}");
    assert!(printed(&["keys", "list"]).await.contains("app"));
    database.execute("INSERT INTO schema_migrations VALUES (999, 'future', 999, 0)");
    let refused = run(&path, &url, &["serve", "--port", "0"]).await;
    let complaint = Tidings::complained(&refused);
    assert!(complaint.contains("schema version 999") && complaint.contains("newer"), "{complaint}");
}

#[tokio::test]
async fn two_servers_on_one_database_are_one() {
    let (database, bus) = (store::postgres().await, LossyBus::default());
    let node = async || {
        let parts = Parts { bus: Some(bus.join()), ..Parts::default() };
        let url = database.url();
        TestServer::with_parts(|config| config.database_url = Some(url.into()), parts).await
    };
    let (a, b) = (node().await, node().await);
    let (mut at_a, mut at_b) = (a.connect("alice").await, b.connect("alice").await);
    let id = a.api().notify("alice", "to both").await;
    for client in [&mut at_a, &mut at_b] {
        assert_eq!(client.wait("notification").await["id"], id);
    }
    let read = b.user("alice").patch(&format!("/notifications/{id}/read")).await;
    assert_eq!(read.status, 200, "{}", read.text);
    assert_eq!(at_a.wait("notification:updated").await["rev"], 2);
    // The key of one request counts on both.
    let body = json!({ "to": "alice", "type": "like", "message": "once" });
    let send = async |server: &TestServer| {
        let api = server.caller(Some(a.key.clone())).request("POST", "/notifications");
        crate::support::Answer::of(api.header("idempotency-key", "k").json(&body)).await
    };
    let (one, two) = tokio::join!(send(&a), send(&b));
    let accepted = [&one, &two].into_iter().filter(|answer| answer.status == 201).count();
    assert!(accepted >= 1, "{} {}", one.text, two.text);
    let count = a.user("alice").get("/notifications/unread-count").await.json(200);
    assert_eq!(count["unread"], 1, "{count}");
}
