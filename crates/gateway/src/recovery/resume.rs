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
    /// Set once it is recovered: pid, id and beginning of the session it goes on with.
    old: OnceLock<Box<(Id, Id, u64)>>,
    /// What the next event carries: everything up to here that is for this client is on its way.
    offset: AtomicU64,
    /// What the last event carried.
    sent: AtomicU64,
    missed: AtomicBool,
    marks: Mutex<Marks>,
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

    /// Goes on with the session of before, whose client has what was marked up to `mark`.
    pub(super) fn recover(&self, pid: Id, sid: Id, first: u64, mark: Option<u64>) {
        *self.marks.lock() = Marks::after(mark);
        // Once, by whoever connects the socket.
        let _ = self.old.set(Box::new((pid, sid, first)));
    }

    pub(crate) fn is_recovered(&self) -> bool {
        self.old.get().is_some()
    }

    pub(crate) fn pid(&self) -> Id {
        self.old.get().map_or(self.own, |old| old.0)
    }

    pub(crate) fn sid(&self) -> Option<&Id> {
        self.old.get().map(|old| &old.1)
    }

    pub(super) fn first(&self) -> u64 {
        self.old.get().map_or(self.begin, |old| old.2)
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
