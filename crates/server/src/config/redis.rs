//! Where Redis is, and how it is used. Without it a node is alone.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize, Serializer};
use tidings_bus::redis::{Address, Settings};

use super::{Config, duration};

/// `redis://…`, `redis+sentinel://…` or `redis+cluster://…`; shown without what is secret in it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct RedisUrl(String);

impl RedisUrl {
    fn address(&self) -> Result<Address, String> {
        self.0.parse().map_err(|bad: tidings_bus::redis::BadAddress| bad.to_string())
    }
}

impl From<String> for RedisUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Ok(address) => write!(f, "{address}"),
            // Where the secret would be is not known either.
            Err(_) => f.write_str("(not valid)"),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RedisUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How Redis is used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// What the names of all keys and channels begin with.
    pub prefix: String,
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// For an answer to a command.
    #[serde(with = "duration")]
    pub response_timeout: Duration,
    /// Between two probes through Redis and back, and between two looks at who is the master.
    #[serde(with = "duration")]
    pub probe_interval: Duration,
    /// A connection whose probe has not come back by then is taken to be dead.
    #[serde(with = "duration")]
    pub probe_timeout: Duration,
    /// How long a channel is kept that nobody here needs any more.
    #[serde(with = "duration")]
    pub linger: Duration,
    /// Between two looks at the store while Redis is away.
    #[serde(with = "duration")]
    pub catch_up_interval: Duration,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            prefix: "tidings".to_owned(),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_secs(3),
            linger: Duration::from_secs(5),
            catch_up_interval: Duration::from_secs(2),
        }
    }
}

impl Config {
    /// `None`: this node is alone.
    pub fn redis(&self) -> Result<Option<Settings>, String> {
        self.redis_url.as_ref().map(|url| self.redis_at(url)).transpose()
    }

    /// The same for another one.
    pub(crate) fn redis_at(&self, url: &RedisUrl) -> Result<Settings, String> {
        let Redis { prefix, connect_timeout, response_timeout, .. } = self.redis.clone();
        let Redis { probe_interval, probe_timeout, linger, .. } = self.redis;
        Ok(Settings {
            prefix,
            connect_timeout,
            response_timeout,
            probe_interval,
            probe_timeout,
            linger,
            ..Settings::new(url.address()?)
        })
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    if let Err(problem) = config.redis() {
        need(false, &format!("redis_url (TIDINGS_REDIS_URL): {problem}"));
    }
    let redis = &config.redis;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    let fine = (1..=64).contains(&redis.prefix.len()) && redis.prefix.chars().all(plain);
    need(fine, "redis.prefix: has 1 to 64 letters, digits, or any of . _ - :");
    let ms = Duration::from_millis;
    let times = [
        ("connect_timeout", redis.connect_timeout, ms(10)),
        ("response_timeout", redis.response_timeout, ms(10)),
        ("probe_interval", redis.probe_interval, ms(10)),
        ("catch_up_interval", redis.catch_up_interval, ms(10)),
    ];
    for (name, value, least) in times {
        need(value >= least, &format!("redis.{name}: must be at least 10ms"));
    }
    need(
        redis.probe_timeout > redis.probe_interval,
        "redis.probe_timeout: must be longer than redis.probe_interval",
    );
}
