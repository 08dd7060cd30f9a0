//! What a socket knows of its own recovery.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::id::Id;

use super::{Marks, Offset};

/// Changes under the lock of the socket's connection, or before there are others to see it.
pub(crate) struct Resume {
    own: Id,
    /// Log and position at which the socket began.
    log: [u8; 4],
    begin: u64,
    /// Set once it is recovered: the session that it goes on with.
    old: OnceLock<Box<Old>>,
    /// What the next event carries: everything up to here that is for this client is on its way.
    offset: AtomicU64,
    /// What the last event carried.
    sent: AtomicU64,
    /// The last position of an event that is kept for this client alone.
    alone: AtomicU64,
    missed: AtomicBool,
    marks: Mutex<Marks>,
}

/// What a client has from its connection before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Old {
    pub(super) pid: Id,
    pub(super) sid: Id,
    /// Where the session began.
    pub(super) first: u64,
    /// An offset of another node's that is as good as `first`.
    pub(super) came_with: Option<Offset>,
    /// What the client has of what was marked.
    pub(super) mark: Option<u64>,
}

impl Resume {
    pub(super) fn new(begin: Offset) -> Self {
        Self {
            own: Id::random(),
            log: begin.log,
            begin: begin.position,
            old: OnceLock::new(),
            offset: AtomicU64::new(begin.position),
            sent: AtomicU64::new(begin.position),
            alone: AtomicU64::new(0),
            missed: AtomicBool::new(false),
            marks: Mutex::default(),
        }
    }

    /// Until it is decided whether the client is recovered, it keeps the offset that it came with: one from today
    /// would hide what it has missed, if the connection broke again now.
    pub(crate) fn hold(&self, offset: Offset) {
        if offset.log == self.log && offset.position <= self.begin {
            self.offset.store(offset.position, Ordering::Relaxed);
        }
    }

    /// Goes on with the session of before.
    pub(super) fn recover(&self, old: Old) {
        *self.marks.lock() = Marks::after(old.mark);
        // Once, by whoever connects the socket.
        let _ = self.old.set(Box::new(old));
    }

    pub(crate) fn is_recovered(&self) -> bool {
        self.old.get().is_some()
    }

    pub(crate) fn pid(&self) -> Id {
        self.old.get().map_or(self.own, |old| old.pid)
    }

    pub(crate) fn sid(&self) -> Option<&Id> {
        self.old.get().map(|old| &old.sid)
    }

    pub(super) fn first(&self) -> u64 {
        self.old.get().map_or(self.begin, |old| old.first)
    }

    pub(super) fn came_with(&self) -> Option<Offset> {
        self.old.get().and_then(|old| old.came_with)
    }

    /// An event at this position is kept for this client and for no other.
    pub(crate) fn kept_alone(&self, position: u64) {
        self.alone.store(position, Ordering::Relaxed);
    }

    pub(super) fn alone(&self) -> u64 {
        self.alone.load(Ordering::Relaxed)
    }

    /// The offset of an event for this client alone that is not kept.
    pub(crate) fn next(&self, mark: Option<u64>) -> Offset {
        let position = self.offset.load(Ordering::Relaxed);
        self.sent.store(position, Ordering::Relaxed);
        let mut marks = self.marks.lock();
        if let Some(mark) = mark {
            marks.note(position, mark);
        }
        Offset { log: self.log, position, mark: marks.last() }
    }

    /// An event with this offset is on its way.
    pub(crate) fn note(&self, position: u64) {
        self.offset.store(position, Ordering::Relaxed);
        self.sent.store(position, Ordering::Relaxed);
    }

    /// Nothing up to here is still to come; the client does not know it yet.
    pub(crate) fn skip_to(&self, position: u64) {
        self.offset.store(position, Ordering::Relaxed);
    }

    /// An event was for the client, and there was no room for it.
    pub(crate) fn miss(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn marks(&self) -> Marks {
        self.marks.lock().clone()
    }

    pub(super) fn has_missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }
}
