//! Positions in a log as clients see them, and what a client that comes back says.

use std::borrow::Cow;

use rand::Rng as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::id::Id;

/// A position in a log. The log's mark tells it from those of other logs, of which a client may still have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offset {
    pub(crate) mark: [u8; 4],
    pub(crate) position: u64,
}

impl Offset {
    /// The beginning of a new log.
    pub(crate) fn start() -> Self {
        let mut rng = rand::rng();
        Self { mark: std::array::from_fn(|_| rng.random_range(b'a'..=b'z')), position: 0 }
    }

    pub(crate) fn at(self, position: u64) -> Self {
        Self { position, ..self }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (mark, position) = text.split_at_checked(4)?;
        Some(Self { mark: mark.as_bytes().try_into().ok()?, position: position.parse().ok()? })
    }
}

/// What a client says to be recovered, in the data of its CONNECT packet beside the application's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) pid: Id,
    pub(crate) offset: Offset,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    pid: Cow<'a, str>,
    #[serde(borrow)]
    offset: Cow<'a, str>,
}

impl Claim {
    pub(crate) fn parse(data: Option<&RawValue>) -> Option<Self> {
        let data: Data<'_> = serde_json::from_str(data?.get()).ok()?;
        Some(Self { pid: Id::parse(&data.pid)?, offset: Offset::parse(&data.offset)? })
    }
}
