//! The history of connections.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Config, duration};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// Who was connected from where, and why it ended, is kept in the store.
    pub history: bool,
    /// Between two signs of life of this node.
    #[serde(with = "duration")]
    pub heartbeat: Duration,
    /// From a node that gives none for this long, all connections have ended.
    #[serde(with = "duration")]
    pub lost_after: Duration,
    /// Where what is too old goes before it is removed: `file:///DIRECTORY` or
    /// `s3://BUCKET/PREFIX`. Without it, it goes nowhere.
    pub archive: Option<String>,
    /// What is old enough waits for more, at most this long: the archive has few large objects.
    #[serde(with = "duration")]
    pub archive_after: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            history: true,
            heartbeat: Duration::from_secs(15),
            lost_after: Duration::from_secs(60),
            archive: None,
            archive_after: Duration::from_secs(24 * 3600),
        }
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let connections = &config.connections;
    need(
        connections.heartbeat >= Duration::from_millis(10),
        "connections.heartbeat: must be at least 10ms",
    );
    need(
        connections.lost_after >= connections.heartbeat.saturating_mul(3),
        "connections.lost_after: must be at least three times connections.heartbeat, or nodes that live are taken for lost",
    );
    if let Some(archive) = &connections.archive {
        let known = archive.starts_with("file:///") || archive.starts_with("s3://");
        need(known, "connections.archive: must be file:///DIRECTORY or s3://BUCKET/PREFIX");
    }
}
