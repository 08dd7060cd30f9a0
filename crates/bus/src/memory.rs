//! A bus inside one process, for one node (or, in tests, several).

mod parking;
mod quotas;
mod registry;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::Hash,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use tidings_core::{
    ids::{NodeId, UserId},
    inbox::InboxChange,
    ports::{Answers, Bus, BusError, BusHealth, BusSink},
    room::{Epoch, Histories, History, Past, Position, RoomEvent, RoomName, RoomSignal},
    signal::NodeSignal,
    time::Timestamp,
};

pub use parking::MemoryParking;
pub use quotas::MemoryQuotas;
pub use registry::MemoryRegistry;

/// What the nodes of one process have in common.
pub struct MemoryBroker {
    nodes: RwLock<Vec<Arc<Node>>>,
    /// Locked while an event of them is delivered, so that events come in the order of their positions.
    histories: Mutex<Histories>,
    registry: Arc<MemoryRegistry>,
    quotas: Arc<MemoryQuotas>,
    parking: Arc<MemoryParking>,
}

/// What all rooms together remember, at most, in bytes.
const MAX_HISTORY: usize = 64 << 20;
/// What an event takes beside its data.
const EVENT_COST: usize = 256;

impl Default for MemoryBroker {
    fn default() -> Self {
        let histories = Histories::new(Epoch(rand::random()), MAX_HISTORY);
        Self {
            nodes: RwLock::default(),
            histories: Mutex::new(histories),
            registry: Arc::default(),
            quotas: Arc::default(),
            parking: Arc::default(),
        }
    }
}

struct Node {
    id: NodeId,
    users: Subscriptions<UserId>,
    rooms: Subscriptions<RoomName>,
    sink: Arc<dyn BusSink>,
}

/// How many subscriptions each user or room has.
struct Subscriptions<K>(Mutex<Counts<K>>);

/// Nearly all have one, and there are many: a set has no room for a count.
struct Counts<K> {
    all: HashSet<K>,
    /// Beyond the first.
    further: HashMap<K, usize>,
}

impl<K: Eq + Hash + Clone> Subscriptions<K> {
    fn new() -> Self {
        Self(Mutex::new(Counts { all: HashSet::new(), further: HashMap::new() }))
    }

    fn contains(&self, key: &K) -> bool {
        self.0.lock().all.contains(key)
    }

    fn add(&self, key: &K) {
        let mut counts = self.0.lock();
        if !counts.all.insert(key.clone()) {
            *counts.further.entry(key.clone()).or_default() += 1;
        }
    }

    fn give_back(&self, key: &K) {
        let mut counts = self.0.lock();
        let Entry::Occupied(mut further) = counts.further.entry(key.clone()) else {
            counts.all.remove(key);
            return;
        };
        *further.get_mut() -= 1;
        if *further.get() == 0 {
            further.remove();
        }
    }
}

/// One node's end of the bus.
pub struct MemoryBus {
    broker: Arc<MemoryBroker>,
    node: Arc<Node>,
}

impl MemoryBroker {
    /// Adds a node; `sink` hears of the users and rooms that it subscribes to.
    pub fn join(self: &Arc<Self>, id: NodeId, sink: Arc<dyn BusSink>) -> MemoryBus {
        let (users, rooms) = (Subscriptions::new(), Subscriptions::new());
        let node = Arc::new(Node { id, users, rooms, sink });
        self.nodes.write().push(Arc::clone(&node));
        MemoryBus { broker: Arc::clone(self), node }
    }

    /// Limits for all its nodes together.
    pub fn quotas(&self) -> Arc<MemoryQuotas> {
        Arc::clone(&self.quotas)
    }

    /// Where its nodes leave something for one another.
    pub fn parking(&self) -> Arc<MemoryParking> {
        Arc::clone(&self.parking)
    }

    /// What its nodes know of one another's connections.
    pub fn registry(&self) -> Arc<MemoryRegistry> {
        Arc::clone(&self.registry)
    }
}

