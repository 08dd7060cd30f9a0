//! What comes from Redis, between its connection and those who hear it.
//!
//! The connection's reader never waits. What comes faster than it is heard is dropped once too
//! much waits, and then everybody is told that something was missed: never in silence.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::{Notify, mpsc};

use super::{link::LinkState, shared::Shared};

/// Messages that may wait, and their bytes.
const MAX_WAITING: usize = 65_536;
const MAX_BYTES: usize = 64 << 20;

/// The end at the connection.
pub(super) struct Ear {
    heard: mpsc::Sender<Vec<u8>>,
    state: Arc<EarState>,
    shared: Arc<Shared>,
}

#[derive(Default)]
pub(super) struct EarState {
    waiting_bytes: AtomicUsize,
    lagged: AtomicBool,
    /// Channels that we gave up ourselves and that Redis has yet to confirm.
    given_up: AtomicI64,
    /// The connection is of no more use.
    ended: Notify,
}

impl EarState {
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    pub(super) fn giving_up(&self, channels: usize) {
        self.given_up.fetch_add(i64::try_from(channels).unwrap_or(0), Ordering::AcqRel);
    }
}

/// The end at those who hear: what has come, and waits.
pub(super) struct Unheard {
    messages: mpsc::Receiver<Vec<u8>>,
    state: Arc<EarState>,
}

pub(super) fn ear(shared: &Arc<Shared>) -> (Ear, Unheard, Arc<EarState>) {
    let (heard, messages) = mpsc::channel(MAX_WAITING);
    let state = Arc::new(EarState::default());
    let ear = Ear { heard, state: Arc::clone(&state), shared: Arc::clone(shared) };
    (ear, Unheard { messages, state: Arc::clone(&state) }, state)
}

impl Ear {
    fn take(&self, message: Vec<u8>) {
        let bytes = message.len();
        let waiting = self.state.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        if waiting + bytes > MAX_BYTES || self.heard.try_send(message).is_err() {
            self.state.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.state.lagged.store(true, Ordering::Release);
            self.shared.counters.lagged.add(1);
        }
    }

    fn gave_up(&self) {
        // Not by our wish: the slot has moved, and its channels with it.
        if self.state.given_up.fetch_sub(1, Ordering::AcqRel) <= 0 {
            self.state.ended.notify_one();
        }
    }
}

impl redis::aio::AsyncPushSender for Ear {
    fn send(&self, info: PushInfo) -> Result<(), redis::aio::SendError> {
        match info.kind {
            PushKind::Message | PushKind::SMessage => {
                if let Some(Value::BulkString(payload)) = info.data.into_iter().nth(1) {
                    self.take(payload);
                }
            }
            PushKind::Disconnection => self.state.ended.notify_one(),
            PushKind::Unsubscribe | PushKind::SUnsubscribe => self.gave_up(),
            _ => {}
        }
        Ok(())
    }
}

impl Unheard {
    /// Hands everything on until the connection is gone.
    pub(super) async fn run(mut self, shared: Arc<Shared>, link: Arc<LinkState>) {
        let mut since_lag = 0;
        while let Some(message) = self.messages.recv().await {
            self.state.waiting_bytes.fetch_sub(message.len(), Ordering::AcqRel);
            shared.hear(&message, &link);
            since_lag += 1;
            let drained = self.messages.is_empty() || since_lag >= MAX_WAITING;
            if drained && self.state.lagged.swap(false, Ordering::AcqRel) {
                tracing::warn!(event = "bus.lagged", "this node did not keep up with the bus");
                shared.sink.missed();
            }
            if drained {
                since_lag = 0;
            }
        }
    }
}
