//! What a connection keeps for its presence.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use once_cell::race::OnceBox;
use parking_lot::Mutex;
use tidings_core::presence::{Card, DeviceId, Update};

use crate::limiter::Bucket;

/// Starts and stops of typing that a connection may send in a minute. They are no messages: who
/// writes a lot must not be cut off for it.
const TYPING_PER_MINUTE: u32 = 120;

/// A connection's end of presence. Most connections are just there: they take no place on the
/// board, and nothing but a pointer here.
#[derive(Default)]
pub struct Link {
    /// It is here, and not on the board. Changes under the board's lock.
    aside: AtomicBool,
    more: OnceBox<More>,
}

struct More {
    /// On the board.
    device: OnceLock<DeviceId>,
    /// It was silent for so long that it does not count.
    asleep: AtomicBool,
    /// What the client said of itself, if it did.
    card: Mutex<Option<Card>>,
    typing: Bucket,
}

impl Default for More {
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
    fn more(&self) -> &More {
        self.more.get_or_init(Box::default)
    }

    pub(super) fn stand_aside(&self) {
        self.aside.store(true, Ordering::Relaxed);
    }

    /// Whether it stood aside, and does no more.
    pub(super) fn step_up(&self) -> bool {
        self.aside.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_aside(&self) -> bool {
        self.aside.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self, device: DeviceId) {
        // A connection begins once.
        let _ = self.more().device.set(device);
    }

    /// `None` while it is not on the board.
    pub(super) fn device(&self) -> Option<DeviceId> {
        self.more.get()?.device.get().copied()
    }

    pub(crate) fn typing(&self) -> &Bucket {
        &self.more().typing
    }

    pub(crate) fn card(&self) -> Option<Card> {
        self.more.get()?.card.lock().clone()
    }

    /// It goes on with what another said, unless it says something itself.
    pub(crate) fn inherit(&self, card: Option<Card>) {
        let Some(card) = card else { return };
        self.more().card.lock().get_or_insert(card);
    }

    pub(crate) fn change(&self, update: Update) -> Card {
        let mut own = self.more().card.lock();
        let card = update.apply(&own.take().unwrap_or_default());
        *own = Some(card.clone());
        card
    }

    pub(super) fn sleep(&self) {
        self.more().asleep.store(true, Ordering::SeqCst);
    }

    /// Whether it slept.
    pub(super) fn wake(&self) -> bool {
        self.more.get().is_some_and(|more| {
            more.asleep.load(Ordering::SeqCst) && more.asleep.swap(false, Ordering::SeqCst)
        })
    }
}
