//! What a connection keeps for its presence.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tidings_core::presence::{Card, DeviceId, Update};

use crate::limiter::Bucket;

/// Starts and stops of typing that a connection may send in a minute. They are no messages: who
/// writes a lot must not be cut off for it.
const TYPING_PER_MINUTE: u32 = 120;

/// A connection's end of presence.
pub struct Link {
    device: OnceLock<DeviceId>,
    /// It was silent for so long that it does not count.
    asleep: AtomicBool,
    /// What the client said of itself, if it did.
    card: Mutex<Option<Card>>,
    pub typing: Bucket,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            device: OnceLock::new(),
            asleep: AtomicBool::new(false),
            card: Mutex::default(),
            typing: Bucket::new(TYPING_PER_MINUTE, Duration::from_secs(60)),
        }
    }
}

impl Link {
    pub(super) fn begin(&self, device: DeviceId) {
        // A connection begins once.
        let _ = self.device.set(device);
    }

    /// `None` until it begins.
    pub(super) fn device(&self) -> Option<DeviceId> {
        self.device.get().copied()
    }

    pub(crate) fn card(&self) -> Option<Card> {
        self.card.lock().clone()
    }

    /// It goes on with what another said, unless it says something itself.
    pub(crate) fn inherit(&self, card: Option<Card>) {
        let mut own = self.card.lock();
        *own = own.take().or(card);
    }

    pub(crate) fn change(&self, update: Update) -> Card {
        let mut own = self.card.lock();
        let card = update.apply(&own.take().unwrap_or_default());
        *own = Some(card.clone());
        card
    }

    pub(super) fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// Whether it slept.
    pub(super) fn wake(&self) -> bool {
        self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst)
    }
}
