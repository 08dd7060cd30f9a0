//! The bus itself: what is said here is heard here at once, and elsewhere through Redis.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use tidings_core::{
    ids::{NodeId, UserId},
    inbox::InboxChange,
    ports::{Answers, Bus, BusError, BusHealth, BusSink},
    room::{History, Past, Position, RoomEvent, RoomName, RoomSignal},
    signal::NodeSignal,
    time::Timestamp,
};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};

use super::{
    channel::Topic,
    handle::Redis,
    history,
    link::{Link, LinkState, Wish},
    nodes::Nodes,
    partition::Partition,
    speaker::Utterance,
    stats::{Counters, Stats},
    topics::{Generation, Topics},
    topology::Topology,
    wire::{Bodies, Heard, Spoken, Unreadable, Voice},
};

/// How long a subscription waits to be confirmed.
const CONFIRMATION: Duration = Duration::from_secs(2);
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// Rooms whose history is to begin again.
const MAX_BROKEN: usize = 10_000;

/// This node's end of the bus.
pub struct RedisBus {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

pub(super) struct Shared {
    pub(super) node: NodeId,
    pub(super) redis: Redis,
    pub(super) voice: Voice,
    pub(super) sink: Arc<dyn BusSink>,
    pub(super) topics: Mutex<Topics>,
    pub(super) counters: Counters,
    links: RwLock<Links>,
    nodes: Nodes,
    generation: AtomicU32,
    /// A connection was there to speak through.
    spoke: AtomicBool,
    /// Others are to be told that not everything was said.
    confession: AtomicBool,
    confessing: Notify,
    /// Rooms of which something was said that their history does not have.
    broken: Mutex<HashSet<RoomName>>,
}

#[derive(Default)]
struct Links {
    /// As of the topology.
    masters: Vec<Arc<Link>>,
    topology: Option<Arc<Topology>>,
}

impl Links {
    fn of(&self, partition: Partition) -> Option<&Arc<Link>> {
        self.masters.get(self.topology.as_ref()?.master_of(partition)?)
    }
}

impl RedisBus {
    /// `sink` hears what this node subscribes to.
    pub fn start(redis: Redis, node: NodeId, sink: Arc<dyn BusSink>) -> Self {
        let shared = Arc::new(Shared {
            voice: Voice::new(node.clone()),
            node,
            redis,
            sink,
            topics: Mutex::default(),
            counters: Counters::default(),
            links: RwLock::default(),
            nodes: Nodes::default(),
            generation: AtomicU32::new(0),
            spoke: AtomicBool::new(false),
            confession: AtomicBool::new(false),
            confessing: Notify::new(),
            broken: Mutex::default(),
        });
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
        *self.shared.links.write() = Links::default();
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

impl Shared {
    /// Makes the links that the topology asks for; those that fit stay.
    fn relink(self: &Arc<Self>) {
        let Some(topology) = self.redis.topology() else { return };
        let mut links = self.links.write();
        let wanted = topology.masters.iter().enumerate().map(|(n, server)| {
            let partitions = topology.partitions_of(n);
            let same = |link: &&Arc<Link>| link.server == *server && link.partitions == partitions;
            let known = links.masters.iter().find(same).cloned();
            known.unwrap_or_else(|| Link::open(self, server.clone(), partitions))
        });
        let masters = wanted.collect();
        *links = Links { masters, topology: Some(topology) };
    }

    pub(super) fn next_generation(&self) -> Generation {
        self.generation.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1)
    }

    /// What a node listens to whoever is connected to it, as far as it lies in these partitions.
    pub(super) fn fixed_topics(&self, partitions: &[Partition]) -> Vec<Topic> {
        let probe = partitions.first().map(|first| Topic::Probe(self.node.clone(), *first));
        let fixed = [Topic::Node(self.node.clone()), Topic::Nodes].into_iter().chain(probe);
        fixed.filter(|topic| partitions.binary_search(&topic.partition()).is_ok()).collect()
    }

    /// Says something to whoever listens; `false`: it cannot be said now.
    pub(super) fn say(&self, topic: &Topic, payload: Vec<u8>) -> bool {
        let links = self.links.read();
        let Some(link) = links.of(topic.partition()) else { return false };
        link.say(Utterance { channel: self.redis.names().channel(topic), payload })
    }

    /// The same, of what others then have to be told to look for.
    fn say_or_owe(&self, topic: &Topic, payload: Vec<u8>) -> Result<(), BusError> {
        if self.say(topic, payload) {
            return Ok(());
        }
        self.counters.unpublished.add(1);
        self.confession.store(true, Ordering::Release);
        Err(away())
    }

    /// There is a connection to speak through. What was to be said before it may not have been:
    /// the others are told.
    pub(super) fn can_speak(&self) {
        if self.spoke.swap(true, Ordering::AcqRel) {
            self.confession.store(true, Ordering::Release);
        }
        self.confessing.notify_one();
    }

    async fn settle(&self) {
        if self.confession.swap(false, Ordering::AcqRel)
            && !self.say(&Topic::Nodes, self.voice.missed())
        {
            self.confession.store(true, Ordering::Release);
            return;
        }
        let broken: Vec<RoomName> = self.broken.lock().iter().cloned().collect();
        for room in broken {
            if history::forget(&self.redis, &room).await.is_err() {
                return;
            }
            self.broken.lock().remove(&room);
        }
    }

    fn forget_idle(&self) {
        let linger = self.redis.settings().linger;
        let mut topics = self.topics.lock();
        let idle = topics.take_idle(linger, Instant::now());
        if idle.is_empty() {
            return;
        }
        // Under the lock: who subscribes one of them again is heard after this.
        let links = self.links.read();
        for link in &links.masters {
            let here = |topic: &&Topic| link.partitions.binary_search(&topic.partition()).is_ok();
            let idle: Vec<Topic> = idle.iter().filter(here).cloned().collect();
            if !idle.is_empty() {
                link.wish(Wish::Forget(idle));
            }
        }
    }

    fn is_wanted(&self, topic: &Topic) -> bool {
        self.topics.lock().is_wanted(topic)
    }

    async fn subscribe(&self, topic: Topic) -> Result<(), BusError> {
        let confirmed = {
            let mut topics = self.topics.lock();
            topics.add(&topic);
            let links = self.links.read();
            let link = links.of(topic.partition()).ok_or_else(away)?;
            if topics.is_confirmed(&topic, link.state.generation()) {
                return Ok(());
            }
            if !link.state.listens.load(Ordering::Acquire) {
                // It subscribes everything when it can, and says then that something was missed.
                return Err(away());
            }
            let (done, confirmed) = oneshot::channel();
            link.wish(Wish::Hear(topic, done));
            confirmed
        };
        match tokio::time::timeout(CONFIRMATION, confirmed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(BusError("a subscription was not confirmed".to_owned())),
        }
    }

    fn unsubscribe(&self, topic: &Topic) {
        self.topics.lock().give_back(topic, Instant::now());
    }

    /// Takes a message from Redis.
    pub(super) fn hear(&self, payload: &[u8], link: &LinkState) {
        if let Err(problem) = self.understand(payload, link) {
            self.counters.unreadable.add(1);
            tracing::debug!(%problem, "a message on the bus is ignored");
        }
    }

    fn understand(&self, payload: &[u8], link: &LinkState) -> Result<(), Unreadable> {
        let spoken = Spoken::read(payload)?;
        if spoken.is_echo(&self.node) {
            return Ok(());
        }
        let from = || NodeId::new(spoken.from).map_err(|e| Unreadable(e.to_string()));
        self.counters.received.add(1);
        match spoken.heard()? {
            Heard::Change(change) => self.sink.receive(change),
            Heard::Room(signal) => self.sink.receive_room(signal),
            Heard::Signal(signal) => drop(self.sink.receive_signal(signal)),
            Heard::Question(id, signal) => {
                let from = from()?;
                let concerned = self.sink.receive_signal(signal);
                self.say(&Topic::Node(from), self.voice.answer(id, concerned));
            }
            Heard::Answer(id, concerned) => self.nodes.answered(id, from()?, concerned),
            Heard::Probe(number) => link.probe_heard(number, Instant::now()),
            Heard::Beat => self.nodes.heard(from()?, Instant::now()),
            Heard::Farewell => self.nodes.left(&from()?),
            Heard::Missed => self.sink.missed(),
        }
        Ok(())
    }

    /// To those who listen here.
    fn tell_room(&self, signal: &Arc<RoomSignal>) {
        if self.is_wanted(&Topic::Room(signal.room().clone())) {
            self.sink.receive_room(Arc::clone(signal));
        }
    }

    /// The history of its room does not have it: nobody may believe it whole.
    fn say_beside_history(&self, signal: &Arc<RoomSignal>, event: &RoomEvent) {
        let mut broken = self.broken.lock();
        if broken.len() < MAX_BROKEN {
            broken.insert(event.room.clone());
        }
        drop(broken);
        self.tell_room(signal);
        self.say(&Topic::Room(event.room.clone()), self.voice.room(signal));
    }
}

fn away() -> BusError {
    BusError("Redis is away".to_owned())
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
            let kept = history::publish(&shared.redis, &shared.voice, event, limits).await;
            if kept.is_err() {
                shared.say_beside_history(signal, event);
            }
            return kept;
        }
        shared.tell_room(signal);
        let topic = Topic::Room(signal.room().clone());
        match shared.say(&topic, shared.voice.room(signal)) {
            true => Ok(()),
            false => {
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
        let links = self.shared.links.read();
        let connected =
            !links.masters.is_empty() && links.masters.iter().all(|link| link.state.is_up());
        let lag = links.masters.iter().map(|link| link.state.lag()).max();
        BusHealth { connected, lag }
    }

    fn leave(&self) {
        self.shared.say(&Topic::Nodes, self.shared.voice.farewell());
    }
}
