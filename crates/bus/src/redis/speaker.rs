//! Says what this node has to say: whatever waits goes in one pipeline, in order.

use std::sync::{Arc, atomic::Ordering};

use redis::{RedisResult, Value, aio::ConnectionLike as _, aio::MultiplexedConnection};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{
    address::Server, connection, link::LinkState, memory::Kept, settings::Backoff, shared::Shared,
};

/// Messages in one pipeline.
const AT_ONCE: usize = 512;

/// A message and its channel.
pub(super) struct Utterance {
    pub(super) channel: String,
    pub(super) payload: Vec<u8>,
    /// It is kept as well.
    pub(super) kept: Option<Box<Kept>>,
}

/// One that waits, and the room that it takes until it was said.
pub(super) struct Waiting {
    pub(super) utterance: Utterance,
    pub(super) _room: OwnedSemaphorePermit,
}

/// Runs until it is aborted, or the link is dropped.
pub(super) async fn run(
    shared: Arc<Shared>,
    server: Server,
    state: Arc<LinkState>,
    mut said: mpsc::Receiver<Waiting>,
) {
    let mut backoff = Backoff::default();
    let settings = shared.redis.settings().clone();
    loop {
        let opened = match settings.address.of_server(&server) {
            Ok(info) => connection::open(info, &settings).await,
            Err(problem) => Err(problem),
        };
        let problem = match opened {
            Ok(connection) => {
                state.speaks.store(true, Ordering::Release);
                shared.can_speak();
                let ended = speak(&shared, connection, &mut said, &mut backoff).await;
                state.speaks.store(false, Ordering::Release);
                match ended {
                    Ok(()) => return,
                    Err(problem) => problem,
                }
            }
            Err(problem) => problem,
        };
        tracing::warn!(%problem, %server, "nothing can be said to other nodes; it is tried again");
        // What waited is not said: by the time that it could be it would be old.
        while said.try_recv().is_ok() {
            shared.counters.unpublished.add(1);
        }
        shared.redis.doubt();
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// Ends with `Ok` when there is nobody left to speak for.
async fn speak(
    shared: &Shared,
    mut connection: MultiplexedConnection,
    said: &mut mpsc::Receiver<Waiting>,
    backoff: &mut Backoff,
) -> RedisResult<()> {
    let command = shared.redis.names().publish();
    let mut batch = Vec::new();
    loop {
        if batch.is_empty() && said.recv_many(&mut batch, AT_ONCE).await == 0 {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        for Waiting { utterance, .. } in &batch {
            match &utterance.kept {
                Some(kept) => {
                    pipeline.add_command(kept.command(&utterance.channel, &utterance.payload));
                }
                None => {
                    pipeline.cmd(command).arg(&utterance.channel).arg(&utterance.payload);
                }
            }
        }
        let count = batch.len();
        let answers = connection.req_packed_commands(&pipeline, 0, count).await;
        let said_now = std::mem::take(&mut batch);
        match answers {
            Ok(answers) => {
                for (waiting, answer) in said_now.into_iter().zip(answers) {
                    batch.extend(settle(waiting, answer)?);
                }
                shared.counters.published.add(count as u64);
                // Not before: one that takes connections may still refuse everything that is said.
                backoff.reset();
            }
            Err(problem) => {
                shared.counters.unpublished.add(count as u64);
                return Err(problem);
            }
        }
    }
}

/// A Redis that refuses to publish is as good as none. What it could only not keep is to be said at least: that is given.
fn settle(waiting: Waiting, answer: Value) -> RedisResult<Option<Waiting>> {
    let Waiting { utterance: Utterance { channel, payload, kept }, _room } = waiting;
    match kept {
        None => answer.extract_error().map(|_| None),
        Some(kept) => {
            let failed = matches!(answer, Value::ServerError(_));
            let plain = failed.then(|| [kept.plain(), payload].concat());
            kept.settle(answer);
            let again = |payload| Utterance { channel, payload, kept: None };
            Ok(plain.map(|payload| Waiting { utterance: again(payload), _room }))
        }
    }
}
