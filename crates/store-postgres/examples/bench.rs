//! What the store costs beside the statements that it sends.
//!
//! ```text
//! cargo run --release -p tidings-store-postgres --example bench
//! ```
//!
//! starts a private server (with fsync) and prints, for 64 publishers: notifications a second in
//! requests of 100 and of one, each beside a bare loop of the same statements in batches of the
//! same size; then an announcement to 100,000 users; then pages of an inbox of 1,000,000 among
//! `ROWS` (2,000,000 unless set).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tidings_core::{
    announcement::BATCH,
    ids::UserId,
    inbox::{InboxChange, PageQuery},
    ports::{Accept, Announcements as _, ChangeSink, Inboxes as _},
    time::Timestamp,
};
use tidings_store_postgres::{Options, PostgresStore, migrations};
use tidings_testkit::{
    message,
    postgres::{Postgres, Settings},
    user,
};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

const PUBLISHERS: usize = 64;
const USERS: usize = 10_000;
const FOR: Duration = Duration::from_secs(5);
const NOW: i64 = 1_767_225_600_000;

struct Counting(AtomicU64);

impl ChangeSink for Counting {
    fn committed(&self, changes: Vec<Arc<InboxChange>>) {
        self.0.fetch_add(changes.len() as u64, Ordering::Relaxed);
    }
}

fn somebody(n: usize) -> UserId {
    user(&format!("user-{}", n.wrapping_mul(7_919) % USERS))
}

