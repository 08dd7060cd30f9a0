//! What the threads of one measurement tell one another, and whoever watches it.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

/// Streams from this number on are those of single connections.
pub const UNICAST: u32 = 1 << 16;
/// Most streams to everybody: connections that post, or clients that emit.
pub const MAX_STREAMS: usize = 1_024;

/// Counts of all threads together. They are read by eye or after the threads have ended, so
/// that no order among them is needed.
#[derive(Debug)]
pub struct Ledger {
    stop: AtomicBool,
    /// Nothing more will be sent.
    ended: AtomicBool,
    /// The next number of each stream to everybody.
    broadcast: Vec<AtomicU32>,
    /// The next number for each connection.
    unicast: Vec<AtomicU32>,
    /// Messages that the server did not take, by stream.
    refused: Mutex<HashMap<u32, u32>>,
    /// Connections that are ready and get what is sent to everybody.
    pub members: AtomicU64,
    pub failed: AtomicU64,
    pub closed: AtomicU64,
    pub sent: AtomicU64,
    /// Deliveries that what was sent ought to make, and those that it made.
    pub expected: AtomicU64,
    pub delivered: AtomicU64,
    /// Percentiles so far, in microseconds: p50 and p99.
    pub so_far: [AtomicU64; 2],
}

impl Ledger {
    /// For so many connections.
    pub fn new(connections: usize) -> Self {
        let counters = |count| (0..count).map(|_| AtomicU32::new(0)).collect();
        Self {
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            broadcast: counters(MAX_STREAMS),
            unicast: counters(connections),
            refused: Mutex::default(),
            members: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            so_far: Default::default(),
        }
    }

    /// Ends the measurement soon; what was measured until then is kept.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    pub(crate) fn end(&self, ended: bool) {
        self.ended.store(ended, Relaxed);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    fn counter(&self, stream: u32) -> Option<&AtomicU32> {
        let index = |stream| usize::try_from(stream).ok();
        match stream.checked_sub(UNICAST) {
            Some(connection) => self.unicast.get(index(connection)?),
            None => self.broadcast.get(index(stream)?),
        }
    }

    /// The number that the next message of a stream will have.
    pub(crate) fn next(&self, stream: u32) -> u32 {
        self.counter(stream).map_or(0, |counter| counter.load(Relaxed))
    }

    /// Takes the next number of a stream.
    pub(crate) fn take(&self, stream: u32) -> u32 {
        self.sent.fetch_add(1, Relaxed);
        self.counter(stream).map_or(0, |counter| counter.fetch_add(1, Relaxed))
    }

    pub(crate) fn refuse(&self, stream: u32) {
        *self.refused.lock().entry(stream).or_default() += 1;
        let deliveries = if stream < UNICAST { self.members.load(Relaxed) } else { 1 };
        // Concurrent additions may not let it go below zero.
        let _ =
            self.expected.fetch_update(Relaxed, Relaxed, |n| Some(n.saturating_sub(deliveries)));
    }

    pub(crate) fn refused(&self, stream: u32) -> u32 {
        self.refused.lock().get(&stream).copied().unwrap_or(0)
    }

    /// Deliveries that are still to come.
    pub fn outstanding(&self) -> u64 {
        self.expected.load(Relaxed).saturating_sub(self.delivered.load(Relaxed))
    }

    /// Starts the counts of a measurement; the numbers of the streams go on.
    pub(crate) fn start(&self) {
        for counter in [&self.sent, &self.expected, &self.delivered] {
            counter.store(0, Relaxed);
        }
        self.refused.lock().clear();
        self.end(false);
    }
}
