//! Durable accepts per second with few and with many concurrent callers.
//!
//! `cargo run --release -p tidings-store-sqlite --example accept_rate [-- <directory>]`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement: it prints, and a failure ends it"
)]

use std::{path::Path, sync::Arc, time::Instant};

use tidings_core::ports::{Accept, ChangeSink, Inboxes};
use tidings_store_sqlite::{Options, SqliteStore, migrations};
use tidings_testkit::{ManualClock, message, user};

struct Nobody;

impl ChangeSink for Nobody {
    fn committed(&self, _: Vec<Arc<tidings_core::inbox::InboxChange>>) {}
}

#[tokio::main]
async fn main() {
    let place = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    for (callers, writes) in [(1, 2_000), (64, 50_000), (512, 100_000)] {
        let dir = tempfile::tempdir_in(&place).unwrap();
        measure(dir.path(), callers, writes).await;
    }
}

async fn measure(dir: &Path, callers: usize, writes: usize) {
    let path = dir.join("tidings.db");
    migrations::up(&path).unwrap();
    let store = SqliteStore::open(Options::new(&path, Arc::new(Nobody))).unwrap();
    let clock = ManualClock::default();
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (store, clock) = (store.clone(), clock.clone());
        tasks.spawn(async move {
            for n in 0..writes / callers {
                let now = clock.tick();
                let to = [user(&format!("user-{}", (caller * 7_919 + n) % 10_000))];
                let messages = vec![message(now).to(&to).data("{\"postId\":42}").build()];
                let accept = Accept { messages, idempotency: None, now };
                store.accept(accept).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let seconds = start.elapsed().as_secs_f64();
    let stats = store.stats();
    println!(
        "{callers:>4} callers: {:>7.0} durable accepts/s, {:.1} per commit",
        stats.writes as f64 / seconds,
        stats.writes as f64 / stats.batches as f64,
    );
    store.close();
}
