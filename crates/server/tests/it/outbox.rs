//! Publishing from inside an application's own transaction, through a real server.

use std::{collections::BTreeSet, path::Path, time::Duration};

use serde_json::{Value, json};
use tidings_testkit::postgres::Database;
use tokio_postgres::Client as Sql;

use crate::support::{
    TestServer, Tidings, claims, eventually, fresh, sign,
    store::{postgres, sql_session},
};

/// Calls `tidings_notify`; gives the id that the notification will have.
async fn notify(sql: &Sql, notification: &Value) -> String {
    let call = "SELECT tidings_notify($1::text::json)::text";
    sql.query_one(call, &[&notification.to_string()]).await.expect("called").get(0)
}

fn like(message: &str) -> Value {
    json!({ "to": "alice", "type": "like", "message": message })
}

async fn server_on(database: &Database<'_>) -> TestServer {
    let url = database.url();
    TestServer::with(|config| config.database_url = Some(url.into())).await
}

#[tokio::test]
async fn a_device_hears_what_is_committed_and_nothing_else() {
    let database = postgres().await;
    let server = server_on(&database).await;
    let mut alice = server.connect("alice").await;
    let sql = sql_session(&database.url()).await;
    sql.batch_execute("CREATE TABLE likes (post int)").await.unwrap();
    sql.batch_execute("BEGIN; INSERT INTO likes VALUES (41)").await.unwrap();
    notify(&sql, &like("taken back")).await;
    sql.batch_execute("ROLLBACK; BEGIN; INSERT INTO likes VALUES (42)").await.unwrap();
    let id = notify(&sql, &like("Bob liked your post")).await;
    sql.batch_execute("COMMIT").await.unwrap();
    let told = alice.wait("notification").await;
    assert_eq!((&told["id"], &told["seq"]), (&id.into(), &1.into()));
    assert_eq!(told["message"], "Bob liked your post");
    assert_eq!(sql.query_one("SELECT post FROM likes", &[]).await.unwrap().get::<_, i32>(0), 42);
    let page = server.user("alice").get("/notifications").await.json(200);
    assert_eq!(page["notifications"].as_array().unwrap().len(), 1);
}

/// Nobody looks for ten minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_may_say_that_it_published() {
    let database = postgres().await;
    let name = database.name();
    database.execute(&format!("ALTER DATABASE {name} SET tidings.outbox_notify = on"));
    let url = database.url();
    let server = TestServer::with(|config| {
        config.database_url = Some(url.into());
        config.database.outbox_notify = true;
        config.database.outbox_pause = Duration::from_secs(600);
    })
    .await;
    let mut alice = server.connect("alice").await;
    for round in 0..3 {
        let sql = sql_session(&database.url()).await;
        let id = notify(&sql, &like("Bob liked your post")).await;
        assert_eq!(alice.wait("notification").await["id"], json!(id), "{round}");
        // Whoever listens again looks for what it has not heard.
        tokio::task::block_in_place(|| database.server().disconnect_all(name));
    }
}

#[tokio::test]
async fn what_is_not_valid_is_put_aside_and_holds_nothing_up() {
    let database = postgres().await;
    let server = server_on(&database).await;
    let sql = sql_session(&database.url()).await;
    sql.batch_execute("BEGIN").await.unwrap();
    let dead = notify(&sql, &json!({ "to": "alice", "type": "like", "message": "" })).await;
    notify(&sql, &json!({ "to": { "room": "nothing:1" }, "type": "like", "message": "m" })).await;
    let all = json!({ "to": { "all": true }, "type": "system", "message": "to everybody" });
    let announced = notify(&sql, &all).await;
    let good = notify(&sql, &like("good")).await;
    sql.batch_execute("COMMIT").await.unwrap();
    let alice = server.user("alice");
    eventually(|| async { alice.get(&format!("/notifications/{good}")).await.status == 200 }).await;
    let buried = database.execute("SELECT reason FROM outbox_dead ORDER BY number");
    assert!(buried.contains("/message") && buried.contains("/to/room"), "{buried}");
    assert_eq!(database.execute("SELECT count(*) FROM outbox"), "0");
    eventually(|| async { server.metric("outbox_entries_total", "result=\"dead\"").await == 2 })
        .await;
    assert_eq!(server.metric("outbox_entries_total", "result=\"accepted\"").await, 2);
    let status = format!("/announcements/{announced}");
    eventually(|| async { server.api().get(&status).await.text.contains("\"done\"") }).await;
    // Corrected, it goes the same way.
    let again = format!(
        "WITH corrected AS (DELETE FROM outbox_dead WHERE id = '{dead}' RETURNING *)
        INSERT INTO outbox (id, body, created_at)
        SELECT id, '{}', created_at FROM corrected",
        like("corrected")
    );
    database.execute(&again);
    eventually(|| async { alice.get(&format!("/notifications/{dead}")).await.status == 200 }).await;
}

