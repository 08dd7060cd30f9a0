//! Who is connected where: what the nodes of a cluster know of one another's connections.
//!
//! Each node writes what it holds and nothing else. A user's connections on all nodes make one
//! [`Record`] with a version: whoever changes a part of it gets all of it back, so that every
//! version was seen whole by the node that made it, and goes from there to whom it concerns.

mod peers;
mod record;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

pub use peers::{Peers, Verdict};
pub use record::{Connection, Record};

use crate::{ids::UserId, room::RoomName};

/// One run of one node. Later runs of any node have higher numbers, and none is given twice: one
/// that has ended, or was taken for dead, never comes back.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The nodes that the registry knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// No run has begun after this one.
    pub newest: Incarnation,
    /// Ids of the nodes that give signs of life.
    pub live: BTreeMap<Incarnation, String>,
    /// Runs that gave none for too long, or ended without taking everything with them.
    pub dead: Vec<Incarnation>,
}

/// How many connections of each node a user has in a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomRecord {
    pub users: BTreeMap<UserId, BTreeMap<Incarnation, usize>>,
}

impl RoomRecord {
    /// Users and connections on nodes that live.
    pub fn count(&self, lives: impl Fn(Incarnation) -> bool) -> (usize, usize) {
        let of = |nodes: &BTreeMap<Incarnation, usize>| {
            nodes.iter().filter(|(at, _)| lives(**at)).map(|(_, n)| *n).sum::<usize>()
        };
        let counts = self.users.values().map(of).filter(|n| *n > 0);
        counts.fold((0, 0), |(users, connections), n| (users + 1, connections + n))
    }
}

/// A user's connections of one node in one room, as many as there are; zero takes them out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seats {
    pub room: RoomName,
    pub user: UserId,
    pub connections: usize,
}

/// Something that a dead node has left behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leftover {
    User(UserId),
    Seats(RoomName, UserId),
}
