//! How long an inbox page takes for a user with very many notifications.
//!
//! `cargo run --release -p tidings-store-sqlite --example large_inbox [-- <notifications>]`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement: it prints, and a failure ends it"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tidings_core::{
    ids::Rev,
    inbox::{InboxOp, OpenFrom, PageQuery},
    ports::{Accept, ChangeSink, Inboxes},
};
use tidings_store_sqlite::{Options, SqliteStore, migrations};
use tidings_testkit::{ManualClock, message, user};

struct Nobody;

impl ChangeSink for Nobody {
    fn committed(&self, _: Vec<Arc<tidings_core::inbox::InboxChange>>) {}
}

#[tokio::main]
async fn main() {
    let count = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir_in(".").unwrap();
    let path = dir.path().join("tidings.db");
    migrations::up(&path).unwrap();
    let store = SqliteStore::open(Options::new(&path, Arc::new(Nobody))).unwrap();
    let start = Instant::now();
    fill(&store, count).await;
    let size = std::fs::metadata(&path).unwrap().len();
    println!(
        "{count} notifications for one user: {:.0}/s, {} bytes each",
        count as f64 / start.elapsed().as_secs_f64(),
        size / count
    );
    read(&store, count).await;
    write(&store).await;
    store.close();
}

async fn fill(store: &SqliteStore, count: u64) {
    let clock = ManualClock::default();
    for _ in 0..count / 1_000 {
        let now = clock.tick();
        let messages = (0..1_000).map(|_| message(now).build()).collect();
        store.accept(Accept { messages, idempotency: None, now }).await.unwrap();
    }
}

async fn read(store: &SqliteStore, count: u64) {
    let alice = user("alice");
    let query = |unread_only, before| PageQuery {
        user: user("alice"),
        limit: 20,
        before: Some(Rev(before)),
        page: None,
        unread_only,
        archived: false,
        kind: None,
        tenant: None,
    };
    let anywhere = |n: u64| n * 7_919 % count + 1;
    measure("inbox page", async |n| drop(store.page(query(false, anywhere(n))).await.unwrap()))
        .await;
    measure("unread page", async |n| drop(store.page(query(true, anywhere(n))).await.unwrap()))
        .await;
    measure("sync of 20", async |_| {
        drop(store.sync(&alice, Rev(count - 20), 200).await.unwrap());
    })
    .await;
    measure("open", async |_| drop(store.open(&alice, OpenFrom::Newest).await.unwrap())).await;
    measure("unread count", async |_| {
        store.state(&alice).await.unwrap();
    })
    .await;
}

async fn write(store: &SqliteStore) {
    let now = ManualClock::default().tick();
    for (name, op) in
        [("read all", InboxOp::ReadAll { up_to: None }), ("clear", InboxOp::Clear { up_to: None })]
    {
        let start = Instant::now();
        store.change(&user("alice"), op, now).await.unwrap();
        println!("{name:>14}: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    }
}

async fn measure(name: &str, act: impl AsyncFn(u64)) {
    let mut times = Vec::new();
    for n in 0..2_000 {
        let start = Instant::now();
        act(n).await;
        times.push(start.elapsed());
    }
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{name:>14}: p50 {:.2} ms, p99 {:.2} ms", ms(at(50)), ms(at(99)));
}
