//! What a copy from one store into another consists of: the tables that every store has, their
//! rows in one form, and checksums that do not depend on the order of rows.
//!
//! A store that is copied gives its rows in this form, whatever numbers and flags it keeps
//! itself; the one that is filled takes them, and both can say what their checksums are.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

mod tables;

pub use tables::TABLES;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    Null,
    Int(i64),
    Bool(bool),
    Text(String),
    Bytes(Vec<u8>),
    Id(Uuid),
}

impl Value {
    /// A text as every store can hold it: PostgreSQL's have every character but NUL. Where there
    /// was one, people see that there was.
    pub fn text(text: &str) -> Self {
        Self::Text(text.replace('\0', "\u{fffd}"))
    }

    /// About how much memory it takes beside itself.
    pub fn size(&self) -> usize {
        match self {
            Self::Null | Self::Int(_) | Self::Bool(_) | Self::Id(_) => 0,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Which it is, how long it is and what it is: no two rows are written alike.
    fn encode(&self, to: &mut Vec<u8>) {
        let mut write = |tag: u8, bytes: &[u8]| {
            to.push(tag);
            to.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            to.extend_from_slice(bytes);
        };
        match self {
            Self::Null => write(0, &[]),
            Self::Int(number) => write(1, &number.to_be_bytes()),
            Self::Bool(is) => write(2, &[u8::from(*is)]),
            Self::Text(text) => write(3, text.as_bytes()),
            Self::Bytes(bytes) => write(4, bytes),
            Self::Id(id) => write(5, id.as_bytes()),
        }
    }
}

/// The values of a row, one for each column of its table.
pub type Row = Vec<Value>;

/// What a column holds, where it is not null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int,
    Bool,
    Text,
    Bytes,
    Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// A table that every store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
    /// Its rows are numbered in `number`, and the next number is above all that ever were.
    pub numbered: bool,
}

/// The table of this name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// Some rows of a table, in the order in which the store walks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub rows: Vec<Row>,
    /// Where the next batch begins, in the words of the store that is copied.
    pub cursor: Option<String>,
    /// Nothing comes after these.
    pub last: bool,
}

/// How many rows, and what is in them, in whatever order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksum {
    pub rows: u64,
    /// Of the rows' own hashes, each the first half of SHA-256.
    pub sum: u128,
}

impl Checksum {
    pub fn add(&mut self, row: &[Value]) {
        let mut encoded = Vec::with_capacity(256);
        for value in row {
            value.encode(&mut encoded);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&Sha256::digest(&encoded)[..16]);
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half));
        self.rows += 1;
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows, checksum {:032x}", self.rows, self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(rows: &[Row]) -> Checksum {
        let mut checksum = Checksum::default();
        rows.iter().for_each(|row| checksum.add(row));
        checksum
    }

    #[test]
    fn a_checksum_depends_on_rows_and_not_on_their_order() {
        let one = vec![Value::Int(1), Value::text("a")];
        let two = vec![Value::Int(2), Value::Null];
        let both = checksum(&[one.clone(), two.clone()]);
        assert_eq!(both, checksum(&[two.clone(), one.clone()]));
        assert_ne!(both, checksum(&[one.clone(), one.clone()]));
        assert_ne!(both, checksum(&[one.clone(), two.clone(), one.clone()]));
        assert_ne!(checksum(&[one.clone(), one]), checksum(&[two.clone(), two]));
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let rows = [
            vec![Value::text("ab"), Value::text("c")],
            vec![Value::text("a"), Value::text("bc")],
            vec![Value::text(""), Value::Null],
            vec![Value::Null, Value::text("")],
            vec![Value::Bytes(b"a".to_vec()), Value::Null],
            vec![Value::text("a"), Value::Null],
            vec![Value::Int(1), Value::Null],
            vec![Value::Bool(true), Value::Null],
        ];
        for (n, one) in rows.iter().enumerate() {
            for other in &rows[n + 1..] {
                let alone = |row| checksum(std::slice::from_ref(row));
                assert_ne!(alone(one), alone(other));
            }
        }
    }

    #[test]
    fn a_text_has_no_nul() {
        assert_eq!(Value::text("a\0b"), Value::Text("a\u{fffd}b".into()));
    }
}
