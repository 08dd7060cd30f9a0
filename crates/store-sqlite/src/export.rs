//! The whole store, row by row, in the form that every store takes: for `tidings store copy`.
//!
//! All is read in one snapshot. A table is walked along a key of its own, so that a copy that
//! was cut off goes on where it was.

use std::path::Path;

use rusqlite::{
    Connection, OptionalExtension as _, params_from_iter,
    types::{Value as Stored, ValueRef},
};
use tidings_core::{
    copy::{Batch, Checksum, Kind, Row, Table, Value},
    ports::StoreError,
    time::Timestamp,
};

use crate::{
    connection,
    failure::{Failure, Result},
    migrations, rows,
};

mod walks;

use walks::{Walk, walk};

/// A batch ends with the row that makes it this large.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// What every server that ran, and nearly everything that it did, has changed.
const STATE: &str = "SELECT json_array(
    (SELECT max(seen_at) FROM nodes), (SELECT max(number) FROM users),
    (SELECT max(number) FROM messages), (SELECT count(*) || ' ' || count(finished_at) FROM announcements),
    (SELECT count(*) || ' ' || coalesce(sum(last_rev), 0) FROM inboxes),
    (SELECT max(last_at) FROM audit_log), (SELECT max(revoked_at) FROM revocations),
    (SELECT count(*) || ' ' || count(revoked_at) FROM api_keys))";
const OLDEST: &str = "SELECT min(id) FROM messages";

/// A database that is read from end to end. While it is, nobody may write: the caller holds the
/// lock of the data directory.
pub struct Export {
    conn: Connection,
}

impl Export {
    /// Opens a database whose schema is current.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::start(path).map_err(StoreError::from)
    }

    fn start(path: &Path) -> Result<Self> {
        if !path.exists() {
            let message = format!("there is no database at {}", path.display());
            return Err(StoreError::Unavailable(message).into());
        }
        let conn = connection::open_reader(path)?;
        migrations::check_current(&conn)?;
        // The snapshot begins with the first read.
        conn.execute_batch("BEGIN; SELECT count(*) FROM nodes")?;
        Ok(Self { conn })
    }

    /// Differs when the database is not the one that it was.
    pub fn state(&self) -> Result<String, StoreError> {
        let state = self.conn.query_row(STATE, [], |row| row.get(0)).map_err(Failure::from);
        Ok(state?)
    }

    /// When its oldest message was made.
    pub fn oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        let oldest: Option<[u8; 16]> =
            self.conn.query_row(OLDEST, [], |row| row.get(0)).map_err(Failure::from)?;
        Ok(oldest.map(|id| {
            let millis = id[..6].iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
            Timestamp::from_millis(millis)
        }))
    }

    pub fn count(&self, table: &Table) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {}", table.name);
        let count = self.conn.query_row(&sql, [], |row| row.get(0)).map_err(Failure::from);
        Ok(rows::to_count(count?))
    }

    /// The highest number that a row of this table ever had.
    pub fn highest_number(&self, table: &Table) -> Result<i64, StoreError> {
        self.highest(table).map_err(StoreError::from)
    }

    fn highest(&self, table: &Table) -> Result<i64> {
        let ever = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
        let kept: Option<i64> =
            self.conn.query_row(ever, [table.name], |row| row.get(0)).optional()?;
        let sql = format!("SELECT coalesce(max(number), 0) FROM {}", table.name);
        let now: i64 = self.conn.query_row(&sql, [], |row| row.get(0))?;
        Ok(now.max(kept.unwrap_or(0)))
    }

    /// Up to `most` rows after the cursor; without one, the first.
    pub fn batch(
        &self,
        table: &Table,
        cursor: Option<&str>,
        most: usize,
    ) -> Result<Batch, StoreError> {
        self.read(table, cursor, most).map_err(StoreError::from)
    }

    fn read(&self, table: &Table, cursor: Option<&str>, most: usize) -> Result<Batch> {
        let walk = walk(table)?;
        let after: Option<Vec<Value>> =
            cursor.map(serde_json::from_str).transpose().map_err(Failure::corrupt)?;
        let sql = walk.sql(table, after.is_some(), most);
        let mut statement = self.conn.prepare_cached(&sql)?;
        let values = after.unwrap_or_default().into_iter().map(stored);
        let mut found = statement.query(params_from_iter(values))?;
        let (mut rows, mut bytes, mut key) = (Vec::new(), 0, None);
        while bytes < BATCH_BYTES {
            let Some(row) = found.next()? else {
                let last = rows.len() < most;
                return batch(rows, key, last);
            };
            let one = read_row(table, walk, row)?;
            bytes += one.iter().map(Value::size).sum::<usize>();
            rows.push(one);
            key = Some(read_key(table, walk, row)?);
        }
        batch(rows, key, false)
    }

    /// Reads a whole table for its checksum.
    pub fn checksum(&self, table: &Table, rows: usize) -> Result<Checksum, StoreError> {
        let (mut checksum, mut cursor) = (Checksum::default(), None);
        loop {
            let batch = self.batch(table, cursor.as_deref(), rows)?;
            batch.rows.iter().for_each(|row| checksum.add(row));
            if batch.last {
                return Ok(checksum);
            }
            cursor = batch.cursor;
        }
    }
}

