//! What applications leave in Redis to be carried out.
//!
//! They add entries to a stream, which the nodes read as one consumer group: each entry is one node's, until that has
//! carried it out or has been silent for too long. What they publish on channels, which every node hears, goes into the same
//! stream by the first that comes, in one script.

mod channel;
mod entry;
mod stream;

pub use channel::{ChannelPattern, InvalidChannel};
pub use entry::Entry;
pub use stream::{Stream, Taken};

use std::time::Duration;

/// The stream, and its bounds.
#[derive(Clone)]
pub struct Settings {
    pub stream: String,
    pub group: String,
    /// This node in the group.
    pub consumer: String,
    /// Entries that wait, if more would come from channels.
    pub max_backlog: usize,
    /// Entries that could not be carried out and are kept.
    pub dead_length: usize,
    /// For how long the same message on the same channel is the same one.
    pub same_within: Duration,
}

impl Settings {
    /// Where entries go that cannot be carried out.
    pub fn dead(&self) -> String {
        format!("{}:dead", self.stream)
    }

    /// In a cluster it has to be where the stream is.
    fn claim(&self, channel: &str, payload: &[u8]) -> String {
        use sha2::{Digest as _, Sha256};
        let length = (channel.len() as u64).to_be_bytes();
        let digest = Sha256::new()
            .chain_update(length)
            .chain_update(channel)
            .chain_update(payload)
            .finalize();
        let digest: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
        format!("{{{}}}:taken:{digest}", self.stream)
    }
}
