//! Where all connections of a crowd write down what happens to them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::stats::Samples;

/// A notification that arrived.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    /// The number in its text.
    pub number: u64,
    /// Which connection got it.
    pub client: usize,
    pub at: Instant,
}

/// How long a connection took to get through the stages of opening.
#[derive(Default)]
pub struct Opened {
    /// The WebSocket is open: the first packet is there.
    pub upgraded: Samples,
    /// The namespace let it in.
    pub joined: Samples,
    /// `connected` has come.
    pub connected: Samples,
}

/// How much came, of what happens in a room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    pub joined: u64,
    pub presence: u64,
    pub events: u64,
    pub all: u64,
    pub bytes: u64,
}

impl Traffic {
    pub fn since(&self, before: &Self) -> Self {
        Self {
            joined: self.joined - before.joined,
            presence: self.presence - before.presence,
            events: self.events - before.events,
            all: self.all - before.all,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// Of so many clients one measures how long events take.
const MEASURING: usize = 16;

#[derive(Default)]
pub struct Board {
    pub opened: RefCell<Opened>,
    pub receipts: RefCell<Vec<Receipt>>,
    /// Bytes of the last notification's frame.
    pub frame_bytes: Cell<usize>,
    /// Why connections ended that should not have.
    pub failures: RefCell<Vec<String>>,
    traffic: Cell<Traffic>,
    /// When events were sent, by their number.
    events: RefCell<Vec<Instant>>,
    event_latency: RefCell<Samples>,
    changed: Notify,
    /// Wakes whoever waits when there are this many connections or receipts.
    goal: Cell<usize>,
}

impl Board {
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    pub fn connected_count(&self) -> usize {
        self.opened.borrow().connected.len()
    }

    pub(super) fn connected(&self, took: Duration) {
        self.opened.borrow_mut().connected.add(took);
        self.moved(self.connected_count() + self.failures.borrow().len());
    }

    pub(super) fn failed(&self, problem: String) {
        self.failures.borrow_mut().push(problem);
        self.moved(self.connected_count() + self.failures.borrow().len());
    }

    pub(super) fn received(&self, receipt: Receipt) {
        let count = {
            let mut receipts = self.receipts.borrow_mut();
            receipts.push(receipt);
            receipts.len()
        };
        self.moved(count);
    }

    pub fn traffic(&self) -> Traffic {
        self.traffic.get()
    }

    /// A text frame came.
    pub(super) fn heard(&self, client: usize, payload: &[u8], length: usize, now: Instant) {
        let mut traffic = self.traffic.get();
        traffic.all += 1;
        traffic.bytes += length as u64;
        if payload.starts_with(b"42[\"presence:") {
            traffic.presence += 1;
        } else if payload.starts_with(b"42[\"task:update\"") {
            traffic.events += 1;
            if client.is_multiple_of(MEASURING) {
                self.measure_event(payload, now);
            }
        } else if payload.starts_with(b"42[\"room:joined\"") {
            traffic.joined += 1;
        }
        self.traffic.set(traffic);
        if self.goal.get() == usize::try_from(traffic.joined).unwrap_or(usize::MAX) {
            self.changed.notify_one();
        }
    }

    fn measure_event(&self, payload: &[u8], now: Instant) {
        let number = super::wire::number(payload).and_then(|number| usize::try_from(number).ok());
        let events = self.events.borrow();
        if let Some(sent) = number.and_then(|number| events.get(number)) {
            self.event_latency.borrow_mut().add(now.saturating_duration_since(*sent));
        }
    }

    /// The event that is numbered next is sent.
    pub fn event_sent(&self, at: Instant) {
        self.events.borrow_mut().push(at);
    }

    pub fn take_event_latency(&self) -> Samples {
        self.event_latency.take()
    }

    /// Waits until `count` have joined their room, but not for ever.
    pub async fn wait_joined(&self, count: usize, patience: Duration) {
        self.wait(count, patience, || self.traffic.get().joined >= count as u64).await;
    }

    fn moved(&self, count: usize) {
        if count >= self.goal.get() {
            self.changed.notify_one();
        }
    }

    /// Waits until `count` connections have been made or have failed, but not for ever.
    pub async fn wait_connected(&self, count: usize, patience: Duration) {
        let done = || self.connected_count() + self.failures.borrow().len() >= count;
        self.wait(count, patience, done).await;
    }

    /// Waits until there are `count` receipts, but not for ever.
    pub async fn wait_received(&self, count: usize, patience: Duration) {
        self.wait(count, patience, || self.receipts.borrow().len() >= count).await;
    }

    async fn wait(&self, goal: usize, patience: Duration, done: impl Fn() -> bool) {
        self.goal.set(goal);
        let waiting = async {
            while !done() {
                self.changed.notified().await;
            }
        };
        // Out of patience: whoever asked counts what is there.
        let _ = tokio::time::timeout(patience, waiting).await;
    }

    pub fn take_receipts(&self) -> Vec<Receipt> {
        self.receipts.take()
    }
}
