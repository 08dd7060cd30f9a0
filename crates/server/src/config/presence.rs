//! Who is here, and who is typing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Config, duration};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Presence {
    /// Between two updates of a room.
    #[serde(with = "duration")]
    pub tick: Duration,
    /// From more users than this on, a room gets counts instead of everybody's state.
    pub large_room: usize,
    /// Between two updates of such a room.
    #[serde(with = "duration")]
    pub large_tick: Duration,
    /// How long somebody whose last connection ended is still taken to be here.
    #[serde(with = "duration")]
    pub grace: Duration,
    /// A connection that says nothing for this long does not count.
    #[serde(with = "duration")]
    pub ttl: Duration,
    /// How often silent connections are looked for.
    #[serde(with = "duration")]
    pub sweep: Duration,
    /// How long somebody types who does not say so again.
    #[serde(with = "duration")]
    pub typing: Duration,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(250),
            large_room: 200,
            large_tick: Duration::from_secs(1),
            grace: Duration::from_secs(5),
            ttl: Duration::from_secs(30 * 60),
            sweep: Duration::from_secs(5 * 60),
            typing: Duration::from_secs(5),
        }
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let presence = &config.presence;
    let shortest = Duration::from_millis(10);
    need(presence.tick >= shortest, "presence.tick: must be at least 10ms");
    need(
        presence.large_tick >= presence.tick,
        "presence.large_tick: must not be shorter than presence.tick",
    );
    need(
        (4..=1_000).contains(&presence.large_room),
        "presence.large_room: must be between 4 and 1000; each of so many may be told of each",
    );
    need(presence.sweep >= shortest, "presence.sweep: must be at least 10ms");
    need(presence.ttl >= shortest, "presence.ttl: must be at least 10ms");
    need(presence.typing >= Duration::from_millis(100), "presence.typing: must be at least 100ms");
    need(presence.grace <= Duration::from_secs(300), "presence.grace: must be at most 5 minutes");
}
