//! Large broadcasts queue their frame on every member first and write afterwards, from here: frames of
//! several broadcasts that wait for the same socket leave in one write, the caller is not held up by
//! ten thousand system calls, and others get their turn in between.

use std::mem;
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::yield_now;

use crate::engine::Session;

use super::AHEAD;

/// Writes between two yields: about half a millisecond.
const TURN: usize = 128;

pub(crate) struct Flusher {
    lanes: Vec<Arc<Lane>>,
    runtime: Arc<OnceLock<Handle>>,
}

/// One list of dirty sessions and at most one task that works it off.
#[derive(Default)]
struct Lane(Mutex<State>);

#[derive(Default)]
struct State {
    dirty: Vec<Arc<Session>>,
    running: bool,
}

impl Flusher {
    pub(crate) fn new(runtime: Arc<OnceLock<Handle>>) -> Self {
        let lanes = available_parallelism().map_or(1, usize::from);
        Self { lanes: (0..lanes).map(|_| Arc::default()).collect(), runtime }
    }

    /// Takes a session that has just become dirty.
    pub(crate) fn add(&self, session: &Arc<Session>) {
        // Any spread that is stable will do: a session always has the same lane.
        let lane = &self.lanes[session.lane() % self.lanes.len()];
        let start = {
            let mut state = lane.0.lock();
            state.dirty.push(session.clone());
            !mem::replace(&mut state.running, true)
        };
        // There is a runtime: it has brought the session here.
        if let (true, Some(runtime)) = (start, self.runtime.get()) {
            runtime.spawn(flush(lane.clone()));
        }
    }
}

async fn flush(lane: Arc<Lane>) {
    let mut batch = Vec::new();
    loop {
        {
            let mut state = lane.0.lock();
            mem::swap(&mut state.dirty, &mut batch);
            if batch.is_empty() {
                state.running = false;
                return;
            }
        }
        for (n, sessions) in batch.chunks(AHEAD).enumerate() {
            sessions.iter().for_each(|session| session.look_ahead());
            sessions.iter().for_each(Session::flush_dirty);
            if n % (TURN / AHEAD) == TURN / AHEAD - 1 {
                yield_now().await;
            }
        }
        batch.clear();
    }
}
