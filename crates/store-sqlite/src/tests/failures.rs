use std::sync::Arc;

use tidings_core::{
    inbox::InboxChange,
    ports::{ChangeSink, Inboxes, Maintenance, StoreError},
};
use tidings_testkit::{RecordingSink, message, user};
use tokio::sync::mpsc;

use super::Bench;
use crate::{
    Synchronous, connection,
    writer::{Gauges, Job, Tx, Weight, Write, Writer},
};

fn is_unavailable<T: std::fmt::Debug>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

/// SQLite answers a database that may not grow as it answers a full disk.
async fn limit_pages(bench: &Bench, pages: i64) {
    let limit = move |tx: &mut Tx<'_>| {
        let current: i64 = tx.conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let most = format!("PRAGMA max_page_count = {}", current + pages);
        Ok(tx.conn.query_row(&most, [], |_| Ok(()))?)
    };
    bench.store.write(Weight::default(), limit).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_leaves_no_trace() {
    let bench = Bench::new();
    limit_pages(&bench, 30).await;
    let mut accepted = 0;
    let failed = loop {
        let now = bench.clock.tick();
        let long = message(now).with(|parts| parts.message = "x".repeat(3_000)).build();
        let id = long.message.id;
        let request = tidings_core::ports::Accept { messages: vec![long], idempotency: None, now };
        match bench.store.accept(request).await {
            Ok(_) => accepted += 1,
            failed => {
                assert!(is_unavailable(&failed), "{failed:?}");
                break id;
            }
        }
        assert!(accepted < 1_000);
    };
    assert!(accepted > 0);
    let alice = user("alice");
    let state = bench.store.state(&alice).await.unwrap();
    assert_eq!((state.rev.0, state.unread), (accepted, accepted));
    assert!(bench.store.notification(&alice, failed).await.unwrap().is_none());
    assert_eq!(bench.sink.by_user()[&alice].len() as u64, accepted);
    assert!(bench.store.stats().failed_batches > 0);
    // With room again it goes on where it was.
    limit_pages(&bench, 10_000).await;
    bench.store.accept(bench.request()).await.unwrap();
    assert_eq!(bench.store.state(&alice).await.unwrap().rev.0, accepted + 1);
}

/// A writer of its own, on a connection where a commit can be made to fail: a deferred foreign
/// key is looked at when the transaction ends.
struct Fragile {
    queue: mpsc::Sender<Box<dyn Job>>,
    sink: Arc<RecordingSink>,
    thread: std::thread::JoinHandle<()>,
}

impl Fragile {
    fn new(bench: &Bench) -> Self {
        let path = bench.dir.path().join("tidings.db");
        let conn = connection::open_writer(&path, Synchronous::Normal).unwrap();
        conn.execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TABLE parents (id INTEGER PRIMARY KEY);
             CREATE TABLE children (
                 parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED
             );",
        )
        .unwrap();
        let (sender, queue) = mpsc::channel(100);
        let sink = RecordingSink::new();
        let gauges = Arc::<Gauges>::default();
        let cache = Arc::new(crate::cache::Cache::new());
        let writer = Writer { conn, queue, sink: sink.clone(), gauges, cache, keeps_many: false };
        // Started by `go`, so that the batch is known.
        let thread = std::thread::spawn(move || {
            std::thread::park();
            writer.run();
        });
        Self { queue: sender, sink, thread }
    }

    fn go(&self) {
        self.thread.thread().unpark();
    }

    fn send(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> crate::failure::Result<()> + Send + 'static,
    ) -> tokio::sync::oneshot::Receiver<Result<(), StoreError>> {
        let (job, answer) = Write::boxed(Weight::default(), work);
        assert!(self.queue.try_send(job).is_ok());
        answer
    }
}

fn accept_into(bench: &Bench) -> impl FnOnce(&mut Tx<'_>) -> crate::failure::Result<()> + use<> {
    let request = bench.request();
    move |tx| crate::accept::accept(tx, request).map(drop)
}

