//! What the bus counts.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub(super) struct Counters {
    pub(super) published: Count,
    pub(super) unpublished: Count,
    pub(super) received: Count,
    pub(super) unreadable: Count,
    pub(super) lagged: Count,
    pub(super) connects: Count,
}

#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was counted since the start, and how it is now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    /// Messages handed to Redis.
    pub published: u64,
    /// Messages that it did not take.
    pub unpublished: u64,
    /// Messages from other nodes.
    pub received: u64,
    /// Of these, in a version or form that is not known here.
    pub unreadable: u64,
    /// Messages that were dropped because this node did not keep up.
    pub lagged: u64,
    /// Connections made to listen.
    pub connects: u64,
    /// Users and rooms that are listened to.
    pub topics: usize,
    /// Nodes that are heard, with this one.
    pub nodes: usize,
}
