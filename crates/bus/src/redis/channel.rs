//! The names of channels and keys, as an operator finds them in Redis.
//!
//! `tidings:user:alice`, `tidings:room:post:1`, `tidings:node:node-1`, `tidings:nodes`; on a
//! Cluster with the partition's tag, as in `tidings:{3f}:user:alice`, and sharded. Channels know no
//! databases: in another than the first it is `tidings:db1:user:alice`.

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
    /// Of the database, in names of channels; keys are apart by themselves.
    database: String,
    /// Names carry tags, and channels are sharded.
    pub(super) cluster: bool,
}

impl Names {
    pub(super) fn new(prefix: &str, cluster: bool, database: i64) -> Self {
        let database = if database == 0 { String::new() } else { format!("db{database}:") };
        Self { prefix: prefix.to_owned(), database, cluster }
    }

    pub(super) fn channel(&self, topic: &Topic) -> String {
        let start = self.start(topic.partition()) + &self.database;
        match topic {
            Topic::User(user) => name(start, "user", user.as_str()),
            Topic::Room(room) => name(start, "room", room.as_str()),
            Topic::Node(node) => name(start, "node", node.as_str()),
            Topic::Nodes => start + "nodes",
            Topic::Probe(node, _) => name(start, "probe", node.as_str()),
        }
    }

    /// The name of something in a partition: all names of it lie in the same slot.
    pub fn key(&self, partition: Partition, noun: &str, name: &str) -> String {
        self::name(self.start(partition), noun, name)
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

fn name(mut start: String, noun: &str, name: &str) -> String {
    start.push_str(noun);
    start.push(':');
    start.push_str(name);
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_documented() {
        let alice = Topic::User(UserId::new("alice").unwrap());
        let post = Topic::Room(RoomName::parse("post:1").unwrap());
        let one = Names::new("tidings", false, 0);
        assert_eq!(one.channel(&alice), "tidings:user:alice");
        assert_eq!(one.channel(&post), "tidings:room:post:1");
        assert_eq!(one.channel(&Topic::Nodes), "tidings:nodes");
        let staging = Names::new("tidings", false, 1);
        assert_eq!(staging.channel(&alice), "tidings:db1:user:alice");
        assert_eq!(
            staging.key(alice.partition(), "connections", "alice"),
            "tidings:connections:alice"
        );
        let cluster = Names::new("tidings", true, 0);
        let tag = Partition::of("alice").tag();
        assert_eq!(cluster.channel(&alice), format!("tidings:{{{tag}}}:user:alice"));
    }
}