#[tokio::test]
async fn a_commit_that_fails_is_unavailable_to_all_of_its_batch() {
    let bench = Bench::new();
    let fragile = Fragile::new(&bench);
    let before = fragile.send(accept_into(&bench));
    let bad = fragile.send(|tx| {
        tx.conn.execute("INSERT INTO children (parent) VALUES (1)", [])?;
        Ok(())
    });
    let after = fragile.send(accept_into(&bench));
    fragile.go();
    for answer in [before, bad, after] {
        assert!(is_unavailable(&answer.await.unwrap()));
    }
    assert!(fragile.sink.all().is_empty());
    assert_eq!(bench.store.state(&user("alice")).await.unwrap().rev.0, 0);
    fragile.send(accept_into(&bench)).await.unwrap().unwrap();
    assert_eq!(bench.store.state(&user("alice")).await.unwrap().rev.0, 1);
    assert_eq!(fragile.sink.by_user().len(), 1);
    drop(fragile.queue);
    fragile.thread.join().unwrap();
}

#[tokio::test]
async fn a_write_that_fails_or_panics_is_undone_alone() {
    let bench = Bench::new();
    let fragile = Fragile::new(&bench);
    let before = fragile.send(accept_into(&bench));
    let accept = accept_into(&bench);
    let failing = fragile.send(move |tx| {
        accept(tx)?;
        Err(StoreError::IdempotencyMismatch.into())
    });
    let accept = accept_into(&bench);
    let panicking = fragile.send(move |tx| {
        accept(tx)?;
        panic!("on purpose");
    });
    let after = fragile.send(accept_into(&bench));
    fragile.go();
    before.await.unwrap().unwrap();
    assert_eq!(failing.await.unwrap(), Err(StoreError::IdempotencyMismatch));
    assert!(matches!(panicking.await.unwrap(), Err(StoreError::Internal(_))));
    after.await.unwrap().unwrap();
    // The two that stayed have contiguous revs, and only of them was anything heard.
    assert_eq!(bench.store.state(&user("alice")).await.unwrap().rev.0, 2);
    assert_eq!(fragile.sink.by_user()[&user("alice")].len(), 2);
    drop(fragile.queue);
    fragile.thread.join().unwrap();
}

struct Panics;

impl ChangeSink for Panics {
    fn committed(&self, _: Vec<Arc<InboxChange>>) {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn a_sink_that_panics_does_not_stop_the_writer() {
    let bench = Bench::with(|options| crate::Options { sink: Arc::new(Panics), ..options });
    for _ in 0..3 {
        bench.store.accept(bench.request()).await.unwrap();
    }
    assert_eq!(bench.store.state(&user("alice")).await.unwrap().rev.0, 3);
}

#[tokio::test]
async fn a_read_that_panics_gives_its_connection_back() {
    let bench = Bench::with(|options| crate::Options { readers: 1, ..options });
    for _ in 0..3 {
        let outcome = bench.store.read(|_| -> crate::failure::Result<()> { panic!() }).await;
        assert!(matches!(outcome, Err(StoreError::Internal(_))));
    }
    bench.store.ping().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_reads_cannot_write() {
    let bench = Bench::new();
    let outcome = bench.store.read(|conn| Ok(conn.execute("DELETE FROM users", [])?)).await;
    assert!(outcome.is_err());
}

#[tokio::test]
async fn with_too_many_announcements_due_one_more_is_refused_and_messages_are_not() {
    use tidings_core::{announcement::MAX_DUE, notification::Recipients};
    let bench = Bench::new();
    let fill = |tx: &mut Tx<'_>| {
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO announcements (id, state, to_all, last, total, created_at, run_at)
            SELECT randomblob(16), 'running', 1, 0, 0, 0, 0 FROM n";
        Ok(tx.conn.execute(many, [MAX_DUE as i64]).map(drop)?)
    };
    bench.store.write(Weight::default(), fill).await.unwrap();
    let mut to_all = bench.request();
    to_all.messages[0].recipients = Recipients::All;
    assert_eq!(bench.store.accept(to_all.clone()).await, Err(StoreError::Busy));
    let several = vec![bench.request(), to_all.clone(), bench.request()];
    let outcomes = bench.store.accept_in_order(several.clone()).await.unwrap();
    assert!(matches!(outcomes[..], [Ok(_), Err(StoreError::Busy)]), "it keeps the order");
    let exists = async |n: usize| bench.store.exists(several[n].messages[0].message.id).await;
    assert_eq!(
        (exists(0).await, exists(1).await, exists(2).await),
        (Ok(true), Ok(false), Ok(false))
    );
    to_all.messages[0].send_at = Some(to_all.now.plus(std::time::Duration::from_secs(60)));
    assert!(bench.store.accept(to_all).await.is_ok(), "what is for later does not wait yet");
    assert!(bench.store.accept(bench.request()).await.is_ok(), "nor does what goes at once");
}
