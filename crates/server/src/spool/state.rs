//! What the spool says of itself and of what is in it.

use std::sync::Arc;

use parking_lot::Mutex;
use tidings_core::time::Timestamp;

use super::{
    Record,
    ledger::{Ledger, Place},
};

/// Where new requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Nothing waits: to the store.
    Open,
    /// The store takes what waits; requests stand in line behind it.
    Draining,
    /// The store is away: to the spool.
    Shut,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// The bound of bytes or records is reached, or too much waits to be written.
    #[error("the spool is full")]
    Full,
    /// The disk is full or fails. Nothing was kept.
    #[error("the spool cannot be written: {0}")]
    Failed(String),
}

/// A record that may not be carried out before this is dropped: its sender has something to do first.
#[derive(Debug)]
pub struct Held {
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) place: Place,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ledger.lock().let_go(self.place);
    }
}

/// A record whose turn it is.
pub struct Waiting {
    /// `Err`: nobody can read it, and this is what it says.
    pub record: Result<Record, Unreadable>,
    pub(super) next: Place,
}

pub struct Unreadable {
    pub problem: String,
    pub payload: Vec<u8>,
}

/// How full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub records: u64,
    pub bytes: u64,
    /// When the first that waits was asked for.
    pub oldest: Option<Timestamp>,
    pub full: bool,
}
