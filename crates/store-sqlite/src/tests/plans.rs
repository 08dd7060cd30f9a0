//! The walks of a large inbox use an index, in its order: never a scan, never a sort.

use rusqlite::Connection;
use tidings_core::{
    audit::{AuditFilter, EventName},
    connection::ConnectionFilter,
    ids::{RoomId, UserId},
};

use super::Bench;
use crate::{
    acknowledge, announcements, audience, audit, change, connections, dedupe, erasures, inboxes,
    maintenance, messages, open, page, prune, removal, retraction, revocations, sync, watermark,
};

const FILL: &str = "
    INSERT INTO inboxes (number, user_id, last_rev, unread)
        VALUES (1, 'alice', 20000, 10000), (2, 'bob', 100, 100);
    WITH RECURSIVE n (n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
        INSERT INTO inboxes (number, user_id) SELECT n, 'user-' || n FROM n;
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
        INSERT INTO messages (number, id, sent_at, recipients, body)
        SELECT n, randomblob(16), n, 1, '{}' FROM n;
    INSERT INTO inbox_items (inbox, archived, seq, message, rev, changed_at, read_at, kind)
        SELECT iif(number % 200 = 0, 2, 1), number % 3 = 0, number, number, number, number,
            iif(number % 2, NULL, 1), 'like' FROM messages;
    INSERT INTO tombstones (inbox, rev, message_id, deleted_at)
        SELECT 1, number, id, number FROM messages;
    INSERT INTO audit_log (id, at, count, last_at, event, actor_kind, ip, user_id, room_id, detail)
        SELECT id, number, 1, number, 'token.refused', 'anonymous', '127.0.0.' || number % 9,
            'user-' || number % 99, iif(number % 2, NULL, 'post:1'), '{}' FROM messages;
    INSERT INTO nodes (id, seen_at) VALUES ('a', 1), ('b', 2);
    INSERT INTO websocket_connections (id, user_id, socket_id, node_id, client, ip, connected_at,
            disconnected_at, token_hash, token_ends_at)
        SELECT id, iif(number % 2, 'alice', 'user-' || number % 99), number, 'a', 'sse', '::1', number,
            iif(number % 20, number, NULL), id, 1 FROM messages;";

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

/// Upkeep finds its rows by an index too; it may sort the few that it takes.
fn check_upkeep(conn: &Connection) {
    for (name, query, walk) in [
        ("expired", maintenance::EXPIRED, "INDEX messages_expiry (expires_at"),
        ("old", maintenance::OLD, "INDEX messages_sent (sent_at<?)"),
        ("outlived", maintenance::OUTLIVED, "INDEX messages_kept (keep_until"),
        ("erasures due", erasures::DUE, "INDEX erasures_due"),
        ("erased lists", erasures::steps::LISTED, "INDEX announcement_recipients_user (user_id=?)"),
        ("erased items", erasures::steps::ITEMS, "(inbox=?)"),
        ("erased tombstones", erasures::steps::TOMBSTONES, "PRIMARY KEY (inbox=?)"),
        ("erased actor", erasures::steps::ACTED, "INDEX messages_actor (actor_id=? AND id<?)"),
        ("erased members", erasures::steps::MEMBERSHIPS, "INDEX memberships_user (user_id=?)"),
        (
            "erased connections",
            erasures::steps::CONNECTIONS,
            "INDEX websocket_connections_user (user_id=? AND id<?)",
        ),
        (
            "erased entries",
            erasures::steps::AUDIT_ABOUT,
            "INDEX audit_log_user (user_id=? AND id<?)",
        ),
        (
            "erased entries",
            erasures::steps::AUDIT_BY,
            "INDEX audit_log_actor (actor_id=? AND id<?)",
        ),
        ("due", announcements::DUE, "INDEX announcements_due (run_at<?)"),
        ("retracted", retraction::DUE, "INDEX messages_retracted"),
        ("floors", prune::HIGHEST, "INDEX tombstones_age (deleted_at<?)"),
        ("tombstones", prune::TOMBSTONES, "INDEX tombstones_age (deleted_at<?)"),
        ("idempotency", prune::IDEMPOTENCY, "INDEX idempotency_age (created_at<?)"),
        ("dedupe", prune::DEDUPE, "INDEX dedupe_age (created_at<?)"),
        ("holders", removal::HOLDERS, "INDEX inbox_items_message (message=?)"),
        ("item by id", change::FIND, "INDEX inbox_items_message (message=? AND inbox=?)"),
        ("notification", messages::OF_INBOX, "INDEX inbox_items_message (message=? AND inbox=?)"),
        ("exists", messages::MAY_BE_HELD, "INDEX inbox_items_message (message=?)"),
        ("held", messages::HELD, "INDEX inbox_items_message (message=?)"),
        ("known", messages::KNOWN, "SEARCH m USING INDEX sqlite_autoindex_messages_1 (id=?)"),
        ("job", announcements::JOB, "SEARCH a USING INDEX sqlite_autoindex_announcements_1 (id=?)"),
        ("has the key", dedupe::FIND, "SEARCH d USING PRIMARY KEY (inbox=? AND key=?)"),
        ("next of all", audience::NEXT_OF_ALL, "PRIMARY KEY (rowid>? AND rowid<?)"),
        ("next listed", audience::NEXT_LISTED, "(announcement=? AND position>? AND position<?)"),
        ("any unread", watermark::ANY_UNREAD, "(inbox=? AND archived=? AND seq<?)"),
        ("clear all", watermark::DELETE, "PRIMARY KEY (inbox=? AND archived=? AND seq<?)"),
        ("read all", watermark::READ, "inbox_items_unread (inbox=? AND archived=? AND seq<?)"),
        ("clear", watermark::UP_TO, "PRIMARY KEY (inbox=? AND archived=? AND seq<?)"),
        ("deliver", acknowledge::DELIVER, "(inbox=? AND archived=? AND seq>? AND seq<?)"),
        ("old audit entries", audit::PURGE, "SEARCH audit_log USING PRIMARY KEY (id<?)"),
        ("ended revocations", revocations::PURGE, "INDEX revocations_end (ends_at<?)"),
        ("new revocations", revocations::SINCE, "INDEX revocations_new (revoked_at>?)"),
        ("close silent", connections::CLOSE_SILENT, "websocket_connections_open (node_id=?)"),
        ("close restarted", connections::CLOSE_RESTARTED, "(node_id=? AND connected_at<?)"),
        ("remove connection", connections::REMOVE, "PRIMARY KEY (id=?)"),
        ("ended connections", &connections::ended_query(), "_ended (disconnected_at>? AND"),
        ("states", inboxes::STATES, "INDEX sqlite_autoindex_inboxes_1 (user_id=?)"),
    ] {
        let plan = plan(conn, query);
        assert!(plan.contains(walk), "{name}:\n{plan}");
        let scanned: Vec<_> = plan.lines().filter(|line| line.contains("SCAN")).collect();
        let harmless = [
            "CONSTANT ROW",
            "(subquery",
            "pruned",
            "asked VIRTUAL TABLE",
            "USING INDEX messages_retracted",
            "USING INDEX erasures_due",
            // As many rows as there are nodes.
            "SCAN n",
        ];
        for line in scanned {
            assert!(harmless.iter().any(|known| line.contains(known)), "{name}:\n{plan}");
        }
    }
}

/// Each filter has its index; with several, the first of them is walked.
fn check_audit(conn: &Connection) {
    let user = UserId::new("alice").unwrap();
    let all = AuditFilter {
        event: Some(EventName::of("token.refused")),
        user: Some(user),
        ip: Some([127, 0, 0, 1].into()),
        room: Some(RoomId::new("post:1").unwrap()),
        ..AuditFilter::default()
    };
    let none = AuditFilter::default();
    let event = AuditFilter { event: all.event.clone(), ..none.clone() };
    let room = AuditFilter { room: all.room.clone(), ..event.clone() };
    let ip = AuditFilter { ip: all.ip, ..room.clone() };
    for (filter, walk) in [
        (none, "SEARCH audit_log USING PRIMARY KEY (id>? AND id<?)"),
        (event, "INDEX audit_log_event (event=? AND id>? AND id<?)"),
        (room, "INDEX audit_log_room (room_id=? AND id>? AND id<?)"),
        (ip, "INDEX audit_log_ip (ip=? AND id>? AND id<?)"),
        (all, "INDEX audit_log_user (user_id=? AND id>? AND id<?)"),
    ] {
        let plan = plan(conn, &audit::query(&filter));
        assert!(plan.contains(walk), "{filter:?}:\n{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

fn check_connections(conn: &Connection) {
    let user = UserId::new("alice").unwrap();
    let of_user = ConnectionFilter { user: Some(user), active: None };
    let active = ConnectionFilter { active: Some(true), ..of_user.clone() };
    for (filter, walk) in [
        (ConnectionFilter::default(), "SEARCH c USING PRIMARY KEY (id<?)"),
        (of_user, "INDEX websocket_connections_user (user_id=? AND id<?)"),
        (active, "INDEX websocket_connections_user (user_id=? AND id<?)"),
    ] {
        let plan = plan(conn, &connections::query(&filter));
        assert!(plan.contains(walk), "{filter:?}:\n{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[test]
fn lists_walk_an_index_whatever_the_statistics_say() {
    let bench = Bench::new();
    bench.store.close();
    let conn = Connection::open(bench.dir.path().join("tidings.db")).unwrap();
    check(&conn);
    check_upkeep(&conn);
    check_audit(&conn);
    check_connections(&conn);
    conn.execute_batch(FILL).unwrap();
    check(&conn);
    check_upkeep(&conn);
    check_audit(&conn);
    check_connections(&conn);
    conn.execute_batch("ANALYZE").unwrap();
    check(&conn);
    check_upkeep(&conn);
    check_audit(&conn);
    check_connections(&conn);
}
