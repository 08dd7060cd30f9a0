//! Notifications that applications leave in Redis: on channels, as they may publish them anyway, or in a stream.

mod metrics;
mod shape;
mod target;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tidings_bus::{
    ingest::{ChannelPattern, Entry, Settings, Stream},
    redis::Redis,
    socketio::{Link, Listener, Outbox, Subscriptions},
};
use tidings_core::{
    idempotency::IdempotencyClaim, ids::NotificationId, notification::NewMessage, room::RoomEvent,
    time::Timestamp,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

pub use metrics::IngestMetrics;
pub(crate) use metrics::{Became, Message};
pub use target::Target;

use crate::{api, config::Config, metrics::Metrics, state::AppState};

/// Messages of channels that may wait for the stream, and their bytes.
const MAX_WAITING: usize = 10_000;
const MAX_WAITING_BYTES: usize = 64 << 20;
/// An entry that is older, or newer, than this has an id that was chosen.
const MAX_AGE: std::time::Duration = std::time::Duration::from_secs(24 * 3_600);

pub struct Ingest {
    channels: Vec<(ChannelPattern, Target)>,
    /// Idempotency keys of one stream.
    scope: String,
    max_payload: usize,
    waiting: mpsc::Sender<Published>,
    room: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    ends: Mutex<Option<Ends>>,
    /// Nothing is published, but the link goes on as long as somebody could.
    _outbox: Outbox,
}

/// What the background work takes along.
pub(crate) struct Ends {
    pub(crate) link: Link,
    pub(crate) published: mpsc::Receiver<Published>,
    /// That of who reads, and that of who adds what came by channels.
    pub(crate) streams: [Stream; 2],
}

/// A message that came by a channel.
pub(crate) struct Published {
    pub(crate) channel: String,
    pub(crate) payload: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// What an entry asks for.
pub(crate) enum Work {
    Notify(Box<NewMessage>, IdempotencyClaim),
    Say(RoomEvent),
}

impl Ingest {
    pub fn new(
        config: &Config,
        redis: Redis,
        node_id: &str,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Arc<Self>> {
        let ingest = &config.ingest;
        let settings = Settings {
            stream: ingest.stream.clone(),
            group: ingest.group.clone(),
            consumer: node_id.to_owned(),
            max_backlog: ingest.max_backlog,
            dead_length: ingest.dead_length,
            same_within: ingest.same_within,
        };
        let channels = channels(&ingest.channels).map_err(anyhow::Error::msg)?;
        let subscriptions = Subscriptions {
            what: "ingestion",
            patterns: channels.iter().filter_map(|(pattern, _)| pattern.glob()).collect(),
            channels: channels
                .iter()
                .filter(|(pattern, _)| pattern.glob().is_none())
                .map(|(pattern, _)| pattern.start().to_owned())
                .collect(),
        };
        let stream = || Stream::new(redis.clone(), settings.clone());
        let streams = [stream(), stream()];
        let (link, outbox) = Link::new(redis.clone(), subscriptions);
        metrics.ingest.connected(false);
        let (waiting, published) = mpsc::channel(MAX_WAITING);
        Ok(Arc::new(Self {
            channels,
            scope: format!("ingest:{}", ingest.stream),
            max_payload: config.limits.request_body,
            waiting,
            room: Arc::new(Semaphore::new(MAX_WAITING_BYTES)),
            metrics,
            ends: Mutex::new(Some(Ends { link, published, streams })),
            _outbox: outbox,
        }))
    }

    /// Once.
    pub(crate) fn take_ends(&self) -> Option<Ends> {
        self.ends.lock().take()
    }

    fn target<'a>(&'a self, channel: &'a str) -> Option<(&'a Target, Option<&'a str>)> {
        self.channels.iter().find_map(|(pattern, target)| Some((target, pattern.matches(channel)?)))
    }

    /// What an entry asks for, or why it asks for nothing that can be done.
    pub(crate) fn read(
        &self,
        state: &AppState,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<Work, String> {
        let payload = entry.payload.as_deref().ok_or("it has no field `payload`")?;
        if payload.len() > self.max_payload {
            return Err(format!("payload: must have at most {} bytes", self.max_payload));
        }
        let (target, id) = match &entry.channel {
            None => (&Target::Stated, None),
            Some(channel) => self.target(channel).ok_or("its channel is not configured")?,
        };
        match shape::read(target, id, payload)? {
            shape::Shape::Notification(body) => {
                let message = api::read_notification(state, &body, self.id(&entry.id, now), now);
                let message = message.map_err(|problem| problem.to_string())?;
                Ok(Work::Notify(Box::new(message), self.claim(entry, payload)))
            }
            shape::Shape::Event { room, body } => {
                let event = api::read_room_event(state, &room, &body);
                event.map(Work::Say).map_err(|problem| problem.to_string())
            }
        }
    }

    /// However often an entry is delivered, it is the same notification.
    fn id(&self, entry: &str, now: Timestamp) -> NotificationId {
        let digest = Sha256::new_with_prefix(&self.scope).chain_update(" ").chain_update(entry);
        let digest = digest.finalize();
        let mut random = [0; 10];
        random.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        let at = entry.split('-').next().and_then(|millis| millis.parse().ok());
        let at = at.map(Timestamp::from_millis);
        let recent = at.filter(|at| at.since(now).max(now.since(*at)) < MAX_AGE);
        NotificationId::new_v7(recent.unwrap_or(now), random)
    }

    fn claim(&self, entry: &Entry, payload: &[u8]) -> IdempotencyClaim {
        IdempotencyClaim {
            scope: self.scope.clone(),
            key: entry.id.clone(),
            fingerprint: Sha256::digest(payload).into(),
            note: String::new(),
        }
    }
}

/// Reads the mapping of channels; fails with a sentence about the first entry that makes no sense.
pub(crate) fn channels(
    config: &BTreeMap<String, String>,
) -> Result<Vec<(ChannelPattern, Target)>, String> {
    let read = |(channel, target): (&String, &String)| {
        let wrong = |problem: String| format!("ingest.channels.{channel:?}: {problem}");
        let pattern =
            ChannelPattern::parse(channel).map_err(|problem| wrong(problem.to_string()))?;
        let target: Target = target.parse().map_err(wrong)?;
        if target == Target::User && pattern.glob().is_none() {
            return Err(wrong(
                "the recipient is to stand in the channel's name: end it with {id}".into(),
            ));
        }
        Ok((pattern, target))
    };
    config.iter().map(read).collect()
}

impl Listener for Ingest {
    fn heard(&self, channel: &str, payload: &[u8]) {
        let metrics = &self.metrics.ingest;
        if self.target(channel).is_none() {
            return;
        }
        if payload.len() > self.max_payload {
            return metrics.message(Message::TooLarge);
        }
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let taken = room.is_ok_and(|room| {
            let (channel, payload) = (channel.to_owned(), payload.to_vec());
            self.waiting.try_send(Published { channel, payload, _room: room }).is_ok()
        });
        if !taken {
            metrics.message(Message::Overrun);
        }
    }

    fn connected(&self, is: bool) {
        self.metrics.ingest.connected(is);
        if is {
            tracing::info!(event = "ingest.connected");
        }
    }

    fn published(&self, _: usize) {}

    fn lost(&self, _: usize) {}
}
