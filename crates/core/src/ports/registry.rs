use std::time::Duration;

use async_trait::async_trait;

use crate::{
    ids::UserId,
    registry::{Connection, Incarnation, Leftover, Record, RoomRecord, Roster, Seats},
    room::RoomName,
};

/// The registry is away or refuses. Never fatal: limits hold per node then, and nobody is
/// declared offline.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the registry is not available: {0}")]
pub struct RegistryError(pub String);

/// What became of a node that wants to be one of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enlisted {
    As(Incarnation),
    /// A node of this id holds a lease. `left`: how long, if it is not renewed.
    Taken {
        by: Incarnation,
        left: Duration,
    },
}

/// What became of a place in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seated {
    /// So many users are in the room.
    Yes {
        users: usize,
    },
    Full,
}

/// What the nodes of a cluster know of one another's connections, with leases that run out.
///
/// A node writes under its incarnation, and states what it holds: saying it again changes
/// nothing. Whoever reads leaves out what was written by nodes that do not live.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Begins a run of a node: nobody else can have its id while its lease lasts. `before` is a
    /// run of it that is known to be over, whatever its lease says; it is dead from now on.
    async fn enlist(
        &self,
        node: &str,
        before: Option<Incarnation>,
        lease: Duration,
    ) -> Result<Enlisted, RegistryError>;

    /// Lengthens the lease. `None`: it has run out, and with it this run is over.
    async fn renew(
        &self,
        me: Incarnation,
        lease: Duration,
    ) -> Result<Option<Roster>, RegistryError>;

    /// Ends a run whose connections have all been taken out. Others may be left: they are seen to
    /// as those of a dead one.
    async fn quit(&self, me: Incarnation) -> Result<(), RegistryError>;

    /// Puts these connections in the place of those that this run had of each user. Gives all that
    /// are known of each then, in their order.
    async fn put(
        &self,
        me: Incarnation,
        users: &[(UserId, Vec<Connection>)],
    ) -> Result<Vec<Record>, RegistryError>;

    /// What is known of users, in their order.
    async fn records(&self, users: &[UserId]) -> Result<Vec<Record>, RegistryError>;

    /// Takes places in a room unless `most` other users have some there, on whatever node.
    async fn seat(
        &self,
        me: Incarnation,
        seats: &Seats,
        most: usize,
    ) -> Result<Seated, RegistryError>;

    /// Takes or gives back places without asking how many there are.
    async fn put_seats(&self, me: Incarnation, seats: &[Seats]) -> Result<(), RegistryError>;

    async fn room(&self, room: &RoomName) -> Result<RoomRecord, RegistryError>;

    /// Says that this node takes away what a dead one left behind. Not so (`false`) while another
    /// does, which said so less than `hold` ago.
    async fn claim(
        &self,
        me: Incarnation,
        dead: Incarnation,
        hold: Duration,
    ) -> Result<bool, RegistryError>;

    /// Some of what a run wrote and did not take out.
    async fn leftovers(&self, of: Incarnation, most: usize)
    -> Result<Vec<Leftover>, RegistryError>;

    /// Nothing is left of a dead run: it is known no more.
    async fn bury(&self, dead: Incarnation) -> Result<(), RegistryError>;
}
