//! The walks of a large inbox use an index, in its order: never a scan, never a sort.

use rusqlite::Connection;

use super::Bench;
use crate::{open, page, sync};

const FILL: &str = "
    INSERT INTO inboxes (number, user_id, last_rev, unread)
        VALUES (1, 'alice', 20000, 10000), (2, 'bob', 100, 100);
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
        INSERT INTO messages (number, id, sent_at, recipients, body)
        SELECT n, randomblob(16), n, 1, '{}' FROM n;
    INSERT INTO inbox_items (inbox, archived, seq, message, rev, changed_at, read_at, kind)
        SELECT iif(number % 200 = 0, 2, 1), number % 3 = 0, number, number, number, number,
            iif(number % 2, NULL, 1), 'like' FROM messages;
    INSERT INTO tombstones (inbox, rev, message_id, deleted_at)
        SELECT 1, number, id, number FROM messages;";

fn plan(conn: &Connection, query: &str) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
    let blanks = vec![rusqlite::types::Null; statement.parameter_count()];
    let details = statement
        .query_map(rusqlite::params_from_iter(blanks), |row| row.get::<_, String>(3))
        .unwrap();
    details.collect::<Result<Vec<_>, _>>().unwrap().join("\n")
}

fn check(conn: &Connection) {
    for (name, query, walk) in [
        ("inbox page", page::ALL, "SEARCH i USING PRIMARY KEY (inbox=? AND archived=? AND seq<?)"),
        (
            "unread page",
            page::UNREAD,
            "INDEX inbox_items_unread (inbox=? AND archived=? AND seq<?)",
        ),
        ("newest unread", open::NEWEST_UNREAD, "INDEX inbox_items_unread (inbox=? AND archived=?)"),
        ("newest", sync::NEWEST, "SEARCH i USING PRIMARY KEY (inbox=? AND archived=?)"),
        ("sync items", sync::ITEMS, "INDEX inbox_items_rev (inbox=? AND rev>? AND rev<?)"),
        ("sync revs", sync::ITEM_REVS, "COVERING INDEX inbox_items_rev (inbox=? AND rev>?)"),
        ("tombstones", sync::TOMBSTONES, "SEARCH tombstones USING PRIMARY KEY (inbox=? AND rev>?"),
        ("tombstone revs", sync::TOMBSTONE_REVS, "SEARCH tombstones USING PRIMARY KEY (inbox=?"),
    ] {
        let plan = plan(conn, query);
        assert!(plan.contains(walk), "{name}:\n{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{name}:\n{plan}");
    }
}

#[test]
fn lists_walk_an_index_whatever_the_statistics_say() {
    let bench = Bench::new();
    bench.store.close();
    let conn = Connection::open(bench.dir.path().join("tidings.db")).unwrap();
    check(&conn);
    conn.execute_batch(FILL).unwrap();
    check(&conn);
    conn.execute_batch("ANALYZE").unwrap();
    check(&conn);
}
