//! How nodes know of one another.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Config, duration};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Between two signs of life of this node.
    #[serde(with = "duration")]
    pub heartbeat: Duration,
    /// A node that gives none for this long is taken for dead.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Longest that a client waits for what the nodes share; then this node answers by itself.
    #[serde(with = "duration")]
    pub patience: Duration,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            patience: Duration::from_millis(500),
        }
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let cluster = &config.cluster;
    need(
        cluster.heartbeat >= Duration::from_millis(10),
        "cluster.heartbeat: must be at least 10ms",
    );
    need(
        cluster.timeout >= cluster.heartbeat.saturating_mul(3),
        "cluster.timeout: must be at least three times cluster.heartbeat, or nodes that live are taken for dead",
    );
    need(
        (Duration::from_millis(10)..=Duration::from_secs(60)).contains(&cluster.patience),
        "cluster.patience: must be between 10ms and 1 minute",
    );
    need(cluster.timeout <= Duration::from_secs(300), "cluster.timeout: must be at most 5 minutes");
}
