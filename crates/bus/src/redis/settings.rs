//! How Redis is used.

use std::time::Duration;

use super::address::Address;

#[derive(Debug, Clone)]
pub struct Settings {
    pub address: Address,
    /// What the names of all keys and channels begin with.
    pub prefix: String,
    pub connect_timeout: Duration,
    /// For an answer to a command.
    pub response_timeout: Duration,
    /// For a subscription to be confirmed.
    pub confirmation_timeout: Duration,
    /// Between two probes through Redis and back, and between two looks at who is the master.
    pub probe_interval: Duration,
    /// A connection whose probe has not come back by then is dead, whatever TCP says.
    pub probe_timeout: Duration,
    /// How long a channel that nobody needs any more is kept: its user may only be reloading.
    pub linger: Duration,
}

impl Settings {
    pub fn new(address: Address) -> Self {
        Self {
            address,
            prefix: "tidings".to_owned(),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
            confirmation_timeout: Duration::from_secs(2),
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_secs(3),
            linger: Duration::from_secs(5),
        }
    }
}

/// Pauses between attempts: each about twice as long as the one before, no two nodes the same.
pub(super) struct Backoff {
    next: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// So that what comes back is found again soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST_PAUSE }
    }
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.next = FIRST_PAUSE;
    }

    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::random_range(0.5..1.0));
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        pause
    }
}
