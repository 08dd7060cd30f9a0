use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    ids::UserId,
    inbox::InboxChange,
    room::{History, Past, Position, RoomName, RoomSignal},
    signal::NodeSignal,
    time::Timestamp,
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

    /// An event with a history is given its position and kept, then published.
    async fn publish_room(&self, signal: &Arc<RoomSignal>) -> Result<(), BusError>;

    /// Returns when signals of this room that are published from now on will reach the sink.
    /// Counted like the subscriptions of users.
    async fn subscribe_room(&self, room: &RoomName) -> Result<(), BusError>;

    fn unsubscribe_room(&self, room: &RoomName);

    /// To every node, also this one, whatever it subscribed to.
    async fn publish_to_nodes(&self, signal: &Arc<NodeSignal>) -> Result<(), BusError>;

    /// What a room remembers for somebody who has heard it up to `since`. Whatever comes to the sink after this was
    /// called is in the answer or has a position above that of the answer.
    async fn room_past(
        &self,
        room: &RoomName,
        since: Option<Position>,
        limits: History,
        now: Timestamp,
    ) -> Result<Past, BusError>;
}

/// Where a node's bus delivers what it hears. Must not block.
pub trait BusSink: Send + Sync + 'static {
    fn receive(&self, change: Arc<InboxChange>);

    fn receive_room(&self, signal: Arc<RoomSignal>);

    fn receive_signal(&self, signal: Arc<NodeSignal>);
}
