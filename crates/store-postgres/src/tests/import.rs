use std::collections::BTreeSet;

use tidings_core::copy::TABLES;

use super::Bench;

/// What a store keeps about itself, and what only PostgreSQL has.
const NOT_COPIED: [&str; 5] =
    ["schema_migrations", "retired_months", "lanes", "outbox", "outbox_dead"];

#[tokio::test]
async fn every_table_and_column_of_the_schema_is_filled_by_a_copy() {
    let bench = Bench::new().await;
    let sql = "SELECT c.relname::text, a.attname::text FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
            AND NOT c.relispartition";
    let rows = bench.connect().await.query(sql, &[]).await.unwrap();
    let there: BTreeSet<(String, String)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .filter(|(table, _): &(String, String)| !NOT_COPIED.contains(&table.as_str()))
        .collect();
    let filled: BTreeSet<_> = TABLES
        .iter()
        .flat_map(|table| table.columns.iter().map(|column| (table.name, column.name)))
        .map(|(table, column)| (table.to_owned(), column.to_owned()))
        .collect();
    assert_eq!(there, filled, "what is new needs its place in the copy");
}
