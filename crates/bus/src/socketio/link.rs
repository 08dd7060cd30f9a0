//! The connection to Redis, looked after: what is said there comes in, what is said here goes out, and it is made again
//! when it breaks.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{
    PushInfo, PushKind, RedisError, RedisResult, Value,
    aio::{AsyncPushSender, MultiplexedConnection, SendError},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::redis::Redis;

/// For connecting, subscribing, publishing: whatever takes longer is as good as broken.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether the connection is alive.
const PULSE: Duration = Duration::from_secs(5);
/// Between two attempts to connect: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// Publications in one round trip.
const BATCH: usize = 256;

/// Publications that may wait, and their bytes.
const MAX_WAITING: usize = 10_000;
const MAX_WAITING_BYTES: usize = 64 << 20;

/// Something to be published.
#[derive(Debug)]
struct Letter {
    channel: String,
    payload: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Where publications are handed in.
pub struct Outbox {
    letters: mpsc::Sender<Letter>,
    room: Arc<Semaphore>,
}

impl Outbox {
    /// `false`: there is no room.
    pub fn put(&self, channel: String, payload: Vec<u8>) -> bool {
        let Ok(bytes) = u32::try_from(payload.len()) else { return false };
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else { return false };
        self.letters.try_send(Letter { channel, payload, _room: room }).is_ok()
    }
}

#[derive(Debug, Clone)]
pub struct Subscriptions {
    /// For the log.
    pub what: &'static str,
    pub patterns: Vec<String>,
    pub channels: Vec<String>,
}

/// Who is told what comes. Must not block.
pub trait Listener: Send + Sync + 'static {
    fn heard(&self, channel: &str, payload: &[u8]);

    /// From now on both ways are open, or neither is.
    fn connected(&self, is: bool);

    fn published(&self, letters: usize);

    /// They were lost: what is said while there is no connection is not said later.
    fn lost(&self, letters: usize);
}

pub struct Link {
    redis: Redis,
    subscriptions: Subscriptions,
    letters: mpsc::Receiver<Letter>,
}

impl Link {
    pub fn new(redis: Redis, subscriptions: Subscriptions) -> (Self, Outbox) {
        let (sender, letters) = mpsc::channel(MAX_WAITING);
        let room = Arc::new(Semaphore::new(MAX_WAITING_BYTES));
        (Self { redis, subscriptions, letters }, Outbox { letters: sender, room })
    }

    /// Goes on for ever, or until nobody can write letters any more.
    pub async fn run(mut self, listener: Arc<dyn Listener>) {
        let mut pause = PAUSES.0;
        while !self.letters.is_closed() {
            let broken = Arc::new(Notify::new());
            match self.connect(&listener, &broken).await {
                Ok(connection) => {
                    let begun = Instant::now();
                    listener.lost(self.discard());
                    listener.connected(true);
                    let ended = tokio::select! {
                        () = broken.notified() => Err(failed("it was closed")),
                        ended = feel(connection.clone()) => ended,
                        ended = publish(&mut self.letters, connection, &*listener) => ended,
                    };
                    listener.connected(false);
                    // One that takes connections may still refuse what is said: that is no reason to hurry.
                    if begun.elapsed() > PAUSES.1 {
                        pause = PAUSES.0;
                    }
                    if let Err(problem) = self.redis.judge(ended).await {
                        tracing::warn!(%problem, what = self.subscriptions.what, "a connection to Redis broke");
                    }
                }
                Err(problem) => {
                    tracing::warn!(
                        problem,
                        what = self.subscriptions.what,
                        "Redis cannot be reached"
                    );
                }
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn connect(
        &self,
        listener: &Arc<dyn Listener>,
        broken: &Arc<Notify>,
    ) -> Result<MultiplexedConnection, String> {
        let ear = Ear { listener: Arc::clone(listener), broken: Arc::clone(broken) };
        let connection = self.redis.own_connection(PATIENCE, ear).await;
        let mut connection = connection.map_err(|problem| problem.to_string())?;
        let Subscriptions { patterns, channels, .. } = &self.subscriptions;
        let subscribed = within(async {
            if !patterns.is_empty() {
                connection.psubscribe(patterns).await?;
            }
            if !channels.is_empty() {
                connection.subscribe(channels).await?;
            }
            Ok(())
        });
        let subscribed = self.redis.judge(subscribed.await).await;
        subscribed.map_err(|problem| problem.to_string())?;
        Ok(connection)
    }

    /// Letters from before.
    fn discard(&mut self) -> usize {
        let mut count = 0;
        while self.letters.try_recv().is_ok() {
            count += 1;
        }
        count
    }
}

/// What the connection's reader calls; it never waits.
struct Ear {
    listener: Arc<dyn Listener>,
    broken: Arc<Notify>,
}

impl AsyncPushSender for Ear {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        let message = match (info.kind, info.data.as_slice()) {
            (PushKind::Message, [channel, payload])
            | (PushKind::PMessage, [_, channel, payload]) => Some((channel, payload)),
            (PushKind::Disconnection, _) => {
                self.broken.notify_one();
                None
            }
            _ => None,
        };
        if let Some((Value::BulkString(channel), Value::BulkString(payload))) = message {
            self.listener.heard(&String::from_utf8_lossy(channel), payload);
        }
        Ok(())
    }
}

/// A listener hears nothing of a connection that died in silence, unless it asks.
async fn feel(mut connection: MultiplexedConnection) -> RedisResult<()> {
    loop {
        tokio::time::sleep(PULSE).await;
        within(redis::cmd("PING").query_async::<()>(&mut connection)).await?;
    }
}

async fn publish(
    letters: &mut mpsc::Receiver<Letter>,
    mut connection: MultiplexedConnection,
    listener: &dyn Listener,
) -> RedisResult<()> {
    let mut batch = Vec::new();
    while letters.recv_many(&mut batch, BATCH).await > 0 {
        let count = batch.len();
        let mut pipeline = redis::pipe();
        for Letter { channel, payload, .. } in batch.drain(..) {
            pipeline.publish(channel, payload).ignore();
        }
        if let Err(problem) = within(pipeline.query_async::<()>(&mut connection)).await {
            listener.lost(count);
            return Err(problem);
        }
        listener.published(count);
    }
    Ok(())
}

async fn within<T>(work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(failed("no answer in time")),
    }
}

fn failed(why: &'static str) -> RedisError {
    RedisError::from((redis::ErrorKind::Io, why))
}

/// Between half and all of it: nodes that lost the same server do not all come back at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..1.0))
}
