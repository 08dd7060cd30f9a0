//! Pages of a very large inbox among many others.

use std::time::Instant;

use anyhow::ensure;
use tidings_core::{ids::Rev, inbox::PageQuery};
use tidings_testkit::user;
use tokio_postgres::NoTls;

use super::{Place, Sizes, Subject, alone::NOW};
use crate::{
    gateway::{Grid, Measured},
    options::Scenario,
    stats::Samples,
};

const PAGE: usize = 20;
const LOOKS: usize = 2_000;
const BODY: &str = r#"{"id":"019c1640-e400-7000-8000-00000000c351","type":"like","message":"Bob liked your post","data":{},"priority":1,"createdAt":"2026-01-01T00:00:00.000Z"}"#;

/// Has SQL carried out behind the store's back.
pub async fn run_sql(subject: &Subject, sql: &str) -> anyhow::Result<()> {
    match &subject.place {
        Place::Sqlite { path, .. } => {
            let (path, sql) = (path.clone(), sql.to_owned());
            let running = move || rusqlite::Connection::open(path)?.execute_batch(&sql);
            Ok(tokio::task::spawn_blocking(running).await??)
        }
        Place::Postgres { url, .. } => {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            let connection = tokio::spawn(connection);
            client.batch_execute(sql).await?;
            drop(client);
            Ok(connection.await??)
        }
    }
}

/// The first inbox has `inbox` items, 9,999 others share the rest.
fn fill(subject: &Subject, Sizes { inbox, rows, .. }: &Sizes) -> String {
    match &subject.place {
        Place::Sqlite { .. } => format!(
            "PRAGMA synchronous = OFF; PRAGMA cache_size = -262144;
            CREATE TEMP TABLE fill AS SELECT coalesce(max(number), 0) AS base FROM messages;
            BEGIN;
            WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 10000)
                INSERT INTO inboxes (user_id, last_rev) SELECT 'reader-' || n, {rows} FROM s;
            WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})
                INSERT INTO messages (number, id, sent_at, recipients, body)
                SELECT base + n, unhex(printf('%012x', {NOW} - 100000 + n / 1000) || '70009000' || printf('%012x', n)),
                    0, 1, '{BODY}' FROM s, fill;
            WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})
                INSERT INTO inbox_items (inbox, seq, message, rev, changed_at, kind, read_at)
                SELECT (SELECT number FROM inboxes WHERE user_id = 'reader-'
                    || iif(n <= {inbox}, 1, 2 + n % 9999)), n, base + n, n, 0, 'like', nullif(n % 2, 0)
                FROM s, fill;
            COMMIT"
        ),
        Place::Postgres { .. } => {
            let id = format!("(lpad(to_hex({NOW} - 100000 + n / 1000), 12, '0') || '-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid");
            format!(
                "SET synchronous_commit = off;
                INSERT INTO inboxes (user_id, last_rev) SELECT 'reader-' || n, {rows} FROM generate_series(1, 10000) n;
                INSERT INTO messages (id, sent_at, recipients, body)
                    SELECT {id}, 0, 1, '{BODY}' FROM generate_series(1, {rows}) n;
                INSERT INTO inbox_items (message_id, inbox, seq, rev, changed_at, kind, read_at)
                    SELECT {id}, b.number, n, n, 0, 'like', nullif(n % 2, 0)
                    FROM generate_series(1, {rows}) n JOIN inboxes b ON b.user_id = 'reader-'
                        || CASE WHEN n <= {inbox} THEN 1 ELSE 2 + n % 9999 END;
                ANALYZE"
            )
        }
    }
}

pub async fn measure(subjects: &[Subject], sizes: &Sizes) -> anyhow::Result<(Scenario, Measured)> {
    let columns = ["page p50, ms", "p95", "p99", "unread page p50", "p95", "p99"];
    let mut grid = Grid::new(
        format!(
            "A page of {PAGE} of an inbox of {} among {} notifications",
            sizes.inbox, sizes.rows
        ),
        columns.map(str::to_owned).to_vec(),
    );
    for subject in subjects {
        run_sql(subject, &fill(subject, sizes)).await?;
        let mut figures = Vec::new();
        for unread_only in [false, true] {
            let samples = look(subject, sizes, unread_only).await?;
            figures.extend(samples.summary().map(|figure| vec![figure]));
        }
        grid.row(subject.name, figures);
    }
    grid.note(format!("{LOOKS} pages each, one at a time, spread over the whole inbox, every other item read. Rows: `ROWS` of `make bench-store`."));
    Ok((Scenario::StorePages, grid.into()))
}

async fn look(subject: &Subject, sizes: &Sizes, unread_only: bool) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    for n in 0..LOOKS {
        let before = sizes.inbox - n * (sizes.inbox - 4 * PAGE) / LOOKS;
        let query = PageQuery {
            user: user("reader-1"),
            limit: PAGE,
            before: Some(Rev(before as u64)),
            page: None,
            unread_only,
            archived: false,
            kind: None,
            tenant: None,
        };
        let begun = Instant::now();
        let page = subject.store.page(query).await?;
        samples.add(begun.elapsed());
        ensure!(page.notifications.len() == PAGE, "a page was not full");
    }
    Ok(samples)
}
