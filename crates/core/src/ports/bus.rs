use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    ids::UserId,
    inbox::InboxChange,
    room::{RoomName, RoomSignal},
    signal::NodeSignal,
};

/// The bus is away or refuses. Never fatal: it carries hints, the store has the truth.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the bus is not available: {0}")]
pub struct BusError(pub String);

/// Carries hints about committed changes to the nodes that serve the users concerned, and what
/// happens in rooms to the nodes that have somebody in them.
///
/// At most once, in order per publisher and user, or publisher and room. Who misses a change
/// sees a gap in `rev` and asks the store; an event of a room that is missed is gone.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    async fn publish(&self, changes: &[Arc<InboxChange>]) -> Result<(), BusError>;

    /// Returns when changes of this user that are published from now on will reach the sink.
    /// Subscriptions are counted, also those that fail: each wants its `unsubscribe`, and the
    /// last one ends it. So one that ends never races with one that begins.
    async fn subscribe(&self, user: &UserId) -> Result<(), BusError>;

    /// Gives one subscription back. Changes may still come for a while.
    fn unsubscribe(&self, user: &UserId);

    async fn publish_room(&self, signal: &Arc<RoomSignal>) -> Result<(), BusError>;

    /// Returns when signals of this room that are published from now on will reach the sink.
    /// Counted like the subscriptions of users.
    async fn subscribe_room(&self, room: &RoomName) -> Result<(), BusError>;

    fn unsubscribe_room(&self, room: &RoomName);

    /// To every node, also this one, whatever it subscribed to.
    async fn publish_to_nodes(&self, signal: &Arc<NodeSignal>) -> Result<(), BusError>;
}

/// Where a node's bus delivers what it hears. Must not block.
pub trait BusSink: Send + Sync + 'static {
    fn receive(&self, change: Arc<InboxChange>);

    fn receive_room(&self, signal: Arc<RoomSignal>);

    fn receive_signal(&self, signal: Arc<NodeSignal>);
}
