use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tidings_core::{
    ids::Rev,
    ports::{Inboxes, StoreError, Users},
};
use tidings_testkit::user;
use tokio::task::JoinSet;

use super::Bench;
use crate::writer::{KEEPS_PAGES, Tx, Weight};

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn what_queued_up_during_a_commit_shares_the_next_one() {
    let bench = Bench::new();
    let held = bench.hold_writer().await;
    let mut waiting: Vec<_> =
        (0..100).map(|_| Box::pin(bench.store.accept(bench.request()))).collect();
    for accept in &mut waiting {
        assert!(poll_once(accept.as_mut()).is_pending());
    }
    assert_eq!(bench.store.queue_len(), 100);
    held.release().await;
    for accept in waiting {
        accept.await.unwrap();
    }
    let stats = bench.store.stats();
    assert_eq!((stats.queued, stats.writes, stats.batches), (0, 101, 2));
    assert_eq!(bench.sink.by_user()[&user("alice")].len(), 100);
}

#[tokio::test]
async fn who_goes_away_has_it_done_all_the_same() {
    let bench = Bench::new();
    let held = bench.hold_writer().await;
    for n in 0..20 {
        let mut accept = Box::pin(bench.store.accept(bench.request()));
        if n % 2 == 0 {
            // Polled once it is on its way; what was never polled was never asked for.
            assert!(poll_once(accept.as_mut()).is_pending());
        }
        drop(accept);
    }
    held.release().await;
    // Anything later is behind it in the queue.
    bench.store.accept(bench.request()).await.unwrap();
    assert_eq!(bench.store.state(&user("alice")).await.unwrap().rev, Rev(11));
    assert_eq!(bench.sink.by_user()[&user("alice")].len(), 11);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_does_nothing() {
    let bench = Bench::with(|options| crate::Options { queue: 3, ..options });
    let held = bench.hold_writer().await;
    let mut waiting: Vec<_> =
        (0..3).map(|_| Box::pin(bench.store.accept(bench.request()))).collect();
    for accept in &mut waiting {
        assert!(poll_once(accept.as_mut()).is_pending());
    }
    let refused = bench.store.accept(bench.request()).await;
    assert_eq!(refused.unwrap_err(), StoreError::Busy);
    assert_eq!(bench.store.queue_len(), 3);
    held.release().await;
    for accept in waiting {
        accept.await.unwrap();
    }
    assert_eq!(bench.store.state(&user("alice")).await.unwrap().rev, Rev(3));
    bench.store.accept(bench.request()).await.unwrap();
}

#[tokio::test]
async fn the_bytes_that_wait_are_bounded_too() {
    let bench = Bench::new();
    let held = bench.hold_writer().await;
    let large = Weight { rows: 1, bytes: 30 * 1024 * 1024 };
    let write = || Box::pin(bench.store.write(large, |_| Ok(())));
    let mut waiting = [write(), write()];
    for write in &mut waiting {
        assert!(poll_once(write.as_mut()).is_pending());
    }
    assert_eq!(write().await, Err(StoreError::Busy));
    // Small ones are refused as well: the memory is what is short.
    let small = Weight { rows: 1, bytes: 5 * 1024 * 1024 };
    assert_eq!(bench.store.write(small, |_| Ok(())).await, Err(StoreError::Busy));
    held.release().await;
    for write in waiting {
        write.await.unwrap();
    }
    // One that alone is larger than the bound finds its way through an empty queue.
    let huge = Weight { rows: 1, bytes: usize::MAX / 2 };
    bench.store.write(huge, |_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn closing_carries_out_what_waits_and_refuses_the_rest() {
    let bench = Bench::new();
    let held = bench.hold_writer().await;
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let (store, request) = (bench.store.clone(), bench.request());
        tasks.spawn(async move { store.accept(request).await });
    }
    while bench.store.queue_len() < 10 {
        tokio::task::yield_now().await;
    }
    let store = bench.store.clone();
    let closing = tokio::task::spawn_blocking(move || store.close());
    held.release().await;
    closing.await.unwrap();
    for outcome in tasks.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(bench.sink.all().len(), 10);
    let refused = bench.store.accept(bench.request()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    let refused = bench.store.state(&user("alice")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    bench.store.close();
}

#[tokio::test]
async fn what_is_there_already_costs_no_write() {
    let bench = Bench::new();
    let alice = user("alice");
    bench.store.accept(bench.request()).await.unwrap();
    bench.store.see_user(&alice, bench.clock.tick()).await.unwrap();
    bench.store.acknowledge(&alice, None, Rev(1), bench.clock.tick()).await.unwrap();
    let before = bench.store.stats();
    for _ in 0..5 {
        bench.store.see_user(&alice, bench.clock.tick()).await.unwrap();
        bench.store.acknowledge(&alice, None, Rev(9), bench.clock.tick()).await.unwrap();
    }
    assert_eq!(bench.store.stats(), before);
}

#[tokio::test]
async fn the_writer_keeps_many_pages_only_while_it_writes_to_inboxes() {
    let bench = Bench::new();
    let cache = async || {
        let read = |tx: &mut Tx<'_>| -> crate::failure::Result<i64> {
            Ok(tx.conn.pragma_query_value(None, "cache_size", |row| row.get(0))?)
        };
        bench.store.write(Weight::default(), read).await.unwrap()
    };
    let narrow = cache().await;
    bench.store.accept(bench.request()).await.unwrap();
    // More is more negative: these are not pages but KiB.
    while cache().await >= narrow {
        // The writer was alone for so long that it gave its pages back already.
        bench.store.accept(bench.request()).await.unwrap();
    }
    while cache().await != narrow {
        // Asking is a write too: it has to be left alone.
        tokio::time::sleep(2 * KEEPS_PAGES).await;
    }
    bench.store.accept(bench.request()).await.unwrap();
    assert_eq!(
        bench.store.state(&user("alice")).await.unwrap().unread,
        bench.sink.by_user()[&user("alice")].len() as u64
    );
}
