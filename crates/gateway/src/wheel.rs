//! Deadlines of all sessions on one wheel: a tick costs what is due, not what is connected, and a
//! session's timer is a slot in an array instead of a future of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Length of a tick in milliseconds.
pub(crate) const TICK: u64 = 5;
/// Slots of the wheel. What is further away than a round is passed over until its time comes.
const SLOTS: u64 = 4096;
const NOWHERE: u64 = u64::MAX;

/// Something that has one place on the wheel.
pub(crate) trait Entry {
    fn place(&self) -> &Place;
}

/// Where an entry stands: slot in the upper half, index in the lower. Touched only under the wheel's lock,
/// which is why relaxed atomics do.
#[derive(Debug)]
pub(crate) struct Place(AtomicU64);

impl Place {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(NOWHERE))
    }

    fn get(&self) -> Option<(usize, usize)> {
        match self.0.load(Ordering::Relaxed) {
            NOWHERE => None,
            place => Some(((place >> 32) as usize, (place & 0xffff_ffff) as usize)),
        }
    }

    fn set(&self, slot: usize, index: usize) {
        self.0.store((slot as u64) << 32 | index as u64, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(NOWHERE, Ordering::Relaxed);
    }
}

pub(crate) struct Wheel<E> {
    state: Mutex<State<E>>,
    /// Wakes who turns the wheel, if it was empty.
    filled: Notify,
}

struct State<E> {
    count: usize,
    slots: Vec<Vec<(u64, Arc<E>)>>,
    /// The tick that was turned to last.
    tick: u64,
}

impl<E: Entry> Wheel<E> {
    pub(crate) fn new() -> Self {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Self { state: Mutex::new(State { count: 0, slots, tick: 0 }), filled: Notify::new() }
    }

    /// Waits while there is nothing on the wheel, so that an idle server sleeps, or until `nudge`.
    pub(crate) async fn filled(&self) {
        if self.state.lock().count == 0 {
            self.filled.notified().await;
        }
    }

    pub(crate) fn nudge(&self) {
        self.filled.notify_one();
    }

    /// Puts `entry` where it is due at `at` milliseconds, wherever it stood before.
    pub(crate) fn schedule(&self, entry: &Arc<E>, at: u64) {
        let mut state = self.state.lock();
        state.remove(entry);
        let tick = at.div_ceil(TICK).max(state.tick + 1);
        self.insert(&mut state, entry, tick);
    }

    fn insert(&self, state: &mut State<E>, entry: &Arc<E>, tick: u64) {
        state.insert(entry.clone(), tick);
        if state.count == 1 {
            self.nudge();
        }
    }

    /// As `schedule`, but an earlier time stays.
    pub(crate) fn hasten(&self, entry: &Arc<E>, at: u64) {
        let mut state = self.state.lock();
        let tick = at.div_ceil(TICK).max(state.tick + 1);
        if state.due(entry).is_none_or(|due| due > tick) {
            state.remove(entry);
            self.insert(&mut state, entry, tick);
        }
    }

    pub(crate) fn cancel(&self, entry: &Arc<E>) {
        self.state.lock().remove(entry);
    }

    /// Turns to `now` and moves what is due to `due`.
    pub(crate) fn turn(&self, now: u64, due: &mut Vec<Arc<E>>) {
        let mut state = self.state.lock();
        let target = now / TICK;
        // A whole round visits every slot, however long the process was stopped.
        let first = (state.tick + 1).max(target.saturating_sub(SLOTS - 1));
        for tick in first..=target {
            state.collect(tick, target, due);
        }
        state.tick = state.tick.max(target);
    }
}

impl<E: Entry> State<E> {
    fn insert(&mut self, entry: Arc<E>, tick: u64) {
        let slot = (tick % SLOTS) as usize;
        self.count += 1;
        entry.place().set(slot, self.slots[slot].len());
        self.slots[slot].push((tick, entry));
    }

    fn due(&self, entry: &Arc<E>) -> Option<u64> {
        let (slot, index) = entry.place().get()?;
        self.slots.get(slot)?.get(index).map(|(tick, _)| *tick)
    }

    fn remove(&mut self, entry: &Arc<E>) {
        let Some((slot, index)) = entry.place().get() else { return };
        entry.place().clear();
        self.take(slot, index);
    }

    fn take(&mut self, slot: usize, index: usize) -> Option<Arc<E>> {
        let entries = self.slots.get_mut(slot)?;
        if index >= entries.len() {
            return None;
        }
        self.count -= 1;
        let (_, entry) = entries.swap_remove(index);
        if let Some((_, moved)) = entries.get(index) {
            moved.place().set(slot, index);
        }
        if entries.is_empty() {
            *entries = Vec::new();
        }
        Some(entry)
    }

    fn collect(&mut self, tick: u64, target: u64, due: &mut Vec<Arc<E>>) {
        let slot = (tick % SLOTS) as usize;
        let mut index = 0;
        while let Some((at, _)) = self.slots[slot].get(index) {
            if *at > target {
                index += 1;
            } else if let Some(entry) = self.take(slot, index) {
                entry.place().clear();
                due.push(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Timer(Place);

    impl Entry for Timer {
        fn place(&self) -> &Place {
            &self.0
        }
    }

    fn timer() -> Arc<Timer> {
        Arc::new(Timer(Place::new()))
    }

    fn turn(wheel: &Wheel<Timer>, now: u64) -> usize {
        let mut due = Vec::new();
        wheel.turn(now, &mut due);
        due.len()
    }

    #[test]
    fn entries_are_due_in_time_never_early() {
        let wheel = Wheel::new();
        let (a, b, c) = (timer(), timer(), timer());
        wheel.schedule(&a, 30);
        wheel.schedule(&b, 300);
        wheel.schedule(&c, 60_000);
        assert_eq!(turn(&wheel, 29), 0);
        assert_eq!(turn(&wheel, 30), 1);
        assert_eq!(turn(&wheel, 299), 0);
        assert_eq!(turn(&wheel, 300), 1);
        assert_eq!(turn(&wheel, 59_999), 0, "more than one round away");
        assert_eq!(turn(&wheel, 60_000), 1);
    }

    #[test]
    fn what_is_cancelled_or_moved_leaves_nothing() {
        let wheel = Wheel::new();
        let timers: Vec<_> = (0..10).map(|_| timer()).collect();
        for timer in &timers {
            wheel.schedule(timer, 100);
        }
        wheel.cancel(&timers[0]);
        wheel.cancel(&timers[0]);
        wheel.schedule(&timers[1], 500);
        wheel.hasten(&timers[2], 700);
        wheel.hasten(&timers[3], 40);
        assert_eq!(turn(&wheel, 40), 1);
        assert_eq!(turn(&wheel, 100), 7);
        assert_eq!(turn(&wheel, 500), 1);
        assert_eq!(turn(&wheel, 1_000_000), 0);
        assert!(timers.iter().all(|timer| Arc::strong_count(timer) == 1), "the wheel holds none");
    }

    #[test]
    fn a_long_stop_loses_nothing() {
        let wheel = Wheel::new();
        let timers: Vec<_> = (0..100).map(|_| timer()).collect();
        for (n, timer) in timers.iter().enumerate() {
            wheel.schedule(timer, n as u64 * 777);
        }
        assert_eq!(turn(&wheel, 10_000_000), 100);
    }
}