#[tokio::test]
async fn switched_off_it_is_left_to_other_nodes() {
    let database = postgres().await;
    let url = database.url();
    let server = TestServer::with(|config| {
        config.database_url = Some(url.clone().into());
        config.database.outbox = false;
    })
    .await;
    let sql = sql_session(&url).await;
    let id = notify(&sql, &like("later")).await;
    let sent = server.api().notify("alice", "sent").await;
    assert_eq!(database.execute("SELECT count(*) FROM outbox"), "1");
    let server = server.restart(|config| config.database_url = Some(url.clone().into())).await;
    let mut alice = server.connect_with("alice", json!({})).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        let (_, body) = alice.event().await;
        ids(&body, &mut seen);
    }
    assert_eq!(seen, BTreeSet::from([id, sent]));
}

/// The ids of the notifications in what a client was told.
fn ids(body: &Value, into: &mut BTreeSet<String>) {
    let several = body["notifications"].as_array().map_or(&[][..], Vec::as_slice);
    let all = several.iter().chain([body]).filter_map(|one| one["id"].as_str());
    into.extend(all.map(str::to_owned));
}

const ENTRIES: usize = 1_000;
const KILLS: usize = 5;

async fn serve(path: &Path, url: &str) -> Tidings {
    let mut command = Tidings::command(path);
    command.args(["serve", "--port", "0"]).env("TIDINGS_DATABASE_URL", url);
    Tidings::spawn(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_and_repeats_nothing() {
    let (_dir, path) = fresh();
    let database = postgres().await;
    let url = database.url();
    let sql = sql_session(&url).await;
    let calling = tokio::spawn(async move {
        let mut ids = BTreeSet::new();
        for n in 0..ENTRIES {
            // Every third is taken back.
            sql.batch_execute("BEGIN").await.expect("begun");
            let id = notify(&sql, &like(&format!("n{n}"))).await;
            if n % 3 == 0 {
                sql.batch_execute("ROLLBACK").await.expect("undone");
            } else {
                sql.batch_execute("COMMIT").await.expect("committed");
                ids.insert(id);
            }
        }
        ids
    });
    let taken = || {
        let count = database.execute("SELECT count(*) FROM inbox_items");
        count.parse::<usize>().expect("a number")
    };
    for kill in 1..=KILLS {
        let server = serve(&path, &url).await;
        let enough = kill * ENTRIES / 2 / KILLS;
        eventually(|| async { taken() >= enough }).await;
        server.kill().await;
    }
    let committed = calling.await.expect("all are called");
    let server = serve(&path, &url).await;
    eventually(|| async { database.execute("SELECT count(*) FROM outbox") == "0" }).await;
    let alice = server.api(Some(sign(&claims("alice"))));
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = alice.get(&format!("/notifications?limit=100{cursor}")).await.json(200);
        let entries = page["notifications"].as_array().expect("a list").clone();
        listed.extend(entries.iter().map(|one| one["id"].as_str().expect("an id").to_owned()));
        match page["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed.len(), committed.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), committed);
    assert_eq!(database.execute("SELECT count(*) FROM outbox_dead"), "0");
}
