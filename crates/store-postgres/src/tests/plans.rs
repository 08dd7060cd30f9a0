//! Every walk of a large table uses the index that is meant for it, in its order.

use std::collections::HashMap;

use tidings_core::{ids::Rev, inbox::InboxOp, ports::Inboxes as _};
use tidings_testkit::user;
use tokio_postgres::{Client, types::Type};

use super::Bench;
use crate::{
    acknowledge, announcements, audience, books, change, dedupe, erasures, idempotency, inboxes,
    lane, maintenance, messages, open, page, prune, removal, retraction, rev_at, snapshot, sync,
    watermark,
};

/// Four months of 50,000 items each; alice has every fifth of them. Then statistics.
const FILL: &str = "
    INSERT INTO users (id, created_at) SELECT 'user-' || n, 0 FROM generate_series(1, 5000) n;
    INSERT INTO inboxes (user_id, last_rev) VALUES ('alice', 200000);
    INSERT INTO inboxes (user_id) SELECT 'user-' || n FROM generate_series(2, 5000) n;
    CREATE TEMP TABLE fill AS SELECT n, 1 + n / 50001 AS month,
        (lpad(to_hex((extract(epoch FROM make_timestamptz(2026, 1 + n / 50001, 1, 0, 0, 0, 'UTC'))
            * 1000)::bigint + n), 12, '0') || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id
        FROM (SELECT generate_series(1, 200000)) g (n);
    INSERT INTO messages (id, sent_at, expires_at, retracted_at, recipients, entity_type, entity_id, actor_id, body)
        SELECT id, n, nullif(n % 10, 0) * n, CASE WHEN n % 100 = 0 THEN n END, 1, 'post', 'post-' || n, 'user-' || n % 999, '{}' FROM fill;
    INSERT INTO memberships SELECT 'room-' || n % 100, 'user-' || n / 100 FROM fill WHERE n % 4 = 0 ON CONFLICT DO NOTHING;
    INSERT INTO audit_log (id, at, count, last_at, event, actor_kind, actor_id, user_id, detail)
        SELECT id, n, 1, n, 'x', CASE WHEN n % 8 = 0 THEN 'user' ELSE 'api_key' END, 'user-' || n % 999, 'user-' || n % 999, '{}' FROM fill WHERE n % 4 = 0;
    INSERT INTO websocket_connections (id, user_id, socket_id, node_id, client, ip, connected_at, token_hash, token_ends_at)
        SELECT id, 'user-' || n % 999, n, 'a', 'sse', '::1', n, '', 1 FROM fill WHERE n % 4 = 0;
    INSERT INTO inbox_items (message_id, inbox, seq, rev, changed_at, read_at, archived_at, kind)
        SELECT id, CASE WHEN n % 5 = 0 THEN 1 ELSE 2 + n % 4999 END, n, n, n,
            nullif(n % 2, 0), nullif(n % 3, 0), 'like' FROM fill;
    INSERT INTO tombstones SELECT 1 + n % 4999, n, id, n FROM fill WHERE n % 4 = 0;
    INSERT INTO dedupe SELECT 1 + n % 4999, 'key-' || n, id, n FROM fill WHERE n % 4 = 0;
    INSERT INTO devices SELECT 1 + n % 4999, 'device-' || n, n, n FROM fill WHERE n % 4 = 0;
    INSERT INTO idempotency SELECT 'app', 'key-' || n, '\\x00', '[]', '', n FROM fill WHERE n % 4 = 0;
    INSERT INTO announcements (id, state, to_all, last, total, created_at, run_at, finished_at)
        SELECT id, 'done', false, 1, 1, n, n, nullif(n % 200, 0) FROM fill WHERE n % 20 = 0;
    INSERT INTO announcement_recipients SELECT 1 + n % 9999, n, 'user-' || n % 999 FROM fill WHERE n % 4 = 0;
    DROP TABLE fill;
    ANALYZE";

/// Values that a statement could well have, so that no partition is out of the question.
fn sample(parameter: &Type) -> &'static str {
    match *parameter {
        Type::TEXT_ARRAY => "'{alice,user-7}'",
        Type::INT8_ARRAY => "'{1,7}'",
        Type::UUID_ARRAY => "'{019c1640-e400-7000-8000-00000000c351}'",
        Type::UUID => "'019c1640-e400-7000-8000-00000000c351'",
        Type::BYTEA_ARRAY => "'{}'",
        Type::TEXT => "'alice'",
        _ => "100",
    }
}

