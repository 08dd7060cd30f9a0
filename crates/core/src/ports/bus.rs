use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    ids::{NodeId, UserId},
    inbox::InboxChange,
    room::{History, Past, Position, RoomName, RoomSignal},
    signal::NodeSignal,
    time::Timestamp,
};

/// The bus is away or refuses. Never fatal: it carries hints, the store has the truth.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the bus is not available: {0}")]
pub struct BusError(pub String);

/// What came back from a question to all nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// What the nodes that answered said, added up.
    pub concerned: u64,
    pub answered: Vec<NodeId>,
    /// Nodes that are taken to live and did not answer in time.
    pub silent: Vec<NodeId>,
}

/// How a node's end of the bus is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BusHealth {
    /// Whether what other nodes say reaches this one.
    pub connected: bool,
    /// How long the last probe was under way through the bus and back; `None`: nothing is
    /// between the nodes that it could have gone through.
    pub lag: Option<Duration>,
}

/// Carries hints about committed changes to the nodes that serve the users concerned, and what
/// happens in rooms to the nodes that have somebody in them.
///
/// At most once, in order per publisher and user, or publisher and room. What is published
/// here reaches those who subscribed here also while nothing reaches other nodes. Who misses a
/// change sees a gap in `rev` and asks the store; an event of a room that is missed is gone,
/// unless the room has a history.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    async fn publish(&self, changes: &[Arc<InboxChange>]) -> Result<(), BusError>;

    /// Returns when changes of this user that are published from now on will reach the sink.
    /// Subscriptions are counted, also those that fail: each wants its `unsubscribe`, and the
    /// last one ends it. So one that ends never races with one that begins.
    async fn subscribe(&self, user: &UserId) -> Result<(), BusError>;

    /// Gives one subscription back. Changes may still come for a while.
    fn unsubscribe(&self, user: &UserId);

    /// An event with a history is given its position and kept, then published. One with a memory is heard here at once;
    /// its position, if it gets one, is told to the sink ([`BusSink::placed`]), unless this is an error.
    async fn publish_room(&self, signal: &Arc<RoomSignal>) -> Result<(), BusError>;

    /// Returns when signals of this room that are published from now on will reach the sink.
    /// Counted like the subscriptions of users.
    async fn subscribe_room(&self, room: &RoomName) -> Result<(), BusError>;

    fn unsubscribe_room(&self, room: &RoomName);

    /// To every node, also this one, whatever it subscribed to.
    async fn publish_to_nodes(&self, signal: &Arc<NodeSignal>) -> Result<(), BusError>;

    /// To one node, which may be this one.
    async fn publish_to_node(
        &self,
        node: &NodeId,
        signal: &Arc<NodeSignal>,
    ) -> Result<(), BusError>;

    /// To every node, also this one, and back: waits for the answers of all that are taken to
    /// live, at most for `patience`.
    async fn ask_nodes(
        &self,
        signal: &Arc<NodeSignal>,
        patience: Duration,
    ) -> Result<Answers, BusError>;

    /// What a room remembers for somebody who has heard it up to `since`. Whatever comes to the sink after this was
    /// called is in the answer or has a position above that of the answer.
    async fn room_past(
        &self,
        room: &RoomName,
        since: Option<Position>,
        limits: History,
        now: Timestamp,
    ) -> Result<Past, BusError>;

    fn health(&self) -> BusHealth;

    /// This node goes: others need not wait for it any more. Returns when everything that was published is on its way.
    async fn leave(&self) {}
}

/// Where a node's bus delivers what it hears. Must not block.
pub trait BusSink: Send + Sync + 'static {
    fn receive(&self, change: Arc<InboxChange>);

    fn receive_room(&self, signal: Arc<RoomSignal>);

    /// An event with a memory that this node said has a position now; `None`: it may never have been said.
    fn placed(&self, _room: &RoomName, _id: u64, _position: Option<Position>) {}

    /// Gives how many (connections, say) it concerned here.
    fn receive_signal(&self, signal: Arc<NodeSignal>) -> u64;

    /// Anything may have been lost until now: what can be asked for is to be asked for. What is
    /// published from now on is heard again.
    fn missed(&self);
}
