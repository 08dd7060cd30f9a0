//! Node.js servers with Socket.IO's classic Redis adapter, and its emitters, on the same Redis.
//!
//! A broadcast of theirs goes straight to this node's sockets: every node hears it for itself, nothing of it
//! comes to our own bus, and nothing that came from there is published again. What is said in rooms here is published for
//! them by the node that accepted it; other nodes of ours, which heard it by the bus, know by the sender's id that it is not for
//! them. Requests are answered by every node, as the adapter expects of whoever subscribes their channel.

mod acks;
mod broadcast;
mod membership;
mod metrics;
mod names;
mod requests;
mod sockets;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use tidings_bus::{
    redis::Redis,
    socketio::{
        Answer, Broadcast, Channel, Channels, Link, Listener, Outbox, Selection, Subscriptions,
    },
};
use tidings_core::room::RoomEvent;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

pub use metrics::InteropMetrics;
use metrics::Outcome;

use crate::{
    config::SocketIo, metrics::Metrics, rooms::own_room, secret::random_hex, state::AppState,
};

/// The namespace that is served here.
const NAMESPACE: &str = "/";
/// The ids of our nodes begin like this; those of the adapter have six other characters.
const OURS: &str = "tidings:";
/// Messages that may wait to be looked at, and their bytes.
const MAX_WAITING: usize = 10_000;
const MAX_WAITING_BYTES: usize = 64 << 20;

/// This node among the servers of Socket.IO on a Redis.
pub struct Interop {
    uid: String,
    config: SocketIo,
    channels: Channels,
    outbox: Outbox,
    connected: AtomicBool,
    waiting: mpsc::Sender<Heard>,
    room: Arc<Semaphore>,
    /// Broadcasts whose acknowledgements are collected, and changes of memberships, that are under way.
    collecting: Arc<Semaphore>,
    moving: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    ends: Mutex<Option<Ends>>,
}

/// What the background work takes along.
pub struct Ends {
    pub link: Link,
    pub heard: mpsc::Receiver<Heard>,
}

/// A message that came.
pub struct Heard {
    kind: Kind,
    payload: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

enum Kind {
    /// For more than one room, or for the one that its channel names.
    Broadcast(Option<String>),
    Request,
}

/// Things of one sort that may be under way at once.
const UNDER_WAY: usize = 64;

impl Interop {
    pub fn new(config: &SocketIo, redis: Redis, metrics: Arc<Metrics>) -> Arc<Self> {
        let config = config.clone();
        let channels = Channels::new(&config.prefix, NAMESPACE);
        let uid = format!("{OURS}{}", random_hex::<6>());
        // Responses are of no interest, as nothing is asked. The request channel is: its subscribers are counted.
        let subscriptions = Subscriptions {
            what: "Socket.IO",
            patterns: vec![channels.pattern()],
            channels: vec![channels.request().to_owned()],
        };
        let (link, outbox) = Link::new(redis, subscriptions);
        metrics.interop.connected(false);
        let (waiting, heard) = mpsc::channel(MAX_WAITING);
        Arc::new(Self {
            uid,
            config,
            channels,
            outbox,
            connected: AtomicBool::new(false),
            waiting,
            room: Arc::new(Semaphore::new(MAX_WAITING_BYTES)),
            collecting: Arc::new(Semaphore::new(UNDER_WAY)),
            moving: Arc::new(Semaphore::new(UNDER_WAY)),
            metrics,
            ends: Mutex::new(Some(Ends { link, heard })),
        })
    }

    /// Once.
    pub(crate) fn take_ends(&self) -> Option<Ends> {
        self.ends.lock().take()
    }

    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Says an event of ours to the sockets of the others. Not one that not everybody may see all of: who may see
    /// what is not known there.
    pub(crate) fn publish(&self, event: &RoomEvent) {
        if !event.audiences.is_empty() {
            return;
        }
        let users = event.except.users.iter().map(own_room);
        let to = Selection {
            rooms: vec![event.room.to_string()],
            except: users.chain(event.except.sockets.iter().cloned()).collect(),
        };
        let data = event.data.get();
        match Broadcast::write(&self.uid, NAMESPACE, &event.name, data, &to, event.volatile) {
            Ok(payload) => self.send(self.channels.broadcast(&to.rooms), payload),
            Err(problem) => {
                tracing::warn!(%problem, room = %event.room, "an event was not published for Socket.IO");
                self.metrics.interop.lost(1);
            }
        }
    }

    /// What cannot be said now is not said later.
    fn send(&self, channel: String, payload: Vec<u8>) {
        if !self.is_connected() || !self.outbox.put(channel, payload) {
            self.metrics.interop.lost(1);
        }
    }

    fn answer(&self, to: &ReplyTo, answer: &Answer<'_>) {
        self.send(to.channel.clone(), answer.write(&to.request));
    }

    /// Looks at a message.
    pub(crate) async fn look(&self, state: &AppState, heard: Heard) {
        let outcome = match heard.kind {
            Kind::Broadcast(room) => {
                broadcast::receive(state, self, room.as_deref(), &heard.payload)
            }
            Kind::Request => requests::receive(state, self, &heard.payload).await,
        };
        self.metrics.interop.heard(outcome);
    }

    /// Whether something was said by a node of ours.
    fn is_ours(uid: &str) -> bool {
        uid.starts_with(OURS)
    }
}

/// Where somebody waits for an answer.
#[derive(Clone)]
struct ReplyTo {
    channel: String,
    request: String,
}

impl Listener for Interop {
    fn heard(&self, channel: &str, payload: &[u8]) {
        let kind = match self.channels.read(channel) {
            Some(Channel::Broadcast(room)) => Kind::Broadcast(room.map(str::to_owned)),
            Some(Channel::Request) => Kind::Request,
            Some(Channel::Response) | None => return,
        };
        if payload.len() > self.config.max_message {
            return self.metrics.interop.heard(Outcome::TooLarge);
        }
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let taken = room.is_ok_and(|room| {
            let heard = Heard { kind, payload: payload.to_vec(), _room: room };
            self.waiting.try_send(heard).is_ok()
        });
        if !taken {
            self.metrics.interop.heard(Outcome::Overrun);
        }
    }

    fn connected(&self, is: bool) {
        self.connected.store(is, Ordering::Relaxed);
        self.metrics.interop.connected(is);
        if is {
            tracing::info!(
                event = "socketio.connected",
                uid = self.uid,
                prefix = self.config.prefix
            );
        }
    }

    fn published(&self, letters: usize) {
        self.metrics.interop.sent(letters);
    }

    fn lost(&self, letters: usize) {
        self.metrics.interop.lost(letters);
    }
}
