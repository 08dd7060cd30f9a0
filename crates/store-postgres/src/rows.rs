//! Rows of the database as values of the domain, and back.

use std::borrow::Cow;

use tidings_core::{ids::UserId, time::Timestamp};

use crate::failure::{Failure, Result};

pub(crate) fn to_count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

pub(crate) fn from_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A `usize` that bounds something (LIMIT, OFFSET).
pub(crate) fn from_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(crate) fn to_time(stored: i64) -> Timestamp {
    Timestamp::from_millis(stored)
}

pub(crate) fn to_user(stored: &str) -> Result<UserId> {
    UserId::new(stored).map_err(|bad| Failure::Corrupt(format!("user id {stored:?} {bad}")))
}

/// PostgreSQL's texts hold every character but NUL. Where a text only tells people something,
/// they see that there was one.
pub(crate) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}