/// Notifications a second of the store, in requests of `size`.
async fn publish(store: &PostgresStore, size: usize) -> f64 {
    let (stored, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut tasks = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let (store, stored) = (store.clone(), stored.clone());
        tasks.spawn(async move {
            let mut n = publisher * 1_000_003;
            while begun.elapsed() < FOR {
                let now = Timestamp::from_millis(NOW);
                let messages = (0..size).map(|_| {
                    n += 1;
                    message(now).to(&[somebody(n)]).build()
                });
                let messages = messages.collect();
                store.accept(Accept { messages, idempotency: None, now }).await.unwrap();
                stored.fetch_add(size as u64, Ordering::Relaxed);
            }
        });
    }
    tasks.join_all().await;
    stored.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// The same statements, a batch of `size` after the other, on as many connections as there are
/// lanes: no queue, no rules, no domain.
async fn bare(url: &str, size: usize, connections: usize) -> f64 {
    let (stored, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut tasks = JoinSet::new();
    for lane in 0..connections {
        let (stored, url) = (stored.clone(), url.to_owned());
        tasks.spawn(async move {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            let connection = tokio::spawn(connection);
            let mut n = lane * 1_000_003;
            let bodies = Batch::prepare(&client).await;
            while begun.elapsed() < FOR {
                n += size;
                bodies.run(&client, n, size).await;
                stored.fetch_add(size as u64, Ordering::Relaxed);
            }
            drop(client);
            let _ = connection.await;
        });
    }
    tasks.join_all().await;
    stored.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

struct Batch([tokio_postgres::Statement; 5]);

impl Batch {
    async fn prepare(client: &Client) -> Self {
        client
            .batch_execute(
                "SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off;
                SET enable_mergejoin = off; SET enable_seqscan = off; SET jit = off",
            )
            .await
            .unwrap();
        let mut prepared = Vec::new();
        for sql in [
            "SELECT number, user_id, last_rev FROM inboxes WHERE user_id = ANY($1::text[]) ORDER BY user_id FOR NO KEY UPDATE",
            "SELECT id FROM messages WHERE id = ANY($1::uuid[])",
            "INSERT INTO messages (id, sent_at, recipients, body) SELECT id, 0, 1, $2::text FROM unnest($1::uuid[]) w (id)",
            "INSERT INTO inbox_items (message_id, inbox, seq, rev, changed_at, kind)
                SELECT id, b.number, b.last_rev + n, b.last_rev + n, 0, 'like'
                FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY w (id, user_id, n) JOIN inboxes b ON b.user_id = w.user_id",
            "UPDATE inboxes SET last_rev = last_rev + $2, unread = unread + $2 WHERE user_id = ANY($1::text[])",
        ] {
            prepared.push(client.prepare(sql).await.unwrap());
        }
        Self(prepared.try_into().unwrap())
    }

    async fn run(&self, client: &Client, n: usize, size: usize) {
        let Self([lock, known, messages, items, save]) = self;
        let to: Vec<_> = (n..n + size).map(|n| somebody(n).to_string()).collect();
        let ids: Vec<_> = (0..size).map(|_| tidings_testkit::new_id().0).collect();
        let body = serde_json::to_string(&message(Timestamp::from_millis(NOW)).build().message);
        let (body, taken) = (body.unwrap(), i64::try_from(size).unwrap());
        client.batch_execute("BEGIN").await.unwrap();
        client.query(lock, &[&to]).await.unwrap();
        client.query(known, &[&ids]).await.unwrap();
        client.execute(messages, &[&ids, &body]).await.unwrap();
        client.execute(items, &[&ids, &to]).await.unwrap();
        client.execute(save, &[&to, &taken]).await.unwrap();
        client.batch_execute("COMMIT").await.unwrap();
    }
}

async fn announce(store: &PostgresStore, client: &Client) {
    client
        .batch_execute(
            "INSERT INTO users (id, created_at) SELECT 'member-' || n, 0 FROM generate_series(1, 100000) n;
            ANALYZE users",
        )
        .await
        .unwrap();
    let now = Timestamp::from_millis(NOW);
    let messages = vec![message(now).to_all().build()];
    let begun = Instant::now();
    let accepted = store.accept(Accept { messages, idempotency: None, now }).await.unwrap();
    let mut served = 0;
    loop {
        let progress =
            store.advance_announcement(accepted.accepted[0].id, BATCH, now).await.unwrap();
        served += progress.added;
        if progress.finished {
            break;
        }
    }
    println!("announcement to {served} users: {:.2} s", begun.elapsed().as_secs_f64());
}

async fn pages(store: &PostgresStore, client: &Client, rows: usize) {
    let fill = format!(
        "INSERT INTO inboxes (user_id, last_rev) SELECT 'reader-' || n, 1000000 FROM generate_series(1, 10000) n;
        INSERT INTO messages (id, sent_at, recipients, body)
            SELECT (lpad(to_hex({NOW} - 100000 + n / 1000), 12, '0') || '-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 0, 1, $body${BODY}$body$
            FROM generate_series(1, {rows}) n;
        INSERT INTO inbox_items (message_id, inbox, seq, rev, changed_at, kind, read_at)
            SELECT (lpad(to_hex({NOW} - 100000 + n / 1000), 12, '0') || '-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid,
                b.number, n, n, 0, 'like', nullif(n % 2, 0)
            FROM generate_series(1, {rows}) n JOIN inboxes b ON b.user_id = 'reader-'
                || CASE WHEN n <= 1000000 THEN 1 ELSE 2 + n % 9999 END;
        ANALYZE"
    );
    client.batch_execute(&fill).await.unwrap();
    for unread_only in [false, true] {
        let mut times = Vec::new();
        for n in 0_u64..2_000 {
            let query = PageQuery {
                user: user("reader-1"),
                limit: 20,
                before: Some(tidings_core::ids::Rev(1_000_000 - n * 499)),
                page: None,
                unread_only,
                archived: false,
                kind: None,
                tenant: None,
            };
            let begun = Instant::now();
            assert_eq!(store.page(query).await.unwrap().notifications.len(), 20);
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        println!(
            "page of 20 of 1,000,000 among {rows} (unread only: {unread_only}): p50 {:?}, p99 {:?}",
            times[times.len() / 2],
            times[times.len() * 99 / 100],
        );
    }
}

const BODY: &str = r#"{"id":"019c1640-e400-7000-8000-00000000c351","type":"like","message":"Bob liked your post","data":{},"priority":1,"createdAt":"2026-01-01T00:00:00.000Z"}"#;

#[tokio::main]
async fn main() {
    let lanes = std::env::var("LANES").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let rows = std::env::var("ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000_000);
    let server = Postgres::start(&Settings { fsync: true, ..Settings::default() });
    let database = server.database();
    let url = database.url();
    migrations::up(&url.parse().unwrap()).await.unwrap();
    let sink = Arc::new(Counting(AtomicU64::new(0)));
    let options = Options { lanes, ..Options::new(url.parse().unwrap(), sink.clone()) };
    let store = PostgresStore::open(options).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    // Every inbox is there before anything is measured.
    publish(&store, 100).await;
    for size in [100, 1] {
        let ours = publish(&store, size).await;
        let gauges = store.stats();
        // Its batches are what queued meanwhile: about a publisher's request each, per lane.
        let batch = (PUBLISHERS * size / lanes).clamp(1, 2_000);
        let bare = bare(&url, batch, lanes).await;
        println!(
            "requests of {size}: {ours:.0}/s; bare loop in batches of {batch}: {bare:.0}/s ({:.2} x); {gauges:?}",
            bare / ours
        );
    }
    announce(&store, &client).await;
    pages(&store, &client, rows).await;
    store.close().await;
    drop(client);
    let _ = connection.await;
}
