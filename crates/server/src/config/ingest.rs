//! Notifications that applications leave in Redis.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Config, RedisUrl, duration};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingest {
    pub enabled: bool,
    /// Without it `redis_url`.
    pub redis_url: Option<RedisUrl>,
    /// The stream that applications add to.
    pub stream: String,
    /// The consumer group of this installation's nodes.
    pub group: String,
    /// Channels that are listened to, and what is made of a message there.
    pub channels: BTreeMap<String, String>,
    /// Between two looks at the stream, when nothing was there.
    #[serde(with = "duration")]
    pub pause: Duration,
    /// How long a node may be silent about an entry before another takes it.
    #[serde(with = "duration")]
    pub claim_after: Duration,
    /// For how long the same message on the same channel is the same one.
    #[serde(with = "duration")]
    pub same_within: Duration,
    /// Entries that wait, beyond which none are added from channels.
    pub max_backlog: usize,
    /// Entries that could not be carried out and are kept, about.
    pub dead_length: usize,
}

impl Default for Ingest {
    fn default() -> Self {
        let channels =
            [("user:{id}", "user"), ("channels:user:{id}", "user"), ("channels:broadcast", "all")];
        Self {
            enabled: false,
            redis_url: None,
            stream: "tidings:ingest".into(),
            group: "tidings".into(),
            channels: channels.map(|(name, target)| (name.into(), target.into())).into(),
            pause: Duration::from_millis(50),
            claim_after: Duration::from_secs(30),
            same_within: Duration::from_secs(2),
            max_backlog: 100_000,
            dead_length: 10_000,
        }
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let ingest = &config.ingest;
    need(
        !ingest.enabled || ingest.redis_url.is_some() || config.redis_url.is_some(),
        "ingest.enabled: name the Redis by ingest.redis_url or redis_url",
    );
    if let Some(Err(problem)) = ingest.redis_url.as_ref().map(|url| config.redis_at(url)) {
        need(false, &format!("ingest.redis_url: {problem}"));
    }
    for (name, text) in [("stream", &ingest.stream), ("group", &ingest.group)] {
        let fine = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() && !b"{}".contains(&b));
        need(fine, &format!("ingest.{name}: must have 1 to 128 visible characters without braces"));
    }
    if let Err(problem) = crate::ingest::channels(&ingest.channels) {
        need(false, &problem);
    }
    need(
        (Duration::from_millis(5)..=Duration::from_secs(60)).contains(&ingest.pause),
        "ingest.pause: must be between 5ms and 1m",
    );
    need(
        (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&ingest.claim_after),
        "ingest.claim_after: must be between 100ms and 1h",
    );
    need(
        (Duration::from_millis(10)..=Duration::from_secs(600)).contains(&ingest.same_within),
        "ingest.same_within: must be between 10ms and 10m",
    );
    need(
        (1..=10_000_000).contains(&ingest.max_backlog),
        "ingest.max_backlog: must be between 1 and 10000000",
    );
    need(
        (1..=10_000_000).contains(&ingest.dead_length),
        "ingest.dead_length: must be between 1 and 10000000",
    );
}