/// The plan that the store uses: made once, for any values. Indexes of months are given the
/// names that the schema knows.
async fn plan(client: &Client, names: &HashMap<String, String>, query: &str) -> String {
    let statement = client.prepare(query).await.unwrap();
    let types: Vec<_> = statement.params().iter().map(ToString::to_string).collect();
    let values: Vec<_> = statement.params().iter().map(sample).collect();
    let of = |list: &[String]| {
        if list.is_empty() { String::new() } else { format!("({})", list.join(", ")) }
    };
    let values: Vec<_> = values.into_iter().map(str::to_owned).collect();
    client.batch_execute(&format!("PREPARE p {} AS {query}", of(&types))).await.unwrap();
    let rows = client.query(&format!("EXPLAIN EXECUTE p {}", of(&values)), &[]).await.unwrap();
    client.batch_execute("DEALLOCATE p").await.unwrap();
    let named = |line: String| {
        line.split(' ')
            .map(|word| names.get(word).map_or(word, String::as_str).to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    rows.iter().map(|row| named(row.get(0))).collect::<Vec<_>>().join("\n")
}

async fn names(client: &Client) -> HashMap<String, String> {
    let indexes = "SELECT c.relname::text, p.relname::text FROM pg_inherits h
        JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_class p ON p.oid = h.inhparent
        WHERE p.relkind = 'I'";
    let rows = client.query(indexes, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Reads of one inbox.
const LISTS: &[(&str, &str, &str)] = &[
    ("inbox page", page::ALL.select, "inbox_items_page"),
    ("unread page", page::UNREAD.select, "inbox_items_unread"),
    ("archive", page::ARCHIVE.select, "inbox_items_archive"),
    ("unread archive", page::ARCHIVED_UNREAD.select, "inbox_items_archived_unread"),
    ("newest unread", open::NEWEST_UNREAD, "inbox_items_unread"),
    ("newest", sync::NEWEST, "inbox_items_page"),
    ("sync items", sync::ITEMS, "inbox_items_rev"),
    ("sync revs", sync::ITEM_REVS, "inbox_items_rev"),
    ("sync tombstones", sync::TOMBSTONES, "tombstones_pkey"),
    ("tombstone revs", sync::TOMBSTONE_REVS, "tombstones_pkey"),
    ("rev at", rev_at::ITEM, "inbox_items_rev"),
    ("tombstone at", rev_at::TOMBSTONE, "tombstones_pkey"),
];
const LOOKUPS: &[(&str, &str, &str)] = &[
    ("notification", messages::OF_INBOX, "inbox_items_pkey"),
    ("exists", messages::MAY_BE_HELD, "inbox_items_pkey"),
    ("inbox", inboxes::OF_USER, "inboxes_user_id_key"),
];
const BATCHES: &[(&str, &str, &str)] = &[
    ("known", messages::KNOWN, "messages_pkey"),
    ("make", inboxes::MAKE, "inboxes_user_id_key"),
    ("lock", inboxes::LOCK, "inboxes_user_id_key"),
    ("lock numbered", inboxes::LOCK_NUMBERED, "inboxes_pkey"),
    ("save", inboxes::SAVE, "inboxes_pkey"),
    ("claimed", idempotency::CLAIMED, "idempotency_pkey"),
    ("keep", idempotency::KEEP, "idempotency_pkey"),
    ("has the key", dedupe::FIND, "dedupe_pkey"),
    ("items of a batch", change::FIND, "inbox_items_pkey"),
    ("mark", books::MARKS, "inbox_items_pkey"),
    ("delete", books::DELETES, "inbox_items_pkey"),
    ("deliver", acknowledge::DELIVER, "inbox_items_page"),
    ("forget devices", acknowledge::FORGET_OTHERS, "devices_pkey"),
    ("take", announcements::TAKE, "announcements_id_key"),
    ("due", announcements::DUE, "announcements_due"),
    ("many due", announcements::MANY_DUE, "announcements_due"),
    ("serve", announcements::SERVE, "inboxes_user_id_key"),
    ("next of all", audience::NEXT_OF_ALL, "users_"),
    ("next listed", audience::NEXT_LISTED, "announcement_recipients_pkey"),
    ("read all", watermark::READ, "inbox_items_unread"),
    ("lowest", watermark::LOWEST, "inbox_items_page"),
    ("read all archived", watermark::READ_ARCHIVED, "inbox_items_archived_unread"),
    ("of rev", watermark::OF_REV, "inbox_items_rev"),
    ("any unread", watermark::ANY_UNREAD, "inbox_items_unread"),
    ("clear", watermark::UP_TO, "inbox_items_page"),
    ("clear all", watermark::DELETE, "inbox_items_page"),
    ("expired", maintenance::EXPIRED, "messages_expiry"),
    ("old", maintenance::OLD, "messages_sent"),
    ("outlived", maintenance::OUTLIVED, "messages_kept"),
    ("retracted", retraction::DUE, "messages_retracted"),
    ("holders", removal::HOLDERS, "inbox_items_pkey"),
    ("still there", removal::STILL_THERE, "inbox_items_pkey"),
    ("unheld", messages::DELETE_UNHELD, "inbox_items_pkey"),
    ("old tombstones", prune::OLDEST_TOMBSTONES, "tombstones_age"),
    ("old keys", prune::IDEMPOTENCY, "idempotency_age"),
    ("erased lists", erasures::steps::LISTED, "announcement_recipients_user"),
    ("erased items", erasures::steps::ITEMS, "inbox_items_"),
    ("erased tombstones", erasures::steps::TOMBSTONES, "tombstones_pkey"),
    ("erased actor", erasures::steps::ACTED, "messages_actor"),
    ("erased members", erasures::steps::MEMBERSHIPS, "memberships_"),
    ("erased connections", erasures::steps::CONNECTIONS, "websocket_connections_"),
    ("erased entries about", erasures::steps::AUDIT_ABOUT, "audit_log_user"),
    ("erased entries by", erasures::steps::AUDIT_BY, "audit_log_actor"),
    ("old dedupe keys", prune::DEDUPE, "dedupe_age"),
];

async fn check(client: &Client, statements: &[(&str, &str, &str)], wrong: impl Fn(&str) -> bool) {
    let names = names(client).await;
    for (name, query, index) in statements {
        let plan = plan(client, &names, query).await;
        assert!(plan.contains(index), "{name}:\n{plan}");
        let bad: Vec<_> = plan.lines().filter(|line| wrong(line)).collect();
        assert!(bad.is_empty(), "{name}: {bad:?}\n{plan}");
    }
}

#[tokio::test]
async fn large_tables_are_walked_by_their_indexes() {
    let bench = Bench::new().await;
    let client = bench.connect().await;
    client.batch_execute("SET plan_cache_mode = force_generic_plan; SET jit = off").await.unwrap();
    let january = "2026-01-01T00:00:00.000Z".parse().unwrap();
    crate::months::make_all(&bench.store.writer().await.unwrap(), january).await.unwrap();
    client.batch_execute(FILL).await.unwrap();
    assert_eq!(bench.count("SELECT count(*) FROM inbox_items_default").await, 0);
    let scans = |line: &str| line.contains("Seq Scan");
    client.batch_execute(snapshot::BEGIN).await.unwrap();
    let sorts = |line: &str| scans(line) || line.contains("Sort  (cost") || line.contains("Bitmap");
    check(&client, LISTS, sorts).await;
    check(&client, LOOKUPS, sorts).await;
    client.batch_execute("ROLLBACK").await.unwrap();
    // Of its own accord, too, the planner reads no month that is filled. (It would sort, and
    // would read the months to come, which is why it is not asked.)
    let filled = |line: &str| scans(line) && (1..=4).any(|n| line.contains(&format!("_2026_0{n}")));
    check(&client, LOOKUPS, filled).await;
    check(&client, LISTS, filled).await;
    client.batch_execute(lane::SETTINGS).await.unwrap();
    check(&client, BATCHES, scans).await;
    everything_is_read_and_cleared_in_steps(&bench).await;
}

/// Alice's items lie so far apart that it takes several.
async fn everything_is_read_and_cleared_in_steps(bench: &Bench) {
    let unread = "SELECT count(*) FROM inbox_items WHERE inbox = 1 AND read_at IS NULL";
    let shown = bench.count(&format!("{unread} AND archived_at IS NULL")).await;
    let count = format!("UPDATE inboxes SET unread = {shown} WHERE number = 1");
    bench.connect().await.batch_execute(&count).await.unwrap();
    let (alice, now) = (user("alice"), "2026-06-01T00:00:00.000Z".parse().unwrap());
    let all = bench.count(unread).await;
    let read = bench.store.change(&alice, InboxOp::ReadAll { up_to: None }, now).await.unwrap();
    assert_eq!((read.changed, read.state.unread), (all as u64, 0));
    assert_eq!(bench.count(unread).await, 0);
    let cleared = bench.store.change(&alice, InboxOp::Clear { up_to: None }, now).await.unwrap();
    assert_eq!((cleared.changed, cleared.state.rev), (40_000, Rev(200_002)));
    assert_eq!(bench.count("SELECT count(*) FROM inbox_items WHERE inbox = 1").await, 0);
}