fn batch(rows: Vec<Row>, key: Option<Vec<Value>>, last: bool) -> Result<Batch> {
    let cursor = key.map(|key| serde_json::to_string(&key)).transpose();
    Ok(Batch { rows, cursor: cursor.map_err(Failure::corrupt)?, last })
}

fn stored(value: Value) -> Stored {
    match value {
        Value::Null => Stored::Null,
        Value::Int(number) => Stored::Integer(number),
        Value::Bool(is) => Stored::Integer(is.into()),
        Value::Text(text) => Stored::Text(text),
        Value::Bytes(bytes) => Stored::Blob(bytes),
        Value::Id(id) => Stored::Blob(id.as_bytes().to_vec()),
    }
}

/// The columns of the table come first, those of its key after them.
fn read_key(table: &Table, walk: &Walk, row: &rusqlite::Row<'_>) -> Result<Vec<Value>> {
    let first = table.columns.len();
    (first..first + walk.key.len()).map(|column| as_it_is(row.get_ref(column)?)).collect()
}

/// A part of a key, which has to be found again: nothing is replaced in it.
fn as_it_is(stored: ValueRef<'_>) -> Result<Value> {
    Ok(match stored {
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Text(text) => {
            Value::Text(std::str::from_utf8(text).map_err(Failure::corrupt)?.to_owned())
        }
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Null | ValueRef::Real(_) => {
            return Err(Failure::Corrupt("a key that is neither number, text nor bytes".into()));
        }
    })
}

fn read_row(table: &Table, walk: &Walk, row: &rusqlite::Row<'_>) -> Result<Row> {
    let mut values = Row::with_capacity(table.columns.len());
    for (n, column) in table.columns.iter().enumerate() {
        let value = value(column.kind, row.get_ref(n)?)
            .map_err(|what| Failure::Corrupt(format!("{}.{}: {what}", table.name, column.name)))?;
        values.push(value);
    }
    if walk.has_entity {
        add_entity(table, &mut values)?;
    }
    Ok(values)
}

fn value(kind: Kind, stored: ValueRef<'_>) -> Result<Value, String> {
    Ok(match (kind, stored) {
        (_, ValueRef::Null) => Value::Null,
        (Kind::Int, ValueRef::Integer(number)) => Value::Int(number),
        (Kind::Bool, ValueRef::Integer(number)) => Value::Bool(number != 0),
        (Kind::Text, ValueRef::Text(text)) => {
            Value::text(std::str::from_utf8(text).map_err(|error| error.to_string())?)
        }
        (Kind::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(bytes.to_vec()),
        (Kind::Id, ValueRef::Blob(bytes)) => {
            let bytes = bytes.try_into().map_err(|_| "an id of another length".to_owned())?;
            Value::Id(uuid::Uuid::from_bytes(bytes))
        }
        (kind, stored) => return Err(format!("{:?} instead of {kind:?}", stored.data_type())),
    })
}

/// What a message is about, which SQLite keeps in the body alone.
fn add_entity(table: &Table, values: &mut [Value]) -> Result<()> {
    let place = |name| table.columns.iter().position(|column| column.name == name);
    let (Some(body), Some(kind), Some(id)) =
        (place("body"), place("entity_type"), place("entity_id"))
    else {
        return Err(Failure::Corrupt(format!("{} has no entity", table.name)));
    };
    let Value::Text(json) = &values[body] else {
        return Err(Failure::Corrupt("a message without a body".into()));
    };
    let about = rows::body(json)?;
    let value = |text: Option<&str>| text.map_or(Value::Null, Value::text);
    let entity_id = about.entity_id.as_ref().map(ToString::to_string);
    let entity = (value(about.entity_type.as_deref()), value(entity_id.as_deref()));
    (values[kind], values[id]) = entity;
    Ok(())
}
