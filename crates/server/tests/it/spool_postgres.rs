//! PostgreSQL away under load: stopped, crashed again and again, out of connections, too slow, another one.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_server::config::Config;
use tidings_testkit::postgres::{Database, PASSWORD, Postgres, Settings, Stop};
use tokio::task::block_in_place;

use crate::support::{
    TestServer, cycles, eventually,
    load::{Load, assert_kept, spooled, under_load, whole_inbox},
    store::sql_session,
    within,
};

async fn server_on(url: String) -> TestServer {
    server_with(url, |_| {}).await
}

async fn server_with(url: String, configure: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(|config| {
        under_load(config);
        config.database_url = Some(url.into());
        configure(config);
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_stopped_under_load_costs_nothing_but_time() {
    let postgres = Postgres::start(&Settings::default());
    let database = postgres.database();
    let server = server_on(database.url()).await;
    let mut alice = server.connect("alice").await;
    let load = Load::begin(&server);
    load.goes_on(60).await;
    block_in_place(|| postgres.stop(Stop::Fast));
    let like = |n: usize| json!({ "to": "alice", "type": "like", "message": format!("n{n}") });
    let mut sent = Vec::new();
    for n in 0..20 {
        let answer = server.api().post("/notifications", &like(n)).await.json(202);
        assert_eq!(answer["stored"], "spooled");
        let shown = alice.wait("notification").await;
        assert_eq!((&shown["id"], &shown["provisional"]), (&answer["id"], &json!(true)), "at once");
        sent.push(answer["id"].clone());
    }
    load.each_goes_on().await;
    server.user("alice").get("/notifications").await.problem(503, "STORE_UNAVAILABLE");
    block_in_place(|| postgres.start_again());
    server.replayed().await;
    let ledgers = assert_kept(&server, load).await;
    assert!(ledgers.iter().all(|ledger| ledger.spooled > 0), "every sender went on");
    let stored = whole_inbox(&server, "alice").await;
    assert_eq!(stored.iter().map(|n| n["id"].clone()).collect::<Vec<_>>(), sent, "in order");
    // On the connection that she has had all the time.
    let mut confirmed = Vec::new();
    while confirmed.len() < sent.len() {
        let updated = alice.wait("notification:updated").await;
        let items = updated["items"].as_array().expect("items").iter();
        confirmed.extend(items.map(|item| item["id"].clone()));
    }
    assert_eq!(confirmed, sent);
    assert!(alice.drain().await.iter().all(|(name, _)| name == "notification:count"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_crashed_again_and_again_loses_and_repeats_nothing() {
    let postgres = Postgres::start(&Settings::default());
    let database = postgres.database();
    let server = server_on(database.url()).await;
    let load = Load::begin(&server);
    for _ in 0..cycles() {
        load.goes_on(rand::random_range(1..60)).await;
        block_in_place(|| postgres.stop(Stop::Immediate));
        load.goes_on(rand::random_range(1..60)).await;
        block_in_place(|| postgres.start_again());
        // Sometimes it crashes while it is carried out what was spooled.
        if rand::random() {
            server.replayed().await;
        }
    }
    server.replayed().await;
    assert_kept(&server, load).await;
}

/// After a failover the old primary takes no writes. Until the address leads to one that does, requests are spooled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_none_any_more_is_away_for_writes() {
    let postgres = Postgres::start(&Settings::default());
    let database = postgres.database();
    let server = server_on(database.url()).await;
    let mut alice = server.connect("alice").await;
    let load = Load::begin(&server);
    load.goes_on(30).await;
    let read_only = |on: &str| {
        block_in_place(|| {
            let set = format!("ALTER SYSTEM SET default_transaction_read_only = {on}");
            postgres.execute("postgres", &set);
            postgres.execute("postgres", "SELECT pg_reload_conf()");
        });
    };
    read_only("on");
    something_is_spooled(&server).await;
    load.goes_on(30).await;
    read_only("off");
    server.replayed().await;
    let ledgers = assert_kept(&server, load).await;
    assert!(spooled(&ledgers) > 0);
    assert!(alice.drain().await.is_empty(), "her connection is the same");
}

async fn something_is_spooled(server: &TestServer) {
    let spool = server.state.spool.as_ref().expect("a spool");
    eventually(|| async { !spool.is_empty() }).await;
}

/// Both servers are in the address. Of what is committed nothing is lost, for the primary waits for its standby.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_from_a_primary_that_dies() {
    let primary = Postgres::start(&Settings::default());
    let database = primary.database();
    let standby = block_in_place(|| {
        let standby = Postgres::standby_of(&primary);
        primary.execute("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        primary.execute("postgres", "SELECT pg_reload_conf()");
        standby
    });
    let hosts = format!("localhost:{},localhost:{}", primary.port(), standby.port());
    let url = format!("postgres://tidings:{PASSWORD}@{hosts}/{}", database.name());
    let server = server_on(url).await;
    let mut alice = server.connect("alice").await;
    let load = Load::begin(&server);
    load.goes_on(60).await;
    block_in_place(|| primary.stop(Stop::Immediate));
    load.goes_on(20).await;
    block_in_place(|| standby.promote());
    server.replayed().await;
    load.each_goes_on().await;
    let ledgers = assert_kept(&server, load).await;
    assert!(spooled(&ledgers) > 0);
    assert!(alice.drain().await.is_empty(), "her connection is the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_ended_under_load_cost_nothing() {
    let postgres = Postgres::start(&Settings::default());
    let database = postgres.database();
    let server = server_on(database.url()).await;
    let mut alice = server.connect("alice").await;
    let load = Load::begin(&server);
    for _ in 0..20 {
        load.goes_on(rand::random_range(1..30)).await;
        block_in_place(|| postgres.disconnect_all(database.name()));
    }
    server.replayed().await;
    assert_kept(&server, load).await;
    assert!(alice.drain().await.is_empty(), "her connection is the same");
}

/// Somebody else takes all connections that the database has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_connections_left_requests_are_spooled() {
    let few = Settings { lines: vec!["max_connections = 12".into()], ..Settings::default() };
    let postgres = Postgres::start(&few);
    let database = postgres.database();
    let server = server_with(database.url(), |config| {
        config.database.readers = 2;
        config.database.lanes = 1;
        config.database.writers = 1;
    })
    .await;
    let load = Load::begin(&server);
    load.goes_on(30).await;
    let spool = server.state.spool.as_ref().expect("a spool");
    let mut taken = Vec::new();
    // Until the server comes too late for its own.
    within(async {
        while spool.is_empty() {
            let ours = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE application_name = 'tidings'";
            block_in_place(|| postgres.execute("postgres", ours));
            while let Some(session) = session(&database).await {
                taken.push(session);
            }
        }
    })
    .await;
    load.each_goes_on().await;
    let health = server.page("/health").await.json(200);
    assert_eq!(health["status"], "degraded", "{health}");
    drop(taken);
    server.replayed().await;
    let ledgers = assert_kept(&server, load).await;
    assert!(spooled(&ledgers) > 0);
}

/// A session of somebody else's, if there is one left.
async fn session(database: &Database<'_>) -> Option<tokio_postgres::Client> {
    let connected = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await;
    let (client, connection) = connected.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// The database answers, but later than anybody may wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_take_too_long_are_given_up() {
    let database = Postgres::shared().database();
    let server = server_with(database.url(), |config| {
        config.database.statement_timeout = Duration::from_secs(1);
        config.database.lock_timeout = Duration::from_secs(600);
    })
    .await;
    let load = Load::begin(&server);
    load.goes_on(30).await;
    let busy = sql_session(&database.url()).await;
    let hold = "BEGIN; LOCK TABLE lanes, inboxes, inbox_items IN ACCESS EXCLUSIVE MODE";
    busy.batch_execute(hold).await.expect("held");
    let refused = server.user("u0").get("/notifications").await;
    refused.problem(503, "STORE_UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), "5");
    something_is_spooled(&server).await;
    load.each_goes_on().await;
    busy.batch_execute("ROLLBACK").await.expect("let go");
    server.replayed().await;
    let ledgers = assert_kept(&server, load).await;
    assert!(spooled(&ledgers) > 0);
    let none: Vec<Value> = whole_inbox(&server, "nobody").await;
    assert!(none.is_empty());
}
