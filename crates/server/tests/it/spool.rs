//! While the database is away: what is sent is accepted, shown and stored once when it is back.

use std::sync::Arc;

use serde_json::{Value, json};
use tidings_server::{inbox::publisher_channel, server::Parts};
use tidings_store_sqlite::{Options, SqliteStore, migrations};

use crate::support::{Api, Client, Plain, Stream, TestServer, eventually, impatient};

pub fn like(to: &str, message: &str) -> Value {
    json!({ "to": to, "type": "like", "message": message })
}

/// Sends what is spooled; gives its id.
pub async fn spooled(api: &Api, body: &Value) -> String {
    let sent = api.post("/notifications", body).await.json(202);
    assert_eq!(sent["stored"], "spooled", "{sent}");
    sent["id"].as_str().expect("an id").to_owned()
}

pub async fn inbox(server: &TestServer, user: &str) -> Vec<Value> {
    let list = server.user(user).get("/notifications?limit=100").await.json(200);
    let mut list = list["notifications"].as_array().expect("a list").clone();
    list.reverse();
    list
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_connected_device_sees_it_at_once_and_hears_when_it_is_stored() {
    let server = TestServer::impatient().await;
    let mut alice = server.connect("alice").await;
    let outage = server.away().await;
    let sent = server.api().post("/notifications", &like("alice", "hello")).await.json(202);
    let id = sent["id"].clone();
    assert_eq!(sent, json!({ "id": id, "recipients": 1, "stored": "spooled" }));
    let (name, shown) = alice.event().await;
    assert_eq!(name, "notification");
    assert_eq!((&shown["provisional"], &shown["id"]), (&json!(true), &id));
    assert_eq!((&shown["message"], &shown["recipientId"]), (&json!("hello"), &json!("alice")));
    assert!(shown.get("seq").is_none() && shown.get("rev").is_none(), "{shown}");
    let mut late = server.connect("alice").await;
    outage.end().await;

    let (name, confirmed) = alice.event().await;
    assert_eq!(name, "notification:updated");
    let item = &confirmed["items"][0];
    assert_eq!((&item["id"], &item["provisional"]), (&id, &json!(false)));
    assert_eq!((&item["seq"], &item["rev"], &confirmed["rev"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(
        alice.event().await,
        ("notification:count".into(), json!({ "unread": 1, "rev": 1 }))
    );
    assert!(alice.drain().await.is_empty(), "told once");
    let ordinary = late.wait("notification").await;
    assert_eq!((&ordinary["id"], &ordinary["seq"]), (&id, &json!(1)));
    assert!(ordinary.get("provisional").is_none());
    let stored = inbox(&server, "alice").await;
    assert_eq!((stored.len(), &stored[0]), (1, &ordinary));
}

#[tokio::test]
async fn what_may_be_stored_any_moment_is_not_shown_before() {
    let server = TestServer::with(|config| {
        impatient(config);
        config.spool.patience = std::time::Duration::from_millis(20);
        // Until the outage is over.
        config.database.lock_timeout = std::time::Duration::from_secs(30);
    })
    .await;
    let mut alice = server.connect("alice").await;
    let outage = server.outage().await;
    // The writer has it, and goes on trying.
    let first = spooled(&server.api(), &like("alice", "late")).await;
    let second = spooled(&server.api(), &like("alice", "behind it")).await;
    let shown = alice.wait("notification").await;
    assert_eq!((&shown["id"], &shown["provisional"]), (&json!(second), &json!(true)));
    outage.end().await;
    let told = alice.wait("notification").await;
    assert_eq!((&told["id"], &told["seq"]), (&json!(first), &json!(1)));
    let confirmed = alice.wait("notification:updated").await;
    assert_eq!((&confirmed["items"][0]["id"], &confirmed["rev"]), (&json!(second), &json!(2)));
    server.replayed().await;
    let ids: Vec<Value> = inbox(&server, "alice").await.iter().map(|n| n["id"].clone()).collect();
    assert_eq!(ids, [json!(first), json!(second)], "the first one once");
    assert!(names(&alice.drain().await).iter().all(|name| *name == "notification:count"));
}

#[tokio::test]
async fn plain_clients_and_streams_are_told_the_same() {
    let server = TestServer::impatient().await;
    let path = format!("/ws?token={}", server.token("alice"));
    let mut plain = Plain::open(&server, &path).await;
    plain.hear("notifications:pending").await;
    let mut stream = Stream::of(&server, "alice", "").await;
    let before = stream.last_id.clone();
    let outage = server.away().await;
    let id = spooled(&server.api(), &like("alice", "hello")).await;
    let shown = plain.hear("notification").await;
    assert_eq!(
        (&shown["notification"]["id"], &shown["notification"]["provisional"]),
        (&json!(id), &json!(true))
    );
    let sent = stream.wait("notification").await;
    assert_eq!((&sent.data["notification"]["id"], &sent.id), (&json!(id), &None));
    assert_eq!(stream.last_id, before, "the cursor stays");
    outage.end().await;
    let confirmed = plain.hear("notification:updated").await;
    assert_eq!((&confirmed["items"][0]["id"], &confirmed["rev"]), (&json!(id), &json!(1)));
    let sent = stream.wait("notification:updated").await;
    assert_eq!((&sent.data["items"][0]["id"], sent.id.as_deref()), (&json!(id), Some("1")));
}

#[tokio::test]
async fn who_requires_the_store_is_refused() {
    let server = TestServer::impatient().await;
    let outage = server.away().await;
    let answer = server.api().post("/notifications?require_store=true", &like("alice", "x")).await;
    answer.problem(503, "STORE_UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), "5");
    outage.end().await;
    server.replayed().await;
    let answer = server.api().post("/notifications?require_store=true", &like("alice", "x")).await;
    assert_eq!(answer.json(201)["stored"], "committed");

    let server = TestServer::with(|config| {
        impatient(config);
        config.spool.require_store = true;
    })
    .await;
    let mut alice = server.connect("alice").await;
    let _outage = server.outage().await;
    server
        .api()
        .post("/notifications", &like("alice", "x"))
        .await
        .problem(503, "STORE_UNAVAILABLE");
    assert!(alice.drain().await.is_empty());
    assert!(!server.state.config.data_dir.join("spool").exists());
    let health = server.page("/health").await.json(503);
    assert_eq!(
        (&health["status"], &health["spool"]["status"]),
        (&json!("unhealthy"), &json!("off"))
    );
}

#[tokio::test]
async fn nothing_overtakes() {
    let server = TestServer::impatient().await;
    server.api().notify("alice", "n0").await;
    let outage = server.away().await;
    for n in 1..=40 {
        spooled(&server.api(), &like("alice", &format!("n{n}"))).await;
        spooled(&server.api(), &like(&format!("u{n}"), "x")).await;
    }
    outage.end().await;
    // While it is carried out and after it, each is sent when the one before was answered.
    for n in 41..=80 {
        let answer = server.api().post("/notifications", &like("alice", &format!("n{n}"))).await;
        assert!([201, 202].contains(&answer.status), "{}", answer.text);
    }
    server.replayed().await;
    let texts: Vec<Value> =
        inbox(&server, "alice").await.iter().map(|n| n["message"].clone()).collect();
    assert_eq!(texts, (0..=80).map(|n| json!(format!("n{n}"))).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_spool_has_a_bound_and_says_when_to_come_back() {
    let server = TestServer::with(|config| {
        impatient(config);
        config.spool.max_records = 3;
    })
    .await;
    let outage = server.away().await;
    spooled(&server.api(), &like("alice", "one")).await;
    spooled(&server.api(), &like("alice", "two")).await;
    let answer = server.api().post("/notifications", &like("alice", "three")).await;
    answer.problem(503, "SPOOL_FULL");
    assert_eq!(answer.header("retry-after"), "5");
    let health = server.page("/health").await.json(503);
    assert_eq!(health["spool"]["status"], "full");
    server.page("/health/ready").await.json(200);
    outage.end().await;
    server.replayed().await;
    server.api().notify("alice", "three").await;
    assert_eq!(inbox(&server, "alice").await.len(), 3);
}

#[tokio::test]
async fn what_is_announced_is_accepted_and_not_shown() {
    let server = TestServer::impatient().await;
    let mut alice = server.connect("alice").await;
    let outage = server.away().await;
    let all = json!({ "to": { "all": true }, "type": "system", "message": "to all" });
    let sent = server.api().post("/notifications", &all).await.json(202);
    let id = sent["id"].as_str().expect("an id");
    let status = format!("/api/v1/announcements/{id}");
    assert_eq!(sent, json!({ "id": id, "stored": "spooled", "statusUrl": status }));
    let mut later = like("alice", "later");
    let in_a_day = server.state.clock.now().plus(std::time::Duration::from_secs(24 * 3600));
    later["sendAt"] = in_a_day.to_string().into();
    let sent = server.api().post("/notifications", &later).await.json(202);
    assert_eq!((&sent["recipients"], &sent["stored"]), (&json!(1), &json!("spooled")));
    assert!(alice.drain().await.is_empty());
    outage.end().await;
    assert_eq!(alice.wait("notification").await["id"], json!(id));
    server.replayed().await;
    let audit = || async {
        let log = server.api().get("/audit?event=announcement.accepted").await.json(200);
        log["entries"].as_array().is_some_and(|entries| entries.len() == 2)
    };
    eventually(audit).await;
}

#[tokio::test]
async fn nobody_waits_for_the_end_of_the_pause_while_something_is_spooled() {
    let server = TestServer::with(|config| {
        impatient(config);
        config.breaker.pause = std::time::Duration::from_secs(3600);
        config.spool.retry = std::time::Duration::from_millis(20);
    })
    .await;
    let outage = server.away().await;
    spooled(&server.api(), &like("alice", "x")).await;
    outage.end().await;
    server.replayed().await;
    let passed = || async {
        let open = server.state.breakers.reads_open() || server.state.breakers.writes_open();
        server.user("alice").get("/notifications").await.status == 200 && !open
    };
    eventually(passed).await;
    assert_eq!(inbox(&server, "alice").await.len(), 1);
}

#[tokio::test]
async fn what_waits_cannot_be_retracted_yet() {
    let server = TestServer::impatient().await;
    let outage = server.away().await;
    let id = spooled(&server.api(), &like("alice", "x")).await;
    // Nobody is told that there is no such thing, and gets it later.
    let retract = async || server.api().delete(&format!("/notifications/{id}")).await;
    retract().await.problem(503, "STORE_UNAVAILABLE");
    outage.end().await;
    let retracted = || async {
        let answer = retract().await;
        assert!([200, 503].contains(&answer.status), "{}", answer.text);
        answer.status == 200
    };
    eventually(retracted).await;
    server.replayed().await;
    assert!(inbox(&server, "alice").await.is_empty());
}

#[tokio::test]
async fn it_is_carried_out_after_a_restart() {
    let server = TestServer::impatient().await;
    let outage = server.away().await;
    let id = spooled(&server.api(), &like("alice", "x")).await;
    let stopping = server.restart(|config| {
        impatient(config);
        config.spool.require_store = true;
    });
    let (server, ()) = tokio::join!(stopping, outage.end());
    server.replayed().await;
    assert_eq!(inbox(&server, "alice").await[0]["id"], json!(id));
}

#[tokio::test]
async fn texts_and_numbers_come_through_as_they_were() {
    let server = TestServer::impatient().await;
    let data = r#"{"big":123456789012345678901234567890,"nul":"\u0000"}"#;
    let body =
        |n: u8| format!(r#"{{"to":"alice","type":"like","message":"a\u0000b{n}","data":{data}}}"#);
    let direct = server.api().post_raw("/notifications", body(1)).await;
    let outage = server.away().await;
    let away = server.api().post_raw("/notifications", body(2)).await;
    assert_eq!((direct.status, away.status), (201, 202), "{} {}", direct.text, away.text);
    let lone = r#"{"to":"alice","type":"like","message":"\ud83d"}"#;
    server.api().post_raw("/notifications", lone).await.problem(400, "MALFORMED_JSON");
    for data in [r#"{"half":"\ud83d"}"#, r#"{"n":1e400}"#] {
        let body = format!(r#"{{"to":"alice","type":"like","message":"x","data":{data}}}"#);
        server.api().post_raw("/notifications", body).await.bad_field(422, "/data", "UNREADABLE");
    }
    outage.end().await;
    server.replayed().await;
    let list = server.user("alice").get("/notifications").await;
    assert_eq!(list.text.matches(data).count(), 2, "{}", list.text);
}

/// A store that another part of the test may close: from then on nothing can be asked of it.
async fn with_store_of_its_own(dir: &tempfile::TempDir) -> (TestServer, Arc<SqliteStore>) {
    let path = dir.path().join("tidings.db");
    migrations::up(&path).expect("migrated");
    let store =
        Arc::new(SqliteStore::open(Options::new(path, publisher_channel().0)).expect("open"));
    let parts = Parts { store: Some(store.clone()), ..Parts::default() };
    (TestServer::with_parts(|config| config.breaker.failures = 1, parts).await, store)
}

#[tokio::test]
async fn without_the_store_reads_are_refused_and_sockets_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (server, store) = with_store_of_its_own(&dir).await;
    let mut alice = server.connect("alice").await;
    server.api().notify("somebody", "with this key").await;
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    for _ in 0..3 {
        let answer = server.user("alice").get("/notifications").await;
        answer.problem(503, "STORE_UNAVAILABLE");
        assert_eq!(answer.header("retry-after"), "5");
        let failed = alice.ask("notification:readAll", Value::Null).await;
        assert_eq!(failed["error"]["code"], "UNAVAILABLE");
    }
    // Its key is known from before.
    let id = spooled(&server.api(), &like("alice", "hello")).await;
    assert_eq!(alice.wait("notification").await["id"], json!(id));
    server
        .caller(Some("tdk_0123456789012345678901234567890123456789012".into()))
        .post("/notifications", &like("alice", "x"))
        .await
        .problem(503, "STORE_UNAVAILABLE");
    let health = server.page("/health").await.json(200);
    assert_eq!(
        (&health["status"], &health["store"]["status"]),
        (&json!("degraded"), &json!("down"))
    );
    assert_eq!(
        (&health["spool"]["status"], &health["spool"]["records"]),
        (&json!("waiting"), &json!(1))
    );
    assert_eq!(server.page("/health/ready").await.json(200)["status"], "degraded");
    let all_open = || async {
        let text = server.page("/metrics").await.text;
        let breakers = text.lines().filter(|line| line.starts_with("tidings_store_breaker_open{"));
        breakers.filter(|line| line.ends_with(" 1")).count() == 2
    };
    eventually(all_open).await;
    // Who connects now is told to come back.
    let token = server.token("bob");
    let mut bob = Client::open(server.address).await;
    bob.join(json!({ "token": token })).await;
    assert_eq!(bob.until_closed().await, (vec![], false), "the transport ends, no DISCONNECT");
    assert!(alice.drain().await.is_empty());
}

#[tokio::test]
async fn more_than_a_device_remembers_comes_when_it_is_stored() {
    let server = TestServer::impatient().await;
    let mut alice = server.connect("alice").await;
    let outage = server.away().await;
    let bodies: Vec<Value> = (0..300).map(|n| like("alice", &format!("n{n}"))).collect();
    for several in bodies.chunks(100) {
        server.api().post("/notifications", &json!(several)).await.json(202);
    }
    let shown = alice.drain().await;
    assert_eq!(names(&shown), vec!["notification"; 256]);
    outage.end().await;
    let (mut confirmed, mut ordinary) = (0, 0);
    while confirmed + ordinary < 300 {
        let (name, body) = alice.event().await;
        match name.as_str() {
            "notification" => ordinary += 1,
            "notification:updated" => confirmed += body["items"].as_array().unwrap().len(),
            _ => {}
        }
    }
    assert_eq!((confirmed, ordinary), (256, 44));
}
