//! What a connection keeps for its presence.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tidings_core::presence::DeviceId;

use crate::limiter::Bucket;

/// Starts and stops of typing that a connection may send in a minute. They are no messages: who
/// writes a lot must not be cut off for it.
const TYPING_PER_MINUTE: u32 = 120;

/// A connection's end of presence.
pub struct Link {
    device: OnceLock<DeviceId>,
    /// It was silent for so long that it does not count.
    asleep: AtomicBool,
    pub typing: Bucket,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            device: OnceLock::new(),
            asleep: AtomicBool::new(false),
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

    pub(super) fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// Whether it slept.
    pub(super) fn wake(&self) -> bool {
        self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst)
    }
}
