//! Months that go whole.

use std::time::Duration;

use tidings_core::{
    ids::{NotificationId, Rev},
    inbox::{ChangeKind, InboxOp},
    ports::{Accept, Inboxes as _, Maintenance as _},
    time::Timestamp,
};
use tidings_testkit::{message, user, users};

use super::Bench;

const DAY: Duration = Duration::from_secs(86_400);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Bench {
    async fn send(
        &self,
        to: &[tidings_core::ids::UserId],
        now: Timestamp,
        n: u8,
    ) -> NotificationId {
        let id = NotificationId::new_v7(now, [n; 10]);
        let messages = vec![message(now).id(id).to(to).build()];
        self.store.accept(Accept { messages, idempotency: None, now }).await.unwrap();
        id
    }

    async fn partitions(&self) -> Vec<String> {
        let client = self.connect().await;
        let rows = client
            .query(
                "SELECT c.relname::text FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
                WHERE h.inhparent = 'inbox_items'::regclass ORDER BY 1",
                &[],
            )
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test]
async fn months_are_made_ahead() {
    let bench = Bench::new().await;
    // This month, three to come and the default.
    assert_eq!(bench.partitions().await.len(), 5);
    let now = Timestamp::from_millis(
        bench.count("SELECT (extract(epoch FROM now()) * 1000)::bigint").await,
    );
    bench.send(&[user("alice")], now, 1).await;
    assert_eq!(bench.count("SELECT count(*) FROM inbox_items_default").await, 0);
    assert_eq!(bench.count("SELECT count(*) FROM messages_default").await, 0);
    // What no month is for is kept all the same.
    bench.send(&[user("alice")], at("2020-01-01T00:00:00.000Z"), 1).await;
    assert_eq!(bench.count("SELECT count(*) FROM inbox_items_default").await, 1);
    assert_eq!(bench.store.state(&user("alice")).await.unwrap().unread, 2);
}

#[tokio::test]
async fn a_month_that_is_over_goes_whole_and_counters_stay_right() {
    let bench = Bench::new().await;
    let server = Timestamp::from_millis(
        bench.count("SELECT (extract(epoch FROM now()) * 1000)::bigint").await,
    );
    let now = crate::months::start_of_month(server).plus(DAY);
    let long_ago = crate::months::start_of_month(now.minus(60 * DAY)).plus(DAY);
    let conn = bench.store.writer().await.unwrap();
    crate::months::make_all(&conn, long_ago).await.unwrap();
    drop(conn);
    let before = bench.partitions().await;
    let (alice, people) = (user("alice"), users("user", 50));
    let old: Vec<_> = {
        let mut old = Vec::new();
        for n in 0..3 {
            old.push(bench.send(std::slice::from_ref(&alice), long_ago, n).await);
        }
        old
    };
    bench.send(&people, long_ago, 9).await;
    let kept = bench.send(std::slice::from_ref(&alice), now, 1).await;
    bench.store.change(&alice, InboxOp::Read(vec![old[0]]), now).await.unwrap();
    bench.sink.take();
    let mut rounds = 0;
    while bench.store.retain(now.minus(20 * DAY), now, 10).await.unwrap() > 0 {
        rounds += 1;
    }
    assert!(rounds > 3, "in batches: {rounds}");
    assert_eq!(bench.partitions().await.len(), before.len() - 1, "{before:?}");
    assert_eq!(bench.count("SELECT count(*) FROM retired_months").await, 0);
    assert_eq!(bench.count("SELECT count(*) FROM inbox_items").await, 1);
    assert_eq!(bench.count("SELECT count(*) FROM messages").await, 1);
    let state = bench.store.state(&alice).await.unwrap();
    assert_eq!((state.rev, state.unread, state.floor), (Rev(6), 1, Rev(6)));
    let changes = bench.sink.take();
    assert_eq!(changes.len(), 51, "one for each user");
    let of_alice = changes.iter().find(|change| change.user == alice).unwrap();
    assert!(matches!(&of_alice.kind, ChangeKind::Removed(ids) if *ids == old));
    assert_eq!((of_alice.rev, of_alice.unread), (Rev(6), 1));
    // Clients from below start over; who follows goes on.
    let sync = bench.store.sync(&alice, Rev(5), 10).await.unwrap();
    assert_eq!((sync.reset, sync.items.len(), sync.items[0].item.id), (true, 1, kept));
    assert!(!bench.store.sync(&alice, Rev(6), 10).await.unwrap().reset);
    for user in &people {
        assert_eq!(bench.store.state(user).await.unwrap().unread, 0);
    }
}

#[tokio::test]
async fn a_month_in_which_something_was_written_ahead_goes_by_rows() {
    let bench = Bench::new().await;
    let server = Timestamp::from_millis(
        bench.count("SELECT (extract(epoch FROM now()) * 1000)::bigint").await,
    );
    let now = crate::months::start_of_month(server).plus(DAY);
    let long_ago = crate::months::start_of_month(now.minus(60 * DAY)).plus(DAY);
    let conn = bench.store.writer().await.unwrap();
    crate::months::make_all(&conn, long_ago).await.unwrap();
    drop(conn);
    let months = bench.partitions().await.len();
    bench.send(&[user("alice")], long_ago, 1).await;
    let ahead = NotificationId::new_v7(long_ago, [2; 10]);
    let messages = vec![message(long_ago).id(ahead).send_at(now.plus(DAY)).build()];
    let accept = Accept { messages, idempotency: None, now: long_ago };
    bench.store.accept(accept).await.unwrap();
    assert_eq!(bench.store.retain(now.minus(20 * DAY), now, 10).await.unwrap(), 1);
    assert_eq!(bench.partitions().await.len(), months);
    assert!(bench.store.exists(ahead).await.unwrap());
}

#[tokio::test]
async fn a_month_that_something_is_just_written_to_is_not_made() {
    const WAITS: &str = "SELECT count(*) FROM pg_locks
        WHERE relation = 'messages_default'::regclass AND NOT granted";
    let bench = Bench::new().await;
    let server = Timestamp::from_millis(
        bench.count("SELECT (extract(epoch FROM now()) * 1000)::bigint").await,
    );
    bench.send(&[user("alice")], server, 1).await;
    let long_ago = crate::months::start_of_month(server.minus(60 * DAY)).plus(DAY);
    let writer = bench.connect().await;
    let id = NotificationId::new_v7(long_ago, [2; 10]);
    let write = format!(
        "BEGIN;
        CREATE TEMPORARY TABLE one ON COMMIT DROP AS SELECT * FROM messages;
        UPDATE one SET id = '{}';
        INSERT INTO messages SELECT * FROM one",
        id.0
    );
    writer.batch_execute(&write).await.unwrap();
    let conn = bench.store.writer().await.unwrap();
    let making = tokio::spawn(async move { crate::months::make_all(&conn, long_ago).await });
    while !making.is_finished() && bench.count(WAITS).await == 0 {}
    writer.batch_execute("COMMIT").await.unwrap();
    making.await.unwrap().unwrap();
    assert_eq!(bench.count("SELECT count(*) FROM messages_default").await, 1);
}
