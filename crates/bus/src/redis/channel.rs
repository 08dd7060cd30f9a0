//! The names of channels and keys, as an operator finds them in Redis.
//!
//! `tidings:user:alice`, `tidings:room:post:1`, `tidings:node:node-1`, `tidings:nodes`; on a
//! Cluster with the partition's tag, as in `tidings:{3f}:user:alice`, and sharded.

use tidings_core::{
    ids::{NodeId, UserId},
    room::RoomName,
};

use super::partition::Partition;

/// What a node listens to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Topic {
    User(UserId),
    Room(RoomName),
    /// What is for one node.
    Node(NodeId),
    /// What is for all.
    Nodes,
    /// The way of a node's own probes through one partition.
    Probe(NodeId, Partition),
}

impl Topic {
    pub(super) fn partition(&self) -> Partition {
        match self {
            Self::User(user) => Partition::of(user.as_str()),
            Self::Room(room) => Partition::of(room.as_str()),
            Self::Node(node) => Partition::of(node.as_str()),
            Self::Nodes => Partition::of("nodes"),
            Self::Probe(_, partition) => *partition,
        }
    }
}

/// How names are made.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
    /// Names carry tags, and channels are sharded.
    pub(super) cluster: bool,
}

impl Names {
    pub(super) fn new(prefix: &str, cluster: bool) -> Self {
        Self { prefix: prefix.to_owned(), cluster }
    }

    pub(super) fn channel(&self, topic: &Topic) -> String {
        let partition = topic.partition();
        match topic {
            Topic::User(user) => self.key(partition, "user", user.as_str()),
            Topic::Room(room) => self.key(partition, "room", room.as_str()),
            Topic::Node(node) => self.key(partition, "node", node.as_str()),
            Topic::Nodes => self.start(partition) + "nodes",
            Topic::Probe(node, _) => self.key(partition, "probe", node.as_str()),
        }
    }

    /// The name of something in a partition: all names of it lie in the same slot.
    pub fn key(&self, partition: Partition, noun: &str, name: &str) -> String {
        let mut key = self.start(partition);
        key.push_str(noun);
        key.push(':');
        key.push_str(name);
        key
    }

    fn start(&self, partition: Partition) -> String {
        match self.cluster {
            true => format!("{}:{{{}}}:", self.prefix, partition.tag()),
            false => format!("{}:", self.prefix),
        }
    }

    pub(super) fn publish(&self) -> &'static str {
        if self.cluster { "SPUBLISH" } else { "PUBLISH" }
    }

    pub(super) fn subscribe(&self) -> &'static str {
        if self.cluster { "SSUBSCRIBE" } else { "SUBSCRIBE" }
    }

    pub(super) fn unsubscribe(&self) -> &'static str {
        if self.cluster { "SUNSUBSCRIBE" } else { "UNSUBSCRIBE" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_documented() {
        let alice = Topic::User(UserId::new("alice").unwrap());
        let post = Topic::Room(RoomName::parse("post:1").unwrap());
        let one = Names::new("tidings", false);
        assert_eq!(one.channel(&alice), "tidings:user:alice");
        assert_eq!(one.channel(&post), "tidings:room:post:1");
        assert_eq!(one.channel(&Topic::Nodes), "tidings:nodes");
        let cluster = Names::new("tidings", true);
        let tag = Partition::of("alice").tag();
        assert_eq!(cluster.channel(&alice), format!("tidings:{{{tag}}}:user:alice"));
    }
}
