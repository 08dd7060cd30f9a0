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

#[derive(Default)]
pub struct Board {
    pub opened: RefCell<Opened>,
    pub receipts: RefCell<Vec<Receipt>>,
    /// Bytes of the last notification's frame.
    pub frame_bytes: Cell<usize>,
    /// Why connections ended that should not have.
    pub failures: RefCell<Vec<String>>,
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
