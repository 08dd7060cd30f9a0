//! The bus itself: what is said here is heard here at once, and elsewhere through Redis.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tidings_core::{
    ids::{NodeId, UserId},
    inbox::InboxChange,
    ports::{Answers, Bus, BusError, BusHealth, BusSink},
    room::{History, Past, Position, RoomName, RoomSignal},
    signal::NodeSignal,
    time::Timestamp,
};
use tokio::task::JoinHandle;

use super::{
    channel::Topic,
    handle::Redis,
    history::{self, NotKept},
    memory,
    shared::{Shared, away},
    stats::Stats,
    wire::Bodies,
};

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(1);

/// This node's end of the bus.
pub struct RedisBus {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

impl RedisBus {
    /// `sink` hears what this node subscribes to.
    pub fn start(redis: Redis, node: NodeId, sink: Arc<dyn BusSink>) -> Self {
        let shared = Arc::new(Shared::new(redis, node, sink));
        shared.relink();
        let tasks = [
            tokio::spawn(follow_topology(Arc::clone(&shared))),
            tokio::spawn(look_after(Arc::clone(&shared))),
        ];
        Self { shared, tasks }
    }

    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        Stats {
            published: counters.published.get(),
            unpublished: counters.unpublished.get(),
            received: counters.received.get(),
            unreadable: counters.unreadable.get(),
            lagged: counters.lagged.get(),
            connects: counters.connects.get(),
            topics: self.shared.topics.lock().len(),
            nodes: self.shared.nodes.count(Instant::now()) + 1,
        }
    }

    pub fn redis(&self) -> &Redis {
        &self.shared.redis
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        // They hold what holds them.
        self.shared.unlink();
    }
}

/// Opens and closes links as masters come and go.
async fn follow_topology(shared: Arc<Shared>) {
    let mut changes = shared.redis.watch();
    while changes.changed().await.is_ok() {
        shared.relink();
    }
}

/// Gives signs of life, lets go of what nobody wants, and says what was owed.
async fn look_after(shared: Arc<Shared>) {
    loop {
        shared.say(&Topic::Nodes, shared.voice.beat());
        shared.forget_idle();
        shared.settle().await;
        tokio::select! {
            () = tokio::time::sleep(BEAT) => {}
            () = shared.confessing.notified() => {}
        }
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, changes: &[Arc<InboxChange>]) -> Result<(), BusError> {
        let shared = &self.shared;
        let mut bodies = Bodies::default();
        let mut outcome = Ok(());
        for change in changes {
            let topic = Topic::User(change.user.clone());
            if shared.is_wanted(&topic) {
                shared.sink.receive(Arc::clone(change));
            }
            outcome =
                outcome.and(shared.say_or_owe(&topic, shared.voice.change(change, &mut bodies)));
        }
        outcome
    }

    async fn subscribe(&self, user: &UserId) -> Result<(), BusError> {
        self.shared.subscribe(Topic::User(user.clone())).await
    }

    fn unsubscribe(&self, user: &UserId) {
        self.shared.unsubscribe(&Topic::User(user.clone()));
    }

    async fn publish_room(&self, signal: &Arc<RoomSignal>) -> Result<(), BusError> {
        let shared = &self.shared;
        if let RoomSignal::Event(event) = &**signal
            && let Some(limits) = event.history.filter(|_| !event.volatile)
        {
            return match history::publish(&shared.redis, &shared.voice, event, limits).await {
                Ok(()) => Ok(()),
                Err(NotKept::Refused(problem)) => {
                    shared.say_beside_history(signal, event);
                    Err(problem)
                }
                // Saying it again could be saying it twice.
                Err(NotKept::Unknown(problem)) => Err(problem),
            };
        }
        if let RoomSignal::Event(event) = &**signal
            && let Some(limits) = event.memory.filter(|_| !event.volatile)
        {
            return memory::publish(shared, signal, event, limits);
        }
        shared.tell_room(signal);
        let topic = Topic::Room(signal.room().clone());
        let payload = shared.voice.room(signal);
        match &**signal {
            // Others would go by what was before, until the next change.
            RoomSignal::MembershipLost { .. } | RoomSignal::Presence { .. } => {
                shared.say_or_owe(&topic, payload)
            }
            RoomSignal::Event(_) if shared.say(&topic, payload) => Ok(()),
            RoomSignal::Event(_) => {
                shared.counters.unpublished.add(1);
                Err(away())
            }
        }
    }

    async fn subscribe_room(&self, room: &RoomName) -> Result<(), BusError> {
        self.shared.subscribe(Topic::Room(room.clone())).await
    }

    fn unsubscribe_room(&self, room: &RoomName) {
        self.shared.unsubscribe(&Topic::Room(room.clone()));
    }

    async fn publish_to_nodes(&self, signal: &Arc<NodeSignal>) -> Result<(), BusError> {
        let shared = &self.shared;
        shared.sink.receive_signal(Arc::clone(signal));
        shared.say_or_owe(&Topic::Nodes, shared.voice.signal(signal))
    }

    async fn publish_to_node(
        &self,
        node: &NodeId,
        signal: &Arc<NodeSignal>,
    ) -> Result<(), BusError> {
        let shared = &self.shared;
        if *node == shared.node {
            shared.sink.receive_signal(Arc::clone(signal));
            return Ok(());
        }
        shared.say_or_owe(&Topic::Node(node.clone()), shared.voice.signal(signal))
    }

    async fn ask_nodes(
        &self,
        signal: &Arc<NodeSignal>,
        patience: Duration,
    ) -> Result<Answers, BusError> {
        let shared = &self.shared;
        let id = rand::random();
        let completed = shared.nodes.ask(id, Instant::now());
        let said = shared.say_or_owe(&Topic::Nodes, shared.voice.question(id, signal));
        let here = shared.sink.receive_signal(Arc::clone(signal));
        shared.nodes.answered(id, shared.node.clone(), here);
        if said.is_ok() {
            // Whoever is silent by then is named.
            let _ = tokio::time::timeout(patience, completed).await;
        }
        Ok(shared.nodes.answers(id))
    }

    async fn room_past(
        &self,
        room: &RoomName,
        since: Option<Position>,
        limits: History,
        now: Timestamp,
    ) -> Result<Past, BusError> {
        history::read(&self.shared.redis, room, since, limits, now).await
    }

    fn health(&self) -> BusHealth {
        self.shared.health()
    }

    async fn leave(&self) {
        self.shared.say(&Topic::Nodes, self.shared.voice.farewell());
        self.shared.said_everything().await;
    }
}
