//! The tables, in the order in which they are copied.

use super::{Column, Kind, Table};

const fn int(name: &'static str) -> Column {
    Column { name, kind: Kind::Int }
}

const fn bool(name: &'static str) -> Column {
    Column { name, kind: Kind::Bool }
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn bytes(name: &'static str) -> Column {
    Column { name, kind: Kind::Bytes }
}

const fn id(name: &'static str) -> Column {
    Column { name, kind: Kind::Id }
}

const fn table(name: &'static str, columns: &'static [Column]) -> Table {
    Table { name, columns, numbered: false }
}

const fn numbered(name: &'static str, columns: &'static [Column]) -> Table {
    Table { name, columns, numbered: true }
}

/// Every table of every store, but for what a store keeps about itself.
pub const TABLES: &[Table] = &[
    numbered(
        "users",
        &[
            int("number"),
            text("id"),
            text("name"),
            text("avatar_url"),
            int("created_at"),
            int("last_seen"),
        ],
    ),
    numbered(
        "inboxes",
        &[
            int("number"),
            text("user_id"),
            int("last_rev"),
            int("unread"),
            int("read_up_to"),
            int("floor"),
            int("floor_at"),
            int("read_all_rev"),
            int("read_all_at"),
            int("delivered_up_to"),
            int("changed_at"),
        ],
    ),
    table(
        "messages",
        &[
            id("id"),
            int("sent_at"),
            int("expires_at"),
            int("retracted_at"),
            int("recipients"),
            text("entity_type"),
            text("entity_id"),
            text("actor_id"),
            int("keep_until"),
            text("body"),
        ],
    ),
    table(
        "inbox_items",
        &[
            id("message_id"),
            int("inbox"),
            int("seq"),
            int("rev"),
            int("changed_at"),
            int("delivered_at"),
            int("seen_at"),
            int("read_at"),
            int("archived_at"),
            text("kind"),
            text("tenant"),
        ],
    ),
    table("tombstones", &[int("inbox"), int("rev"), id("message_id"), int("deleted_at")]),
    table("devices", &[int("inbox"), text("id"), int("cursor"), int("used_at")]),
    table(
        "idempotency",
        &[
            text("scope"),
            text("key"),
            bytes("fingerprint"),
            text("outcome"),
            text("note"),
            int("created_at"),
        ],
    ),
    table("dedupe", &[int("inbox"), text("key"), id("message_id"), int("created_at")]),
    numbered(
        "announcements",
        &[
            int("number"),
            id("id"),
            text("state"),
            bool("to_all"),
            int("cursor"),
            int("last"),
            int("total"),
            int("processed"),
            text("dedupe_key"),
            int("created_at"),
            int("run_at"),
            int("finished_at"),
        ],
    ),
    table("announcement_recipients", &[int("announcement"), int("position"), text("user_id")]),
    table("memberships", &[text("room_id"), text("user_id")]),
    table(
        "api_keys",
        &[
            text("id"),
            text("name"),
            bytes("hash"),
            text("scopes"),
            int("created_at"),
            int("revoked_at"),
        ],
    ),
    table(
        "audit_log",
        &[
            id("id"),
            int("at"),
            int("count"),
            int("last_at"),
            text("event"),
            text("actor_kind"),
            text("actor_id"),
            text("ip"),
            text("user_id"),
            text("room_id"),
            text("target"),
            text("detail"),
        ],
    ),
    table(
        "revocations",
        &[text("kind"), bytes("subject"), int("before"), int("ends_at"), int("revoked_at")],
    ),
    table(
        "websocket_connections",
        &[
            id("id"),
            text("user_id"),
            text("socket_id"),
            text("node_id"),
            text("client"),
            text("device_id"),
            text("ip"),
            text("user_agent"),
            int("connected_at"),
            int("disconnected_at"),
            text("reason"),
            bytes("token_hash"),
            int("token_ends_at"),
        ],
    ),
    table("nodes", &[text("id"), int("seen_at")]),
    table(
        "erasures",
        &[
            id("id"),
            bytes("subject"),
            text("user_id"),
            int("inbox"),
            int("last_rev"),
            int("requested_at"),
            int("settles_at"),
            int("finished_at"),
        ],
    ),
];
