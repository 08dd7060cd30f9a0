//! The store layer without a server, beside a bare loop of the same statements.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use tidings_core::{
    ids::UserId,
    ports::{Accept, Store},
    time::Timestamp,
};
use tidings_testkit::{message, user};
use tokio::task::JoinSet;

use super::{BATCHES, PUBLISHERS, Place, Sizes, Subject, bare};
use crate::{
    gateway::{Grid, Measured},
    options::Scenario,
};

pub const USERS: usize = 10_000;
pub const NOW: i64 = 1_767_225_600_000;
/// As many connections as the store has lanes.
const LANES: usize = 3;

pub fn somebody(n: usize) -> UserId {
    user(&format!("user-{}", n.wrapping_mul(7_919) % USERS))
}

pub async fn measure(subjects: &[Subject], sizes: &Sizes) -> anyhow::Result<(Scenario, Measured)> {
    let columns = ["store/s", "bare loop/s", "bare loop ÷ store", "in a transaction"];
    let mut grid = Grid::new(
        format!("The store alone, {PUBLISHERS} callers, beside the same statements in a bare loop"),
        columns.map(str::to_owned).to_vec(),
    );
    for subject in subjects {
        // Every inbox is there before anything is measured.
        publish(&subject.store, 100, sizes).await?;
        for size in BATCHES {
            let before = subject.work();
            let store = publish(&subject.store, size, sizes).await?;
            let work = subject.work();
            let requests = (work.0 - before.0).div_ceil((work.1 - before.1).max(1));
            let batch = usize::try_from(requests)? * size;
            let bare = match &subject.place {
                Place::Sqlite { path, .. } => {
                    let (path, each) = (path.clone(), sizes.each);
                    tokio::task::spawn_blocking(move || bare::sqlite(&path, batch, each)).await??
                }
                Place::Postgres { url, .. } => {
                    bare::postgres(url, batch, LANES, sizes.each).await?
                }
            };
            grid.row(
                &format!("{}, {size} per request", subject.name),
                vec![vec![store], vec![bare], vec![bare / store], vec![batch as f64]],
            );
        }
    }
    grid.note(format!("The loop commits as many at a time as the store did on average (on PostgreSQL on {LANES} connections, in two round trips as the store), syncs as the store does, and has no queue, no rules, no callers. {:.1} s each, {USERS} users.", sizes.each.as_secs_f64()));
    Ok((Scenario::StoreAlone, grid.into()))
}

/// Notifications a second, in requests of `size`.
async fn publish(store: &Arc<dyn Store>, size: usize, sizes: &Sizes) -> anyhow::Result<f64> {
    let (stored, begun, each) = (Arc::new(AtomicU64::new(0)), Instant::now(), sizes.each);
    let mut tasks = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let (store, stored) = (store.clone(), stored.clone());
        tasks.spawn(async move {
            let mut n = publisher * 1_000_003;
            while begun.elapsed() < each {
                let now = Timestamp::from_millis(NOW);
                let one = |n| message(now).to(&[somebody(n)]).build();
                let messages = (n..n + size).map(one).collect();
                n += size;
                store.accept(Accept { messages, idempotency: None, now }).await?;
                stored.fetch_add(size as u64, Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(stored.load(Relaxed) as f64 / begun.elapsed().as_secs_f64())
}
