//! Senders at work while something bad happens to the store, and what they are owed in the end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tidings_core::ids::UserId;
use tidings_server::config::Config;
use tokio::task::JoinHandle;

use super::{Answer, Api, TestServer, eventually, impatient, within};

const SENDERS: usize = 6;

/// As [`impatient`], and whoever tries again and again may.
pub fn under_load(config: &mut Config) {
    impatient(config);
    config.limits.user_requests = 0;
}

/// What one sender has had accepted for its own user.
#[derive(Default)]
pub struct Ledger {
    /// In the order in which they were sent, each after the one before was answered.
    pub ids: Vec<String>,
    /// How many of them were marked as read.
    pub read: usize,
    pub spooled: usize,
}

/// Senders, each with a user of its own, until they are told to end.
pub struct Load {
    accepted: Arc<[AtomicUsize]>,
    end: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Ledger>>,
}

impl Load {
    pub fn begin(server: &TestServer) -> Self {
        let accepted: Arc<[AtomicUsize]> = (0..SENDERS).map(|_| AtomicUsize::default()).collect();
        let end = Arc::<AtomicBool>::default();
        let senders = (0..SENDERS).map(|number| {
            let user = format!("u{number}");
            let sender = Sender {
                api: server.api(),
                own: server.user(&user),
                user,
                number,
                accepted: Arc::clone(&accepted),
                end: Arc::clone(&end),
            };
            tokio::spawn(sender.run())
        });
        let senders = senders.collect();
        Self { accepted, end, senders }
    }

    fn counts(&self) -> Vec<usize> {
        self.accepted.iter().map(|count| count.load(Ordering::SeqCst)).collect()
    }

    /// Returns when so many more are accepted.
    pub async fn goes_on(&self, more: usize) {
        let enough = self.counts().iter().sum::<usize>() + more;
        eventually(|| async { self.counts().iter().sum::<usize>() >= enough }).await;
    }

    /// Returns when each sender has had two more accepted: the second was sent after this began.
    pub async fn each_goes_on(&self) {
        let before = self.counts();
        let all = || self.counts().iter().zip(&before).all(|(now, before)| *now >= before + 2);
        eventually(|| async { all() }).await;
    }

    pub async fn end(self) -> Vec<Ledger> {
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
    number: usize,
    accepted: Arc<[AtomicUsize]>,
    end: Arc<AtomicBool>,
}

impl Sender {
    async fn run(self) -> Ledger {
        let mut ledger = Ledger::default();
        // Who cannot mark as read for now goes on sending.
        let mut to_read = Vec::new();
        while !self.end.load(Ordering::SeqCst) {
            let sent = self.send(ledger.ids.len()).await;
            let id = sent["id"].as_str().expect("an id").to_owned();
            self.accepted[self.number].fetch_add(1, Ordering::SeqCst);
            if sent["stored"] == "committed" {
                if ledger.ids.len().is_multiple_of(4) {
                    to_read.push(id.clone());
                }
                if let Some(first) = to_read.first()
                    && self.reads(first).await
                {
                    to_read.remove(0);
                    ledger.read += 1;
                }
            } else {
                ledger.spooled += 1;
            }
            ledger.ids.push(id);
        }
        for id in to_read {
            eventually(|| self.reads(&id)).await;
            ledger.read += 1;
        }
        ledger
    }

    /// Until it is accepted, always with the same key.
    async fn send(&self, n: usize) -> Value {
        let body = json!({ "to": self.user, "type": "like", "message": format!("n{n}") });
        loop {
            let request = self.api.request("POST", "/notifications").json(&body);
            let request = request.header("idempotency-key", format!("{}-{n}", self.user));
            let answer = Answer::of(request).await;
            match answer.status {
                201 | 202 => return answer.json(answer.status),
                409 | 503 => tokio::task::yield_now().await,
                other => panic!("{other}: {}", answer.text),
            }
        }
    }

    /// `false`: not now.
    async fn reads(&self, id: &str) -> bool {
        let answer = self.own.patch(&format!("/notifications/{id}/read")).await;
        match answer.status {
            200 => true,
            503 => false,
            other => panic!("{other}: {}", answer.text),
        }
    }
}

/// A user's whole inbox, the oldest first.
pub async fn whole_inbox(server: &TestServer, user: &str) -> Vec<Value> {
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

/// Ends the load. Everything accepted is there once and in order, and the counters say what a recount says.
/// Gives what was accepted.
pub async fn assert_kept(server: &TestServer, load: Load) -> Vec<Ledger> {
    let ledgers = load.end().await;
    server.replayed().await;
    for (n, ledger) in ledgers.iter().enumerate() {
        let user = format!("u{n}");
        let stored = whole_inbox(server, &user).await;
        let ids: Vec<&str> = stored.iter().filter_map(|one| one["id"].as_str()).collect();
        assert_eq!(ids, ledger.ids, "{user}");
        let unread = stored.iter().filter(|one| one["read"] == false).count();
        assert_eq!(unread, ledger.ids.len() - ledger.read, "{user}");
        let id = UserId::new(&user).expect("an id");
        let state = server.state.store.state(&id).await.expect("the state");
        assert_eq!(state.unread, unread as u64, "{user}");
        assert_eq!(state.rev.0, (ledger.ids.len() + ledger.read) as u64, "{user}: one rev each");
    }
    ledgers
}

/// How many were spooled by all together.
pub fn spooled(ledgers: &[Ledger]) -> usize {
    ledgers.iter().map(|ledger| ledger.spooled).sum()
}
