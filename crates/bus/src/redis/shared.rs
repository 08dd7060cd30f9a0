//! What the parts of the bus have in common: what is wanted here, and the ways to the masters.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tidings_core::{
    ids::NodeId,
    ports::{BusError, BusHealth, BusSink},
    room::{RoomEvent, RoomName, RoomSignal},
};
use tokio::sync::{Notify, oneshot};

use super::{
    channel::Topic,
    handle::Redis,
    history,
    link::{Link, LinkState, Wish},
    nodes::Nodes,
    partition::Partition,
    speaker::Utterance,
    stats::Counters,
    topics::{Generation, Topics},
    topology::Topology,
    wire::{Heard, Spoken, Unreadable, Voice},
};

/// Between two looks at whether everything was said.
const LOOK: Duration = Duration::from_millis(5);
/// Rooms whose history is to begin again.
const MAX_BROKEN: usize = 10_000;

pub(super) struct Shared {
    pub(super) node: NodeId,
    pub(super) redis: Redis,
    pub(super) voice: Voice,
    pub(super) sink: Arc<dyn BusSink>,
    pub(super) topics: Mutex<Topics>,
    pub(super) counters: Counters,
    links: RwLock<Links>,
    pub(super) nodes: Nodes,
    generation: AtomicU32,
    /// A connection was there to speak through.
    spoke: AtomicBool,
    /// Others are to be told that not everything was said.
    confession: AtomicBool,
    pub(super) confessing: Notify,
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

impl Shared {
    pub(super) fn new(redis: Redis, node: NodeId, sink: Arc<dyn BusSink>) -> Self {
        Self {
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
        }
    }

    /// Lets go of the links, which hold this.
    pub(super) fn unlink(&self) {
        *self.links.write() = Links::default();
    }

    pub(super) fn health(&self) -> BusHealth {
        let links = self.links.read();
        // A partition without a master is one whose users are not heard.
        let is_up = |partition| links.of(partition).is_some_and(|link| link.state.is_up());
        let connected = Partition::all().all(is_up);
        let lag = links.masters.iter().map(|link| link.state.lag(Instant::now())).max();
        BusHealth { connected, lag }
    }

    /// Makes the links that the topology asks for; those that fit stay.
    pub(super) fn relink(self: &Arc<Self>) {
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
        let channel = self.redis.names().channel(topic);
        self.utter(topic, Utterance { channel, payload, kept: None })
    }

    pub(super) fn utter(&self, topic: &Topic, utterance: Utterance) -> bool {
        let link = self.links.read().of(topic.partition()).cloned();
        link.is_some_and(|link| link.say(utterance))
    }

    /// The same, of what others then have to be told to look for.
    pub(super) fn say_or_owe(&self, topic: &Topic, payload: Vec<u8>) -> Result<(), BusError> {
        if self.say(topic, payload) {
            return Ok(());
        }
        self.counters.unpublished.add(1);
        self.confession.store(true, Ordering::Release);
        Err(away())
    }

    /// Returns when nothing waits to be said, or cannot be said now.
    pub(super) async fn said_everything(&self) {
        let links: Vec<_> = self.links.read().masters.clone();
        for link in links {
            while !link.is_silent() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// There is a connection to speak through. What was to be said before it may not have been:
    /// the others are told.
    pub(super) fn can_speak(&self) {
        if self.spoke.swap(true, Ordering::AcqRel) {
            self.confession.store(true, Ordering::Release);
        }
        self.confessing.notify_one();
    }

    pub(super) async fn settle(&self) {
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

    pub(super) fn forget_idle(&self) {
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

    pub(super) fn is_wanted(&self, topic: &Topic) -> bool {
        self.topics.lock().is_wanted(topic)
    }

    pub(super) async fn subscribe(&self, topic: Topic) -> Result<(), BusError> {
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
        let patience = self.redis.settings().confirmation_timeout;
        match tokio::time::timeout(patience, confirmed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(BusError("a subscription was not confirmed".to_owned())),
        }
    }

    pub(super) fn unsubscribe(&self, topic: &Topic) {
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
            Heard::Farewell => {
                self.nodes.left(&from()?);
                // What it said last may not have got as far as Redis.
                self.sink.missed();
            }
            Heard::Missed => self.sink.missed(),
        }
        Ok(())
    }

    /// To those who listen here.
    pub(super) fn tell_room(&self, signal: &Arc<RoomSignal>) {
        if self.is_wanted(&Topic::Room(signal.room().clone())) {
            self.sink.receive_room(Arc::clone(signal));
        }
    }

    /// Something was said in the room that Redis does not remember.
    pub(super) fn breaks(&self, room: &RoomName) {
        let mut broken = self.broken.lock();
        if broken.len() < MAX_BROKEN {
            broken.insert(room.clone());
        }
    }

    /// The history of its room does not have it: nobody may believe it whole.
    pub(super) fn say_beside_history(&self, signal: &Arc<RoomSignal>, event: &RoomEvent) {
        self.breaks(&event.room);
        self.tell_room(signal);
        self.say(&Topic::Room(event.room.clone()), self.voice.room(signal));
    }
}

pub(super) fn away() -> BusError {
    BusError("Redis is away".to_owned())
}