impl MemoryBroker {
    fn deliver(&self, signal: &Arc<RoomSignal>) {
        let nodes = self.nodes.read();
        for node in nodes.iter().filter(|node| node.rooms.contains(signal.room())) {
            node.sink.receive_room(Arc::clone(signal));
        }
    }
}

impl Drop for MemoryBus {
    fn drop(&mut self) {
        self.broker.nodes.write().retain(|node| !Arc::ptr_eq(node, &self.node));
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, changes: &[Arc<InboxChange>]) -> Result<(), BusError> {
        let nodes = self.broker.nodes.read();
        for change in changes {
            for node in nodes.iter().filter(|node| node.users.contains(&change.user)) {
                node.sink.receive(Arc::clone(change));
            }
        }
        Ok(())
    }

    async fn subscribe(&self, user: &UserId) -> Result<(), BusError> {
        self.node.users.add(user);
        Ok(())
    }

    fn unsubscribe(&self, user: &UserId) {
        self.node.users.give_back(user);
    }

    async fn publish_room(&self, signal: &Arc<RoomSignal>) -> Result<(), BusError> {
        let RoomSignal::Event(event) = &**signal else {
            self.broker.deliver(signal);
            return Ok(());
        };
        let limits = event.history.or(event.memory.map(|memory| memory.limits));
        let Some(limits) = limits.filter(|_| !event.volatile) else {
            self.broker.deliver(signal);
            return Ok(());
        };
        let mut histories = self.broker.histories.lock();
        let position = Some(histories.advance());
        let bytes = EVENT_COST + event.name.len() + event.data.get().len();
        let at = event.at;
        let signal = Arc::new(RoomSignal::Event(RoomEvent { position, ..event.clone() }));
        histories.keep(Arc::clone(&signal), bytes, limits, at);
        self.broker.deliver(&signal);
        if let Some(memory) = event.memory {
            self.node.sink.placed(&event.room, memory.id, position);
        }
        Ok(())
    }

    async fn subscribe_room(&self, room: &RoomName) -> Result<(), BusError> {
        self.node.rooms.add(room);
        Ok(())
    }

    fn unsubscribe_room(&self, room: &RoomName) {
        self.node.rooms.give_back(room);
    }

    async fn publish_to_nodes(&self, signal: &Arc<NodeSignal>) -> Result<(), BusError> {
        for node in self.broker.nodes.read().iter() {
            node.sink.receive_signal(Arc::clone(signal));
        }
        Ok(())
    }

    async fn publish_to_node(
        &self,
        node: &NodeId,
        signal: &Arc<NodeSignal>,
    ) -> Result<(), BusError> {
        for node in self.broker.nodes.read().iter().filter(|other| other.id == *node) {
            node.sink.receive_signal(Arc::clone(signal));
        }
        Ok(())
    }

    async fn ask_nodes(
        &self,
        signal: &Arc<NodeSignal>,
        _patience: Duration,
    ) -> Result<Answers, BusError> {
        let mut answers = Answers::default();
        for node in self.broker.nodes.read().iter() {
            answers.concerned += node.sink.receive_signal(Arc::clone(signal));
            answers.answered.push(node.id.clone());
        }
        Ok(answers)
    }

    async fn room_past(
        &self,
        room: &RoomName,
        since: Option<Position>,
        limits: History,
        now: Timestamp,
    ) -> Result<Past, BusError> {
        Ok(self.broker.histories.lock().since(room, since, limits, now))
    }

