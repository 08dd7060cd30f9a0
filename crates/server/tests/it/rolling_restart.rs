//! Three nodes behind HAProxy are restarted one after another under load: real processes, clients
//! that come back as any Socket.IO client does, and a ledger.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_core::ports::Clock as _;
use tidings_server::clock::SystemClock;
use tidings_testkit::{postgres::Database, program::free_port, redis::Redis};
use tokio::{sync::watch, task::JoinHandle};

use crate::support::{
    Answer, Api, Balancer, Client, Kind, Tidings, claims, eventually, fresh, sign, store, within,
};

const USERS: usize = 25;
const DEVICES: usize = 2;
const DRAIN: &str = "2s";

/// A machine of the cluster: its address and data directory stay, the process comes and goes.
struct Node {
    name: &'static str,
    port: u16,
    path: PathBuf,
    environment: Vec<(&'static str, String)>,
    process: Option<Tidings>,
    _dir: TempDir,
}

impl Node {
    fn new(name: &'static str, database: &Database<'static>, prefix: &str) -> Self {
        let (dir, path) = fresh();
        let environment = vec![
            ("TIDINGS_NODE_ID", name.to_owned()),
            ("TIDINGS_DATABASE_URL", database.url()),
            // Many tests share a server.
            ("TIDINGS_DATABASE__READERS", "3".to_owned()),
            ("TIDINGS_DATABASE__LANES", "1".to_owned()),
            ("TIDINGS_REDIS_URL", Redis::shared().url()),
            ("TIDINGS_REDIS__PREFIX", prefix.to_owned()),
            ("TIDINGS_HTTP__TRUSTED_PROXIES", Balancer::own_address()),
            // HAProxy asks every second, and believes it the second time.
            ("TIDINGS_LIFECYCLE__UNREADY", "3s".to_owned()),
            ("TIDINGS_LIFECYCLE__DRAIN", DRAIN.to_owned()),
        ];
        Self { name, port: free_port(), path, environment, process: None, _dir: dir }
    }

    fn command(&self, words: &[&str]) -> tokio::process::Command {
        let mut command = Tidings::command(&self.path);
        command.envs(self.environment.iter().cloned()).args(words);
        command
    }

    async fn start(&mut self) {
        let port = self.port.to_string();
        self.process = Some(Tidings::spawn(self.command(&["serve", "--port", &port])).await);
    }

    async fn stop(&mut self) {
        let process = self.process.take().expect("it runs");
        process.terminate();
        let (code, log) = process.ended().await;
        assert_eq!(code, Some(0), "{log:?}");
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// A device that comes back by itself, and says how far it was told.
struct Device {
    address: SocketAddr,
    token: String,
    rev: u64,
    /// Every notification that it was told of, in order.
    seqs: Vec<u64>,
    connections: u32,
}

impl Device {
    /// Until it was told of everything that was accepted, once that is known.
    async fn run(mut self, mut owed: watch::Receiver<Option<u64>>) -> Self {
        loop {
            let auth = json!({ "token": self.token, "since": self.rev });
            let Some(mut client) = Client::connect_if_there(self.address, auth).await else {
                pause(500).await;
                continue;
            };
            self.connections += 1;
            let mut delay = 500;
            loop {
                if owed.borrow_and_update().is_some_and(|owed| self.seqs.len() as u64 >= owed) {
                    return self;
                }
                tokio::select! {
                    event = client.event_if_any() => match event {
                        None => break,
                        Some((name, body)) if name == "server:shutdown" => {
                            delay = body["reconnectAfterMs"].as_u64().expect("a number");
                        }
                        Some((name, body)) => self.take(&name, &body),
                    },
                    _ = owed.changed() => {}
                }
            }
            pause(delay).await;
        }
    }

    fn take(&mut self, name: &str, body: &Value) {
        let seq = |item: &Value| item["seq"].as_u64().expect("a number");
        match name {
            "notification" => {
                self.seqs.push(seq(body));
                self.rev = body["rev"].as_u64().expect("a number");
            }
            "notifications:pending" => {
                self.seqs.extend(body["notifications"].as_array().expect("a list").iter().map(seq));
                self.rev = body["to"].as_u64().expect("a number");
            }
            _ => {}
        }
    }
}

/// At random, as Socket.IO's clients wait.
async fn pause(most: u64) {
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..=most))).await;
}

