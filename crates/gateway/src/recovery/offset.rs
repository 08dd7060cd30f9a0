//! Positions in a log as clients see them, and what a client that comes back says.
//!
//! `abcd17` is the 17th event of the log `abcd`. `abcd17.9` is an event for one client, sent when it had everything up to
//! the 17th of the log, and everything that the application marked up to 9.

use std::borrow::Cow;
use std::fmt;

use rand::Rng as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::id::Id;

/// A position in a log. The log's name tells it from those of other logs, of which a client may still have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offset {
    pub(crate) log: [u8; 4],
    pub(crate) position: u64,
    /// The last of the application's marks; only in what is for one client.
    pub(crate) mark: Option<u64>,
}

impl Offset {
    /// The beginning of a new log.
    pub(crate) fn start() -> Self {
        let mut rng = rand::rng();
        let log = std::array::from_fn(|_| rng.random_range(b'a'..=b'z'));
        Self { log, position: 0, mark: None }
    }

    /// Whether both are the same position of the same log.
    pub(crate) fn is_at(&self, other: Self) -> bool {
        (self.log, self.position) == (other.log, other.position)
    }

    pub(crate) fn log(&self) -> &str {
        std::str::from_utf8(&self.log).unwrap_or_default()
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (log, rest) = text.split_at_checked(4)?;
        let (position, mark) = match rest.split_once('.') {
            Some((position, mark)) => (position, Some(mark.parse().ok()?)),
            None => (rest, None),
        };
        Some(Self { log: log.as_bytes().try_into().ok()?, position: position.parse().ok()?, mark })
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.log(), self.position)?;
        match self.mark {
            Some(mark) => write!(f, ".{mark}"),
            None => Ok(()),
        }
    }
}

/// What a client says to be recovered, in the data of its CONNECT packet beside the application's.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    pub(crate) pid: Id,
    pub(crate) offset: Offset,
}

/// Nearly everybody says neither, and that is no error.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    pid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    offset: Option<Cow<'a, str>>,
}

impl Claim {
    /// The secret that the session goes by.
    pub fn pid(&self) -> &str {
        self.pid.as_str()
    }

    /// The name of the log that the client's last event was numbered in: see [`Gateway::log`](crate::Gateway::log).
    pub fn log(&self) -> &str {
        self.offset.log()
    }

    pub(crate) fn parse(data: Option<&RawValue>) -> Option<Self> {
        let data: Data<'_> = serde_json::from_str(data?.get()).ok()?;
        Some(Self { pid: Id::parse(&data.pid?)?, offset: Offset::parse(&data.offset?)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_as_they_are_written() {
        for text in ["abcd0", "abcd17.9", "abcd18446744073709551615.18446744073709551615"] {
            assert_eq!(Offset::parse(text).expect(text).to_string(), text);
        }
        for bad in
            ["", "abc", "abcd", "abcdx", "abcd1.", "abcd.1", "abcd1.x", "abc\u{e9}1", "abcd1.2.3"]
        {
            assert_eq!(Offset::parse(bad), None, "{bad}");
        }
    }
}
