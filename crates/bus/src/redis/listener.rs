//! Listens at one master to what this node wants to hear.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use redis::{RedisError, aio::MultiplexedConnection};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
    time::MissedTickBehavior,
};

use super::{
    address::Server,
    channel::Topic,
    connection,
    ear::{self, EarState},
    link::{LinkState, Wish},
    partition::Partition,
    settings::Backoff,
    shared::Shared,
    topics::Generation,
};

/// Channels in one pipeline.
const AT_ONCE: usize = 512;

pub(super) struct Listener {
    pub(super) shared: Arc<Shared>,
    pub(super) server: Server,
    pub(super) partitions: Vec<Partition>,
    pub(super) state: Arc<LinkState>,
    pub(super) wishes: mpsc::UnboundedReceiver<Wish>,
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("the connection was closed, or its channels moved")]
    Closed,
    #[error("a probe did not come back: the connection is dead")]
    Silent,
    #[error("nobody listens any more")]
    Dropped,
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl From<JoinHandle<()>> for AbortOnDrop {
    fn from(task: JoinHandle<()>) -> Self {
        Self(task.abort_handle())
    }
}

/// A connection that listens.
struct Line {
    connection: MultiplexedConnection,
    ear: Arc<EarState>,
    generation: Generation,
    _hearing: AbortOnDrop,
}

impl Listener {
    /// Runs until it is aborted, or the link is dropped.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let ended = match self.listen(&mut backoff).await {
                Ok(never) => match never {},
                Err(ended) => ended,
            };
            self.state.listens.store(false, Ordering::Release);
            if matches!(ended, Ended::Dropped) {
                return;
            }
            tracing::warn!(reason = %ended, server = %self.server, "other nodes are not heard; it is tried again");
            // Who waits for a confirmation hears that there is none. They all stand in the table.
            while self.wishes.try_recv().is_ok() {}
            self.shared.redis.doubt();
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    async fn listen(&mut self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Ended> {
        let mut line = self.open().await?;
        let fixed = self.shared.fixed_topics(&self.partitions);
        self.subscribe(&mut line, &fixed).await?;
        let mut channels = fixed.len();
        while let Some(unheard) = self.unheard_or_listening(&line) {
            for topics in unheard.chunks(AT_ONCE) {
                self.subscribe(&mut line, topics).await?;
            }
            channels += unheard.len();
        }
        self.shared.counters.connects.add(1);
        backoff.reset();
        tracing::info!(event = "bus.connected", server = %self.server, channels);
        // Whatever was said until now may have gone past us.
        self.shared.sink.missed();
        self.serve(&mut line).await
    }

    /// What is wanted and this connection does not hear yet. `None`: it hears everything, and whoever wants more from now
    /// on asks it to: that is settled under the lock, so that nobody falls between.
    fn unheard_or_listening(&self, line: &Line) -> Option<Vec<Topic>> {
        let topics = self.shared.topics.lock();
        let unheard = topics.unheard(&self.partitions, line.generation);
        if unheard.is_empty() {
            self.state.listens_as(line.generation);
            return None;
        }
        Some(unheard)
    }

    async fn open(&self) -> Result<Line, Ended> {
        let settings = self.shared.redis.settings();
        let info = settings.address.of_server(&self.server)?;
        let (sender, unheard, ear) = ear::ear(&self.shared);
        let connection = connection::open_to_listen(info, settings, sender).await?;
        let hearing = tokio::spawn(unheard.run(Arc::clone(&self.shared), Arc::clone(&self.state)));
        let generation = self.shared.next_generation();
        Ok(Line { connection, ear, generation, _hearing: hearing.into() })
    }

    async fn serve(&mut self, line: &mut Line) -> Result<std::convert::Infallible, Ended> {
        let mut ticks = tokio::time::interval(self.shared.redis.settings().probe_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ear = Arc::clone(&line.ear);
        let mut wishes = Vec::new();
        loop {
            tokio::select! {
                () = ear.ended() => return Err(Ended::Closed),
                count = self.wishes.recv_many(&mut wishes, AT_ONCE) => {
                    if count == 0 {
                        return Err(Ended::Dropped);
                    }
                    self.grant(line, &mut wishes).await?;
                }
                _ = ticks.tick() => self.probe()?,
            }
        }
    }

    /// In their order: what is forgotten may be wished for again.
    async fn grant(&self, line: &mut Line, wishes: &mut Vec<Wish>) -> Result<(), Ended> {
        let (mut topics, mut waiting) = (Vec::new(), Vec::new());
        for wish in wishes.drain(..) {
            match wish {
                Wish::Hear(topic, done) => {
                    topics.push(topic);
                    waiting.push(done);
                }
                Wish::Forget(mut forgotten) => {
                    self.subscribe(line, &topics).await?;
                    topics.clear();
                    // Somebody may want it again, and may be heard already: this wish can be older than the connection.
                    self.shared.topics.lock().drop_wanted(&mut forgotten);
                    for topics in forgotten.chunks(AT_ONCE) {
                        self.unsubscribe(line, topics).await?;
                    }
                }
            }
        }
        self.subscribe(line, &topics).await?;
        let mut late = false;
        for done in waiting {
            late |= done.send(()).is_err();
        }
        if late {
            // Who gave up waiting is subscribed all the same, and has looked at what there was before that.
            self.shared.sink.missed();
        }
        Ok(())
    }

    /// One command for each channel, so that each has one answer, and on a Cluster each may
    /// lie in a slot of its own.
    async fn subscribe(&self, line: &mut Line, topics: &[Topic]) -> Result<(), Ended> {
        if topics.is_empty() {
            return Ok(());
        }
        let names = self.shared.redis.names();
        let mut pipeline = redis::pipe();
        for topic in topics {
            pipeline.cmd(names.subscribe()).arg(names.channel(topic)).ignore();
        }
        let () = pipeline.query_async(&mut line.connection).await?;
        self.shared.topics.lock().confirm(topics, line.generation);
        Ok(())
    }

    async fn unsubscribe(&self, line: &mut Line, topics: &[Topic]) -> Result<(), Ended> {
        let names = self.shared.redis.names();
        line.ear.giving_up(topics.len());
        let mut pipeline = redis::pipe();
        for topic in topics {
            pipeline.cmd(names.unsubscribe()).arg(names.channel(topic)).ignore();
        }
        let () = pipeline.query_async(&mut line.connection).await?;
        Ok(())
    }

    /// Sends one through Redis, and looks for the last.
    fn probe(&self) -> Result<(), Ended> {
        let now = Instant::now();
        if let Some(since) = self.state.probe_awaited() {
            let patience = self.shared.redis.settings().probe_timeout;
            return if now.duration_since(since) > patience { Err(Ended::Silent) } else { Ok(()) };
        }
        let Some(partition) = self.partitions.first() else { return Ok(()) };
        let number = rand::random();
        let topic = Topic::Probe(self.shared.node.clone(), *partition);
        self.state.probe_sent(number, now);
        if !self.shared.say(&topic, self.shared.voice.probe(number)) {
            // The speaker looks after that.
            self.state.probe_withdrawn();
        }
        Ok(())
    }
}
