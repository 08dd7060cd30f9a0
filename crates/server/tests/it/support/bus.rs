use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tidings_bus::MemoryBroker;
use tidings_core::{
    ids::{NodeId, UserId},
    inbox::InboxChange,
    ports::{Answers, Bus, BusError, BusHealth, BusSink},
    room::{History, Past, Position, RoomName, RoomSignal},
    signal::NodeSignal,
    time::Timestamp,
};
use tidings_server::bus::JoinBus;

/// A bus that loses everything while it is told to.
#[derive(Clone, Default)]
pub struct LossyBus {
    losing: Arc<AtomicBool>,
    lost: Arc<AtomicUsize>,
    broker: Arc<MemoryBroker>,
}

struct End {
    losing: Arc<AtomicBool>,
    lost: Arc<AtomicUsize>,
    bus: Arc<dyn Bus>,
}

impl LossyBus {
    pub fn lose(&self, losing: bool) {
        self.losing.store(losing, Ordering::SeqCst);
    }

    /// Changes that nobody heard of.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }

    pub fn join(&self) -> JoinBus {
        let Self { losing, lost, broker } = self.clone();
        Box::new(move |node: NodeId, sink: Arc<dyn BusSink>| {
            let bus = Arc::new(broker.join(node, sink));
            Arc::new(End { losing, lost, bus })
        })
    }
}

#[async_trait]
impl Bus for End {
    async fn publish(&self, changes: &[Arc<InboxChange>]) -> Result<(), BusError> {
        if self.losing.load(Ordering::SeqCst) {
            self.lost.fetch_add(changes.len(), Ordering::SeqCst);
            return Ok(());
        }
        self.bus.publish(changes).await
    }

    async fn subscribe(&self, user: &UserId) -> Result<(), BusError> {
        self.bus.subscribe(user).await
    }

    fn unsubscribe(&self, user: &UserId) {
        self.bus.unsubscribe(user);
    }

    async fn publish_room(&self, signal: &Arc<RoomSignal>) -> Result<(), BusError> {
        if self.losing.load(Ordering::SeqCst) {
            self.lost.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        self.bus.publish_room(signal).await
    }

    async fn subscribe_room(&self, room: &RoomName) -> Result<(), BusError> {
        self.bus.subscribe_room(room).await
    }

    fn unsubscribe_room(&self, room: &RoomName) {
        self.bus.unsubscribe_room(room);
    }

    async fn publish_to_nodes(&self, signal: &Arc<NodeSignal>) -> Result<(), BusError> {
        if self.losing.load(Ordering::SeqCst) {
            self.lost.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        self.bus.publish_to_nodes(signal).await
    }

    async fn publish_to_node(
        &self,
        node: &NodeId,
        signal: &Arc<NodeSignal>,
    ) -> Result<(), BusError> {
        if self.losing.load(Ordering::SeqCst) {
            self.lost.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        self.bus.publish_to_node(node, signal).await
    }

    async fn ask_nodes(
        &self,
        signal: &Arc<NodeSignal>,
        patience: Duration,
    ) -> Result<Answers, BusError> {
        if self.losing.load(Ordering::SeqCst) {
            return Ok(Answers::default());
        }
        self.bus.ask_nodes(signal, patience).await
    }

    async fn room_past(
        &self,
        room: &RoomName,
        since: Option<Position>,
        limits: History,
        now: Timestamp,
    ) -> Result<Past, BusError> {
        self.bus.room_past(room, since, limits, now).await
    }
    fn health(&self) -> BusHealth {
        self.bus.health()
    }
}
