//! Clients that do not read: the memory that they take is bounded, and nothing is lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, TestServer, Tidings, claims, eventually, fresh, sign};

/// Bytes that wait for a client at most, plus the frame that went over.
const BUFFER: usize = 128 << 10;

async fn server(slow_drain: Duration) -> TestServer {
    TestServer::with(|config| {
        config.gateway.send_buffer = BUFFER;
        config.gateway.slow_drain = slow_drain;
        // Nor does who pauses answer pings.
        config.gateway.ping_timeout = Duration::from_secs(300);
    })
    .await
}

/// Sends notifications of about 8 KB each, in arrays.
async fn flood(server: &TestServer, count: usize) {
    let one = json!({
        "to": "alice", "type": "like", "message": "m".repeat(4_000), "data": { "d": "d".repeat(4_000) },
    });
    for chunk in (0..count).collect::<Vec<_>>().chunks(100) {
        let body: Vec<_> = chunk.iter().map(|_| one.clone()).collect();
        server.api().post("/notifications", &json!(body)).await.json(201);
    }
}

async fn narrow(server: &TestServer, since: u64) -> Client {
    let mut client = Client::open_narrow(server.address).await;
    client.join(json!({ "token": server.token("alice"), "since": since })).await;
    client
}

/// Reads until everything up to `last` was told, each once.
async fn told(client: &mut Client, last: u64) -> Vec<u64> {
    let mut seqs: Vec<u64> = Vec::new();
    while seqs.last().is_none_or(|seq| *seq < last) {
        let (name, body) = client.event().await;
        seqs.extend(seqs_in(&name, &body));
    }
    seqs
}

/// What an event tells of: one notification, or a page of those that were missed.
fn seqs_in(event: &str, body: &Value) -> Vec<u64> {
    match event {
        "notification" => vec![seq(body)],
        "notifications:pending" => {
            body["notifications"].as_array().expect("a list").iter().map(seq).collect()
        }
        _ => Vec::new(),
    }
}

fn seq(notification: &Value) -> u64 {
    notification["seq"].as_u64().expect("a number")
}

#[tokio::test]
async fn one_that_pauses_is_told_the_rest_when_it_reads_again() {
    let server = server(Duration::from_secs(300)).await;
    let mut alice = narrow(&server, 0).await;
    let mut quick = server.connect("alice").await;
    let reading = tokio::spawn(async move { told(&mut quick, 3_000).await });
    flood(&server, 3_000).await;
    eventually(|| async { server.metric("websocket_send_buffer_full_total", "").await >= 1 }).await;
    let all: Vec<u64> = (1..=3_000).collect();
    assert_eq!(reading.await.unwrap(), all, "another device of the same user");
    assert_eq!(told(&mut alice, 3_000).await, all);
    server.api().notify("alice", "live again").await;
    assert_eq!(alice.wait("notification").await["message"], "live again");
}

#[tokio::test]
async fn one_that_never_reads_is_closed_and_finds_everything_later() {
    let server = server(Duration::from_secs(5)).await;
    let mut alice = narrow(&server, 0).await;
    flood(&server, 1_000).await;
    let closed = "websocket_disconnections_total";
    eventually(|| async { server.metric(closed, "").await == 1 }).await;
    let (events, told_off) = alice.until_closed().await;
    let seqs: Vec<u64> = events.iter().flat_map(|(name, body)| seqs_in(name, body)).collect();
    assert!(!told_off, "it may come back");
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let known = seqs.len() as u64;
    let mut alice = narrow(&server, known).await;
    assert_eq!(told(&mut alice, 1_000).await, (known + 1..=1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_backlog_far_larger_than_the_buffer_arrives_whole() {
    let server = server(Duration::from_secs(300)).await;
    flood(&server, 600).await;
    let mut alice = narrow(&server, 0).await;
    assert_eq!(told(&mut alice, 600).await, (1..=600).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_newest_unread_arrive_whole_however_large_they_are() {
    let server = server(Duration::from_secs(300)).await;
    flood(&server, 100).await;
    let mut alice = Client::open_narrow(server.address).await;
    alice.join(json!({ "token": server.token("alice") })).await;
    alice.wait("connected").await;
    assert_eq!(told(&mut alice, 100).await.last(), Some(&100));
    server.api().notify("alice", "live").await;
    assert_eq!(alice.wait("notification").await["message"], "live");
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes << 10
}

#[tokio::test]
async fn clients_that_do_not_read_take_bounded_memory() {
    const CLIENTS: usize = 20;
    let (_dir, path) = fresh();
    let key = Tidings::run(&path, &["keys", "create", "--name", "x", "--quiet"]).await;
    let key = Tidings::printed(&key);
    let mut command = Tidings::command(&path);
    command.args(["serve", "--port", "0"]);
    command.env("TIDINGS_GATEWAY__SEND_BUFFER", BUFFER.to_string());
    command.env("TIDINGS_LIMITS__REQUEST_BODY", "2000000");
    // They are to stay, however long it takes to send all that.
    command.env("TIDINGS_GATEWAY__SLOW_DRAIN", "5m").env("TIDINGS_GATEWAY__PING_TIMEOUT", "5m");
    let server = Tidings::spawn(command).await;
    let mut users = Vec::new();
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        users.push(format!("u{n}"));
        let mut client = Client::open_narrow(server.address).await;
        client.join(json!({ "token": sign(&claims(&users[n])) })).await;
        client.wait("notifications:pending").await;
        clients.push(client);
    }
    let before = resident(server.pid());
    // 20 clients × 2,000 × 8 KB would be 320 MB. Each message has a body of its own.
    let one = json!({
        "to": { "users": users }, "type": "like", "message": "m".repeat(4_000),
        "data": { "d": "d".repeat(4_000) },
    });
    let body = json!(vec![one; 50]);
    let api = server.api(Some(key));
    for _ in 0..40 {
        api.post("/notifications", &body).await.json(201);
    }
    let grown = resident(server.pid()).saturating_sub(before);
    assert!(grown < 100 << 20, "grown by {} MB", grown >> 20);
    // And none of them has missed anything.
    let last = clients.last_mut().expect("some");
    assert_eq!(told(last, 2_000).await, (1..=2_000).collect::<Vec<_>>());
}