/// Sends to the users in turn until told to end; gives how many were accepted for each, and how
/// many attempts failed.
async fn send(api: Api, end: Arc<AtomicBool>, sent: Arc<AtomicU32>) -> (Vec<u64>, u32) {
    let (mut accepted, mut failed) = (vec![0; USERS], 0);
    for n in 0.. {
        let (user, key) = (n % USERS, format!("key-{n}"));
        // Only at the end of a round, so that all are owed something.
        if user == 0 && end.load(Ordering::SeqCst) {
            break;
        }
        let body = json!({ "to": format!("user-{user}"), "type": "like", "message": "x" });
        loop {
            let request = api.request("POST", "/notifications").header("idempotency-key", &key);
            match within(request.json(&body).send()).await {
                Ok(answer) if answer.status() == 201 => break,
                _ => failed += 1,
            }
            pause(50).await;
        }
        accepted[user] += 1;
        sent.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (accepted, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_are_restarted_one_after_another_and_nothing_is_lost() {
    let database = store::postgres().await;
    let prefix = format!("test-{:08x}", rand::random::<u32>());
    let mut nodes = ["node-1", "node-2", "node-3"].map(|name| Node::new(name, &database, &prefix));
    for node in &mut nodes {
        node.start().await;
    }
    let create = nodes[0].command(&["keys", "create", "--name", "sender", "--quiet"]).output();
    let key = Tidings::printed(&within(create).await.expect("it runs"));
    let addresses = nodes.each_ref().map(Node::address);
    let balancer = Balancer::start(Kind::HaProxy, &addresses).await;
    let api = balancer.api(Ipv4Addr::LOCALHOST, Some(key));

    let (owes, owed): (Vec<_>, Vec<_>) = (0..USERS).map(|_| watch::channel(None)).unzip();
    let devices: Vec<JoinHandle<Device>> = (0..USERS * DEVICES)
        .map(|n| {
            let token = sign(&claims(&format!("user-{}", n % USERS)));
            let (address, seqs) = (balancer.address, Vec::new());
            let device = Device { address, token, rev: 0, seqs, connections: 0 };
            tokio::spawn(device.run(owed[n % USERS].clone()))
        })
        .collect();
    eventually(|| async { connections(&api, "active=true").await.len() == devices.len() }).await;

    let (end, sent) = <(Arc<AtomicBool>, Arc<AtomicU32>)>::default();
    let sending = tokio::spawn(send(api.clone(), Arc::clone(&end), Arc::clone(&sent)));
    let began = SystemClock.now().as_millis();
    for node in &mut nodes {
        more(&sent).await;
        node.stop().await;
        more(&sent).await;
        node.start().await;
        // The next one only when HAProxy sends somebody to this one again.
        eventually(|| async { answering(&api).await == node.name }).await;
    }
    more(&sent).await;
    end.store(true, Ordering::SeqCst);
    let (accepted, failed) = within(sending).await.expect("no panic");
    for (owes, count) in owes.iter().zip(&accepted) {
        owes.send_replace(Some(*count));
    }

    let (mut received, mut came_back) = (0, 0);
    for (n, device) in devices.into_iter().enumerate() {
        let device = within(device).await.expect("no panic");
        let all: Vec<u64> = (1..=accepted[n % USERS]).collect();
        assert_eq!(device.seqs, all, "device {n}, {} connections", device.connections);
        received += device.seqs.len();
        came_back += device.connections - 1;
    }
    let total: u64 = accepted.iter().sum();
    println!(
        "accepted {total} ({failed} attempts repeated), received {received} by {DEVICES} devices of each user, lost 0, doubled 0"
    );
    assert!(came_back as usize >= USERS * DEVICES, "everybody's node went once: {came_back}");
    let most = most_a_second(&connections(&api, "").await, began);
    println!(
        "{came_back} connections came back; at most {most} in a second to one node, drained over {DRAIN}"
    );
}

/// Returns when a few more have been accepted.
async fn more(sent: &AtomicU32) {
    let before = sent.load(Ordering::SeqCst);
    eventually(|| async { sent.load(Ordering::SeqCst) >= before + 50 }).await;
}

/// Which node answers now.
async fn answering(api: &Api) -> String {
    let answer = Answer::of(api.request("GET", "/health")).await;
    let health: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    health["nodeId"].as_str().unwrap_or_default().to_owned()
}

/// The history of connections, all pages.
async fn connections(api: &Api, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/connections?limit=100&{query}{cursor}")).await.json(200);
        all.extend(page["connections"].as_array().expect("a list").iter().cloned());
        let Some(next) = page["pagination"]["nextCursor"].as_str() else { return all };
        cursor = format!("&cursor={next}");
    }
}

/// The most connections that one node took in any second from then on.
fn most_a_second(connections: &[Value], began: i64) -> usize {
    let mut times: HashMap<&str, Vec<Timestamp>> = HashMap::new();
    for one in connections {
        let text = |name: &str| one[name].as_str().expect("text");
        let at: Timestamp = text("connectedAt").parse().expect("a time");
        if at.as_millisecond() >= began {
            times.entry(text("nodeId")).or_default().push(at);
        }
    }
    let busiest = times.into_values().map(|mut times| {
        times.sort();
        let within_a_second = |from: &Timestamp| {
            let until = *from + jiff::SignedDuration::from_secs(1);
            times.iter().filter(|at| (*from..until).contains(at)).count()
        };
        times.iter().map(within_a_second).max().unwrap_or_default()
    });
    busiest.max().unwrap_or_default()
}
