//! Along which key each table is walked, and where its columns come from.

use tidings_core::copy::Table;

use crate::failure::{Failure, Result};

/// How a table is read.
pub(super) struct Walk {
    table: &'static str,
    /// Columns of an index of the table: no row has the same, and none is null.
    pub(super) key: &'static [&'static str],
    /// Columns that are kept otherwise here.
    from: &'static [(&'static str, &'static str)],
    /// Columns of the table that need not be copied: others say the same.
    #[cfg_attr(not(test), allow(dead_code, reason = "what a test holds against the schema"))]
    left_out: &'static [&'static str],
    /// The body of each row says what it is about.
    pub(super) has_entity: bool,
}

const fn by(table: &'static str, key: &'static [&'static str]) -> Walk {
    Walk { table, key, from: &[], left_out: &[], has_entity: false }
}

const WALKS: &[Walk] = &[
    by("users", &["number"]),
    by("inboxes", &["number"]),
    Walk {
        from: &[("entity_type", "NULL"), ("entity_id", "NULL")],
        left_out: &["number"],
        has_entity: true,
        ..by("messages", &["number"])
    },
    Walk {
        // An item whose message is gone has no id, which is told: it cannot be copied.
        from: &[("message_id", "(SELECT m.id FROM messages m WHERE m.number = t.message)")],
        // What is archived says when.
        left_out: &["message", "archived"],
        ..by("inbox_items", &["inbox", "archived", "seq"])
    },
    by("tombstones", &["inbox", "rev", "message_id"]),
    by("devices", &["inbox", "id"]),
    by("idempotency", &["scope", "key"]),
    by("dedupe", &["inbox", "key"]),
    by("announcements", &["number"]),
    by("announcement_recipients", &["announcement", "position"]),
    by("memberships", &["room_id", "user_id"]),
    by("api_keys", &["id"]),
    by("audit_log", &["id"]),
    by("revocations", &["kind", "subject"]),
    by("websocket_connections", &["id"]),
    by("nodes", &["id"]),
    by("erasures", &["id"]),
];

pub(super) fn walk(table: &Table) -> Result<&'static Walk> {
    let walk = WALKS.iter().find(|walk| walk.table == table.name);
    walk.ok_or_else(|| Failure::Corrupt(format!("there is no table {}", table.name)))
}

impl Walk {
    /// The columns of the table, then those of the key.
    pub(super) fn sql(&self, table: &Table, goes_on: bool, most: usize) -> String {
        let columns = table.columns.iter().map(|column| {
            let other = self.from.iter().find(|(name, _)| *name == column.name);
            other.map_or_else(|| format!("t.{}", column.name), |(_, from)| (*from).to_owned())
        });
        let key: Vec<_> = self.key.iter().map(|name| format!("t.{name}")).collect();
        let selected: Vec<_> = columns.chain(key.iter().cloned()).collect();
        let marks = vec!["?"; key.len()].join(", ");
        let key = key.join(", ");
        let after = if goes_on { format!("WHERE ({key}) > ({marks})") } else { String::new() };
        let selected = selected.join(", ");
        format!("SELECT {selected} FROM {} t {after} ORDER BY {key} LIMIT {most}", table.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rusqlite::Connection;
    use tidings_core::copy::TABLES;

    use super::*;
    use crate::migrations;

    fn schema() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tidings.db");
        migrations::up(&path).unwrap();
        (dir, Connection::open(path).unwrap())
    }

    fn names(conn: &Connection, sql: &str) -> BTreeSet<String> {
        let mut statement = conn.prepare(sql).unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn every_table_and_column_of_the_schema_is_copied() {
        let (_dir, conn) = schema();
        let there = names(
            &conn,
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                AND name <> 'schema_migrations'",
        );
        let copied: BTreeSet<_> = TABLES.iter().map(|table| table.name.to_owned()).collect();
        assert_eq!(there, copied, "a new table needs its place in the copy");
        for table in TABLES {
            let walk = walk(table).unwrap();
            let sql = format!("SELECT name FROM pragma_table_info('{}')", table.name);
            let made = |name: &str| walk.from.iter().any(|(column, _)| *column == name);
            let copied = table.columns.iter().map(|column| column.name);
            let copied = copied.filter(|name| !made(name)).chain(walk.left_out.iter().copied());
            let copied: BTreeSet<_> = copied.map(str::to_owned).collect();
            assert_eq!(names(&conn, &sql), copied, "{}", table.name);
        }
    }

    #[test]
    fn a_table_is_walked_along_an_index_wherever_it_goes_on() {
        let (_dir, conn) = schema();
        for table in TABLES {
            let walk = walk(table).unwrap();
            let sql = format!("EXPLAIN QUERY PLAN {}", walk.sql(table, true, 10));
            let mut statement = conn.prepare(&sql).unwrap();
            let nothing = vec![rusqlite::types::Null; walk.key.len()];
            let mut rows = statement.query(rusqlite::params_from_iter(nothing)).unwrap();
            let mut plan = String::new();
            while let Some(row) = rows.next().unwrap() {
                plan.push_str(&row.get::<_, String>(3).unwrap());
                plan.push('\n');
            }
            assert!(plan.contains("SEARCH t"), "{}: {plan}", table.name);
            assert!(!plan.contains("TEMP B-TREE"), "{}: {plan}", table.name);
        }
    }
}
