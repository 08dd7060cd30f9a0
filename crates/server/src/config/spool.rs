//! While the database is away.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Config, duration};

/// Notifications that are kept on this node's disk until the database is back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spool {
    /// Nothing is spooled: without the database notifications are answered 503.
    pub require_store: bool,
    /// Most bytes of the spool's files.
    pub max_bytes: u64,
    /// Most requests that wait; each takes about 50 bytes of memory.
    pub max_records: u64,
    /// How long a request waits for the database before it is spooled.
    #[serde(with = "duration")]
    pub patience: Duration,
    /// How often it is tried to carry out what waits.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// While something waits: how often the database is looked for, also while it is left alone.
    #[serde(with = "duration")]
    pub retry: Duration,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            require_store: false,
            max_bytes: 1 << 30,
            max_records: 1_000_000,
            patience: Duration::from_secs(10),
            interval: Duration::from_millis(250),
            retry: Duration::from_secs(1),
        }
    }
}

/// When the database is left alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row.
    pub failures: u32,
    /// For how long, until one request finds out for all.
    #[serde(with = "duration")]
    pub pause: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 10, pause: Duration::from_secs(60) }
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let Config { spool, breaker, .. } = config;
    need(
        spool.max_bytes >= 1 << 20,
        "spool.max_bytes: must be at least 1048576; spool.require_store = true turns the spool off",
    );
    need(spool.max_records >= 1, "spool.max_records: must be at least 1");
    need(spool.patience >= Duration::from_millis(10), "spool.patience: must be at least 10ms");
    need(spool.interval >= Duration::from_millis(1), "spool.interval: must be at least 1ms");
    need(spool.retry >= Duration::from_millis(1), "spool.retry: must be at least 1ms");
    need(breaker.failures >= 1, "breaker.failures: must be at least 1");
    need(breaker.pause >= Duration::from_millis(10), "breaker.pause: must be at least 10ms");
}
