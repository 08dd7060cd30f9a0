//! The shared end of events that begin differently.

use bytes::Bytes;

use super::plain::{Rest, rest};

/// The part of an event that all its recipients share: the end of its last argument and everything after.
/// Built once per message, however many heads are put before it.
#[derive(Clone, Debug)]
pub struct Tail {
    pub(super) bytes: Bytes,
    /// What it is the rest of, for clients that get objects instead of arguments.
    pub(super) rest: Rest,
}

impl Tail {
    /// `json` is everything after the head, without the bracket that closes the arguments. Line breaks become spaces:
    /// between tokens they mean the same, strings have none, and an event stream can share the rest.
    pub fn new(json: &str) -> Self {
        let mut bytes = Vec::with_capacity(json.len() + 1);
        bytes.extend(json.bytes().map(super::stream::unbroken));
        bytes.push(b']');
        Self { bytes: bytes.into(), rest: rest(json) }
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