    fn health(&self) -> BusHealth {
        BusHealth { connected: true, lag: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_core::{
        ids::Rev,
        inbox::ChangeKind,
        revocation::{Revocation, Revoked},
        time::Timestamp,
    };

    #[derive(Default)]
    struct Heard {
        changes: Mutex<Vec<(UserId, Rev)>>,
        signals: Mutex<Vec<Arc<RoomSignal>>>,
        to_all: Mutex<Vec<Arc<NodeSignal>>>,
    }

    impl BusSink for Heard {
        fn receive(&self, change: Arc<InboxChange>) {
            self.changes.lock().push((change.user.clone(), change.rev));
        }

        fn receive_room(&self, signal: Arc<RoomSignal>) {
            self.signals.lock().push(signal);
        }

        fn receive_signal(&self, signal: Arc<NodeSignal>) -> u64 {
            self.to_all.lock().push(signal);
            1
        }

        fn missed(&self) {}
    }

    fn node(id: &str) -> NodeId {
        NodeId::new(id).unwrap()
    }

    fn change(user: &UserId, rev: u64) -> Arc<InboxChange> {
        let kind = ChangeKind::Removed(vec![]);
        Arc::new(InboxChange {
            user: user.clone(),
            rev: Rev(rev),
            unread: 0,
            at: Timestamp::EPOCH,
            kind,
        })
    }

    fn lost(room: &RoomName) -> Arc<RoomSignal> {
        Arc::new(RoomSignal::MembershipLost { room: room.clone(), users: vec![] })
    }

    #[tokio::test]
    async fn nodes_hear_of_the_users_they_subscribe_to_and_in_order() {
        let broker = Arc::new(MemoryBroker::default());
        let (here, there) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        let bus = broker.join(node("here"), here.clone());
        let other = broker.join(node("there"), there.clone());
        let (alice, bob) = (UserId::new("alice").unwrap(), UserId::new("bob").unwrap());
        other.subscribe(&alice).await.unwrap();
        bus.publish(&[change(&alice, 1), change(&bob, 1), change(&alice, 2)]).await.unwrap();
        other.unsubscribe(&alice);
        bus.publish(&[change(&alice, 3)]).await.unwrap();
        assert!(here.changes.lock().is_empty());
        assert_eq!(*there.changes.lock(), [(alice.clone(), Rev(1)), (alice, Rev(2))]);
    }

    #[tokio::test]
    async fn every_node_hears_of_a_signal_without_a_subscription() {
        let broker = Arc::new(MemoryBroker::default());
        let (here, there) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        let (bus, _other) =
            (broker.join(node("here"), here.clone()), broker.join(node("there"), there.clone()));
        let revoked = Revoked::Jti { jti: "j".into() };
        let signal = NodeSignal::Revoked(Revocation { revoked, ends_at: Timestamp::EPOCH });
        bus.publish_to_nodes(&Arc::new(signal.clone())).await.unwrap();
        for heard in [here, there] {
            assert_eq!(*heard.to_all.lock(), [Arc::new(signal.clone())]);
        }
    }

    #[tokio::test]
    async fn nodes_hear_of_a_room_until_its_last_subscription_is_given_back() {
        let broker = Arc::new(MemoryBroker::default());
        let (here, there) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        let bus = broker.join(node("here"), here.clone());
        let other = broker.join(node("there"), there.clone());
        let (one, two) = (RoomName::parse("post:1").unwrap(), RoomName::parse("post:2").unwrap());
        other.subscribe_room(&one).await.unwrap();
        other.subscribe_room(&one).await.unwrap();
        let signals = [lost(&one), lost(&two), lost(&one), lost(&one)];
        bus.publish_room(&signals[0]).await.unwrap();
        bus.publish_room(&signals[1]).await.unwrap();
        other.unsubscribe_room(&one);
        bus.publish_room(&signals[2]).await.unwrap();
        other.unsubscribe_room(&one);
        bus.publish_room(&signals[3]).await.unwrap();
        assert!(here.signals.lock().is_empty());
        let heard = there.signals.lock();
        let same: Vec<_> =
            signals.iter().map(|s| heard.iter().any(|h| Arc::ptr_eq(h, s))).collect();
        assert_eq!(same, [true, false, true, false]);
        assert!(Arc::ptr_eq(&heard[0], &signals[0]));
    }
}
