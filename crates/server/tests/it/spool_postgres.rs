//! PostgreSQL away under load: crashed again and again, no primary any more.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tidings_core::ids::UserId;
use tidings_testkit::postgres::{Postgres, Settings, Stop};
use tokio::task::{JoinHandle, block_in_place};

use crate::support::{Api, TestServer, eventually, impatient, within};

const CYCLES: usize = 10;
const SENDERS: usize = 6;

async fn server_on(url: String) -> TestServer {
    TestServer::with(|config| {
        impatient(config);
        config.database_url = Some(url.into());
    })
    .await
}

/// What one sender has had accepted for its own user.
#[derive(Default)]
struct Ledger {
    /// In the order in which they were sent, each after the one before was answered.
    ids: Vec<String>,
    /// Those of them that were marked as read.
    read: usize,
    spooled: usize,
}

/// Senders, each with a user of its own, until they are told to end.
struct Load {
    accepted: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Ledger>>,
}

impl Load {
    fn begin(server: &TestServer) -> Self {
        let accepted = Arc::<AtomicUsize>::default();
        let end = Arc::<AtomicBool>::default();
        let senders = (0..SENDERS).map(|n| {
            let user = format!("u{n}");
            let sender = Sender {
                api: server.api(),
                own: server.user(&user),
                user,
                accepted: Arc::clone(&accepted),
                end: Arc::clone(&end),
            };
            tokio::spawn(sender.run())
        });
        let senders = senders.collect();
        Self { accepted, end, senders }
    }

    /// Returns when so many more are accepted.
    async fn goes_on(&self, more: usize) {
        let enough = self.accepted.load(Ordering::SeqCst) + more;
        eventually(|| async { self.accepted.load(Ordering::SeqCst) >= enough }).await;
    }

    async fn end(self) -> Vec<Ledger> {
        self.end.store(true, Ordering::SeqCst);
        let mut ledgers = Vec::new();
        for sender in self.senders {
            ledgers.push(within(sender).await.expect("no panic"));
        }
        ledgers
    }
}

struct Sender {
    api: Api,
    own: Api,
    user: String,
    accepted: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
}

impl Sender {
    async fn run(self) -> Ledger {
        let mut ledger = Ledger::default();
        while !self.end.load(Ordering::SeqCst) {
            let sent = self.send(ledger.ids.len()).await;
            let id = sent["id"].as_str().expect("an id").to_owned();
            self.accepted.fetch_add(1, Ordering::SeqCst);
            let committed = sent["stored"] == "committed";
            ledger.spooled += usize::from(!committed);
            if committed && ledger.ids.len().is_multiple_of(4) && self.reads(&id).await {
                ledger.read += 1;
            }
            ledger.ids.push(id);
        }
        ledger
    }

    /// Until it is accepted, always with the same key.
    async fn send(&self, n: usize) -> Value {
        let body = json!({ "to": self.user, "type": "like", "message": format!("n{n}") });
        loop {
            let request = self.api.request("POST", "/notifications").json(&body);
            let request = request.header("idempotency-key", format!("{}-{n}", self.user));
            let answer = crate::support::Answer::of(request).await;
            match answer.status {
                201 | 202 => return answer.json(answer.status),
                409 | 503 => tokio::task::yield_now().await,
                other => panic!("{other}: {}", answer.text),
            }
        }
    }

    /// Marks it as read, again until that is answered; `false`: the end came before.
    async fn reads(&self, id: &str) -> bool {
        loop {
            let answer = self.own.patch(&format!("/notifications/{id}/read")).await;
            match answer.status {
                200 => return true,
                503 => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                other => panic!("{other}: {}", answer.text),
            }
        }
    }
}

/// A user's whole inbox, the oldest first.
async fn inbox(server: &TestServer, user: &str) -> Vec<Value> {
    let (api, mut all, mut cursor) = (server.user(user), Vec::new(), String::new());
    loop {
        let list = api.get(&format!("/notifications?limit=100{cursor}")).await.json(200);
        all.extend(list["notifications"].as_array().expect("a list").iter().cloned());
        match list["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    all.reverse();
    all
}

/// Everything accepted is there once and in order, and the counters say what a recount says.
async fn assert_kept(server: &TestServer, ledgers: &[Ledger]) {
    for (n, ledger) in ledgers.iter().enumerate() {
        let user = format!("u{n}");
        let stored = inbox(server, &user).await;
        let ids: Vec<&str> = stored.iter().filter_map(|one| one["id"].as_str()).collect();
        assert_eq!(ids, ledger.ids, "{user}");
        let unread = stored.iter().filter(|one| one["read"] == false).count();
        assert_eq!(unread, ledger.ids.len() - ledger.read, "{user}");
        let id = UserId::new(&user).expect("an id");
        let state = server.state.store.state(&id).await.expect("the state");
        assert_eq!(state.unread, unread as u64, "{user}");
        assert_eq!(state.rev.0, (ledger.ids.len() + ledger.read) as u64, "{user}: one rev each");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_crashed_again_and_again_loses_and_repeats_nothing() {
    let postgres = Postgres::start(&Settings::default());
    let database = postgres.database();
    let server = server_on(database.url()).await;
    let load = Load::begin(&server);
    for _ in 0..CYCLES {
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
    let ledgers = load.end().await;
    server.replayed().await;
    assert_kept(&server, &ledgers).await;
    let all: BTreeSet<&String> = ledgers.iter().flat_map(|ledger| &ledger.ids).collect();
    assert_eq!(all.len(), ledgers.iter().map(|ledger| ledger.ids.len()).sum::<usize>());
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
    let spool = server.state.spool.as_ref().expect("a spool");
    eventually(|| async { !spool.is_empty() }).await;
    load.goes_on(30).await;
    read_only("off");
    server.replayed().await;
    let ledgers = load.end().await;
    server.replayed().await;
    assert!(ledgers.iter().map(|ledger| ledger.spooled).sum::<usize>() > 0);
    assert_kept(&server, &ledgers).await;
    assert!(alice.drain().await.is_empty(), "her connection is the same");
}
