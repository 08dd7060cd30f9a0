//! Accepting messages and reading pages. The database stands on the disk of the temporary directory, each commit synced.
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so by failing")]

use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tidings_core::{
    inbox::PageQuery,
    ports::{Accept, ChangeSink, Inboxes as _},
    time::Timestamp,
};
use tidings_store_sqlite::{Options, SqliteStore, migrations};
use tidings_testkit::{message, user, users};
use tokio::runtime::Runtime;

/// Nobody listens.
struct Deaf;

impl ChangeSink for Deaf {
    fn committed(&self, _: Vec<Arc<tidings_core::inbox::InboxChange>>) {}
}

fn open(dir: &TempDir) -> SqliteStore {
    let path = dir.path().join("tidings.db");
    migrations::up(&path).expect("a schema");
    SqliteStore::open(Options::new(path, Arc::new(Deaf))).expect("a store")
}

/// So many messages for one user each.
fn batch(count: usize) -> Accept {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let to = users("user", count);
    let messages = to.iter().map(|user| message(now).to(std::slice::from_ref(user)).build());
    Accept { messages: messages.collect(), idempotency: None, now }
}

fn accept(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    let mut group = c.benchmark_group("accept");
    group.sample_size(20);
    for count in [1, 100] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("messages", count), |b| {
            b.iter_batched(
                || batch(count),
                |batch| runtime.block_on(store.accept(batch)).expect("accepted"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    store.close();
}

fn page(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    let now = Timestamp::from_millis(1_800_000_000_000);
    for _ in 0..10 {
        let messages = (0..100).map(|_| message(now).build()).collect();
        let accept = Accept { messages, idempotency: None, now };
        runtime.block_on(store.accept(accept)).expect("accepted");
    }
    let query = |limit| PageQuery {
        user: user("alice"),
        limit,
        before: None,
        page: None,
        unread_only: false,
        archived: false,
        kind: None,
        tenant: None,
    };
    let mut group = c.benchmark_group("page");
    for limit in [20, 100] {
        group.throughput(Throughput::Elements(limit as u64));
        group.bench_function(BenchmarkId::new("newest", limit), |b| {
            b.iter(|| runtime.block_on(store.page(query(limit))).expect("a page"));
        });
    }
    group.finish();
    store.close();
}

criterion_group!(benches, accept, page);
criterion_main!(benches);
