//! The two connections to one master: one speaks, one listens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::AbortHandle,
};

use super::{
    address::Server,
    channel::Topic,
    listener::Listener,
    partition::Partition,
    shared::Shared,
    speaker::{self, Utterance, Waiting},
    topics::Generation,
};

/// Messages that may wait for the connection, and their bytes; more are not said, and others are told to look.
const WAITING: usize = 16_384;
const WAITING_BYTES: usize = 64 << 20;

pub(super) struct Link {
    pub(super) server: Server,
    pub(super) partitions: Vec<Partition>,
    pub(super) state: Arc<LinkState>,
    utterances: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    /// As many as somebody waits for.
    wishes: mpsc::UnboundedSender<Wish>,
    tasks: [AbortHandle; 2],
}

/// What the listener is asked for.
pub(super) enum Wish {
    Hear(Topic, oneshot::Sender<()>),
    Forget(Vec<Topic>),
}

/// How a link is.
#[derive(Default)]
pub(super) struct LinkState {
    pub(super) speaks: AtomicBool,
    pub(super) listens: AtomicBool,
    /// Of the connection that listens now; zero before the first.
    generation: AtomicU32,
    lag: AtomicU64,
    /// The probe that is under way, since when.
    probe: Mutex<Option<(u64, Instant)>>,
}

impl LinkState {
    pub(super) fn is_up(&self) -> bool {
        self.speaks.load(Ordering::Acquire) && self.listens.load(Ordering::Acquire)
    }

    pub(super) fn generation(&self) -> Generation {
        match self.listens.load(Ordering::Acquire) {
            true => self.generation.load(Ordering::Acquire),
            false => 0,
        }
    }

    pub(super) fn listens_as(&self, generation: Generation) {
        *self.probe.lock() = None;
        self.generation.store(generation, Ordering::Release);
        self.listens.store(true, Ordering::Release);
    }

    /// How long a probe took; a longer time, if the one that is under way has taken that already.
    pub(super) fn lag(&self, now: Instant) -> Duration {
        let last = Duration::from_micros(self.lag.load(Ordering::Relaxed));
        let awaited = self.probe_awaited().map(|since| now.duration_since(since));
        last.max(awaited.unwrap_or_default())
    }

    pub(super) fn probe_sent(&self, number: u64, now: Instant) {
        *self.probe.lock() = Some((number, now));
    }

    /// It could not be sent after all.
    pub(super) fn probe_withdrawn(&self) {
        *self.probe.lock() = None;
    }

    /// One came back.
    pub(super) fn probe_heard(&self, number: u64, now: Instant) {
        let mut probe = self.probe.lock();
        if let Some((sent, at)) = *probe
            && sent == number
        {
            let micros = now.duration_since(at).as_micros();
            self.lag.store(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Relaxed);
            *probe = None;
        }
    }

    /// Since when the one that is under way is awaited.
    pub(super) fn probe_awaited(&self) -> Option<Instant> {
        self.probe.lock().map(|(_, at)| at)
    }
}

impl Link {
    pub(super) fn open(
        shared: &Arc<Shared>,
        server: Server,
        partitions: Vec<Partition>,
    ) -> Arc<Self> {
        let state = Arc::new(LinkState::default());
        let (utterances, said) = mpsc::channel(WAITING);
        let (wishes, wished) = mpsc::unbounded_channel();
        let speaking = speaker::run(Arc::clone(shared), server.clone(), Arc::clone(&state), said);
        let listener = Listener {
            shared: Arc::clone(shared),
            server: server.clone(),
            partitions: partitions.clone(),
            state: Arc::clone(&state),
            wishes: wished,
        };
        let tasks =
            [tokio::spawn(speaking).abort_handle(), tokio::spawn(listener.run()).abort_handle()];
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        Arc::new(Self { server, partitions, state, utterances, room, wishes, tasks })
    }

    /// Says something; `false`: it cannot be said now.
    pub(super) fn say(&self, utterance: Utterance) -> bool {
        if !self.state.speaks.load(Ordering::Acquire) {
            return false;
        }
        let bytes = u32::try_from(utterance.payload.len()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else { return false };
        self.utterances.try_send(Waiting { utterance, _room: room }).is_ok()
    }

    /// Whether nothing waits to be said.
    pub(super) fn is_silent(&self) -> bool {
        !self.state.speaks.load(Ordering::Acquire) || self.room.available_permits() == WAITING_BYTES
    }

    pub(super) fn wish(&self, wish: Wish) {
        // A link that has ended drops it, and who waits hears of that.
        let _ = self.wishes.send(wish);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}
