//! The statements of the stores' hottest path, one batch after the other.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::params;
use tidings_core::time::Timestamp;
use tidings_testkit::{message, new_id};
use tokio::task::JoinSet;
use tokio::try_join;
use tokio_postgres::{Client, NoTls, Statement};

use super::alone::{NOW, somebody};

fn body() -> anyhow::Result<String> {
    Ok(serde_json::to_string(&message(Timestamp::from_millis(NOW)).build().message)?)
}

/// Notifications a second, committed `batch` at a time.
pub fn sqlite(path: &Path, batch: usize, each: Duration) -> anyhow::Result<f64> {
    let conn = rusqlite::Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -16384")?;
    let mut known = conn.prepare("SELECT recipients FROM messages WHERE id = ?1")?;
    let mut insert = conn
        .prepare("INSERT INTO messages (id, sent_at, recipients, body) VALUES (?1, ?2, 1, ?3)")?;
    let mut take = conn.prepare(
        "INSERT INTO inboxes (user_id, last_rev, unread, changed_at) VALUES (?1, 1, 1, ?2)
        ON CONFLICT (user_id) DO UPDATE SET last_rev = last_rev + 1, unread = unread + 1,
            changed_at = max(changed_at, ?2)
        RETURNING number, last_rev",
    )?;
    let mut add = conn.prepare(
        "INSERT INTO inbox_items (inbox, seq, rev, message, changed_at, kind)
        VALUES (?1, ?2, ?2, ?3, ?4, 'like')",
    )?;
    let (begun, mut stored) = (Instant::now(), 0);
    while begun.elapsed() < each {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        for n in stored..stored + batch {
            let (id, body) = (*new_id().0.as_bytes(), body()?);
            known.exists([id])?;
            insert.execute(params![id, NOW, body])?;
            let number = conn.last_insert_rowid();
            let (inbox, seq): (i64, i64) = take
                .query_row(params![somebody(n).as_str(), NOW], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            add.execute([inbox, seq, number, NOW])?;
        }
        conn.execute_batch("COMMIT")?;
        stored += batch;
    }
    Ok(stored as f64 / begun.elapsed().as_secs_f64())
}

/// The same on PostgreSQL, on several connections at once.
pub async fn postgres(
    url: &str,
    batch: usize,
    connections: usize,
    each: Duration,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for lane in 0..connections {
        let url = url.to_owned();
        tasks.spawn(async move {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            let connection = tokio::spawn(connection);
            let batches = Batches::prepare(&client).await?;
            let (mut n, mut stored) = (lane * 1_000_003, 0);
            while begun.elapsed() < each {
                batches.run(&client, n, batch).await?;
                n += batch;
                stored += batch;
            }
            drop(client);
            connection.await??;
            anyhow::Ok(stored)
        });
    }
    let mut stored = 0;
    while let Some(done) = tasks.join_next().await {
        stored += done??;
    }
    Ok(stored as f64 / begun.elapsed().as_secs_f64())
}

struct Batches {
    sign: Statement,
    make: Statement,
    lock: Statement,
    known: Statement,
    messages: Statement,
    items: Statement,
    save: Statement,
    lane: uuid::Uuid,
}

impl Batches {
    async fn prepare(client: &Client) -> anyhow::Result<Self> {
        client
            .batch_execute(
                "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off;
                SET enable_hashjoin = off; SET enable_mergejoin = off",
            )
            .await?;
        let prepare = |sql| client.prepare(sql);
        Ok(Self {
            sign: prepare(
                "INSERT INTO lanes (id, transaction, at) VALUES ($1, 0, 0)
                ON CONFLICT (id) DO UPDATE SET transaction = lanes.transaction + 1",
            )
            .await?,
            make: prepare(
                "INSERT INTO inboxes (user_id) SELECT u FROM unnest($1::text[]) u
                WHERE NOT EXISTS (SELECT 1 FROM inboxes WHERE user_id = u)
                ORDER BY u ON CONFLICT DO NOTHING",
            )
            .await?,
            lock: prepare(
                "SELECT number, user_id, last_rev, unread FROM inboxes
                WHERE user_id = ANY($1::text[]) ORDER BY user_id FOR NO KEY UPDATE",
            )
            .await?,
            known: prepare("SELECT id FROM messages WHERE id = ANY($1::uuid[])").await?,
            messages: prepare(
                "INSERT INTO messages (id, sent_at, recipients, body)
                SELECT id, $3::bigint, 1, body FROM unnest($1::uuid[], $2::text[]) w (id, body)",
            )
            .await?,
            items: prepare(
                "INSERT INTO inbox_items (message_id, inbox, seq, rev, changed_at, kind)
                SELECT id, inbox, seq, seq, $4::bigint, 'like'
                FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) w (id, inbox, seq)",
            )
            .await?,
            save: prepare(
                "UPDATE inboxes b SET last_rev = w.rev, unread = w.unread, changed_at = $4::bigint
                FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) w (number, rev, unread)
                WHERE b.number = w.number",
            )
            .await?,
            lane: uuid::Uuid::new_v4(),
        })
    }

    /// Two round trips, as in the store: lock and read, then write and commit.
    async fn run(&self, client: &Client, n: usize, size: usize) -> anyhow::Result<()> {
        let to: Vec<_> = (n..n + size).map(|n| somebody(n).to_string()).collect();
        let ids: Vec<_> = (0..size).map(|_| new_id().0).collect();
        let bodies = (0..size).map(|_| body()).collect::<anyhow::Result<Vec<_>>>()?;
        let (lane, users, new): ([_; 1], [_; 1], [_; 1]) =
            ([&self.lane as _], [&to as _], [&ids as _]);
        let (_, _, _, locked, _) = try_join!(
            client.batch_execute("BEGIN"),
            client.execute(&self.sign, &lane),
            client.execute(&self.make, &users),
            client.query(&self.lock, &users),
            client.query(&self.known, &new),
        )?;
        let mut inboxes = std::collections::HashMap::new();
        for row in &locked {
            let counters: (i64, i64, i64) = (row.get(0), row.get(2), row.get(3));
            inboxes.insert(row.get::<_, &str>(1), counters);
        }
        let (mut numbers, mut seqs) = (Vec::new(), Vec::new());
        for user in &to {
            let inbox = inboxes.entry(user).or_default();
            inbox.1 += 1;
            inbox.2 += 1;
            numbers.push(inbox.0);
            seqs.push(inbox.1);
        }
        let saved: Vec<_> = inboxes.values().collect();
        let column = |of: fn(&(i64, i64, i64)) -> i64| saved.iter().map(|one| of(one)).collect();
        let (keys, revs, unread): (Vec<i64>, Vec<i64>, Vec<i64>) =
            (column(|one| one.0), column(|one| one.1), column(|one| one.2));
        let (messages, items, save): ([_; 3], [_; 4], [_; 4]) = (
            [&ids as _, &bodies as _, &NOW as _],
            [&ids as _, &numbers as _, &seqs as _, &NOW as _],
            [&keys as _, &revs as _, &unread as _, &NOW as _],
        );
        try_join!(
            client.execute(&self.messages, &messages),
            client.execute(&self.items, &items),
            client.execute(&self.save, &save),
            client.batch_execute("COMMIT"),
        )?;
        Ok(())
    }
}
