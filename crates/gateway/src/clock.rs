//! The gateway's own time: milliseconds since it was built. Starts at 1, so that 0 can mean never.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.elapsed().as_millis() as u64 + 1
    }
}

/// Wall time, for the record of a handshake only.
#[allow(
    clippy::disallowed_methods,
    reason = "the gateway is no part of the domain; nothing is decided by this"
)]
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
