//! A circuit breaker: who failed several times in a row is left alone for a while, then tried
//! with one question before the others follow.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config;

pub(crate) struct Breaker {
    /// Whom it protects, for the log.
    name: &'static str,
    /// Failures in a row that open it.
    failures: u32,
    /// How long it stays open.
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
    /// One question is on its way to find out.
    probing: bool,
}

/// The right to ask once. Dropped without a result it says nothing.
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
    told: bool,
}

impl Breaker {
    pub(crate) fn new(name: &'static str, failures: u32, pause: Duration) -> Self {
        Self { name, failures, pause, state: Mutex::default() }
    }

    /// Whether nobody may ask, but for one who finds out.
    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().open_until.is_some()
    }

    /// If it is open: the next one who asks finds out, without waiting for the end of the pause.
    pub(crate) fn hasten(&self, now: Instant) {
        let mut state = self.state.lock();
        if let Some(until) = &mut state.open_until {
            *until = now.min(*until);
        }
    }

    /// `None`: nobody may ask now.
    pub(crate) fn pass(&self, now: Instant) -> Option<Pass<'_>> {
        let mut state = self.state.lock();
        let is_probe = state.open_until.is_some();
        if is_probe {
            if state.probing || state.open_until.is_some_and(|until| now < until) {
                return None;
            }
            state.probing = true;
        }
        Some(Pass { breaker: self, is_probe, told: false })
    }
}

impl Pass<'_> {
    pub(crate) fn answered(mut self) {
        self.told = true;
        let mut state = self.breaker.state.lock();
        if state.open_until.is_some() {
            tracing::info!(service = self.breaker.name, "it answers again");
        }
        *state = State::default();
    }

    pub(crate) fn failed(mut self, now: Instant) {
        self.told = true;
        let mut state = self.breaker.state.lock();
        state.failures = state.failures.saturating_add(1);
        if self.is_probe {
            state.probing = false;
        } else if state.open_until.is_some() || state.failures < self.breaker.failures {
            return;
        } else {
            let seconds = self.breaker.pause.as_secs_f64();
            tracing::warn!(service = self.breaker.name, seconds, "it is not asked for a while");
        }
        state.open_until = Some(now + self.breaker.pause);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe && !self.told {
            // Nobody waited for the answer: the next one finds out.
            self.breaker.state.lock().probing = false;
        }
    }
}

/// Whether the database is asked at all. Reads and writes have one each.
pub struct Breakers {
    reads: Breaker,
    writes: Breaker,
    /// When the pause was last cut short.
    hastened: Mutex<Option<Instant>>,
}

impl Breakers {
    pub fn new(config: &config::Breaker) -> Self {
        let breaker = |name| Breaker::new(name, config.failures, config.pause);
        let (reads, writes) = (breaker("store (reads)"), breaker("store (writes)"));
        Self { reads, writes, hastened: Mutex::default() }
    }

    pub(crate) fn reads(&self) -> &Breaker {
        &self.reads
    }

    pub(crate) fn writes(&self) -> &Breaker {
        &self.writes
    }

    pub fn reads_open(&self) -> bool {
        self.reads.is_open()
    }

    pub fn writes_open(&self) -> bool {
        self.writes.is_open()
    }

    /// Something waits to be written: whoever writes next finds out whether that works again, before the pause is
    /// over, but no sooner than this after the last time.
    pub(crate) fn hasten_write(&self, pause: Duration) {
        let now = Instant::now();
        let mut hastened = self.hastened.lock();
        if hastened.is_none_or(|last| now.saturating_duration_since(last) >= pause) {
            *hastened = Some(now);
            self.writes.hasten(now);
        }
    }

    /// Something was written: the next reader may try.
    pub(crate) fn hasten_read(&self) {
        self.reads.hasten(Instant::now());
    }

    /// A write was given up on before it was answered.
    pub(crate) fn write_is_late(&self) {
        let now = Instant::now();
        if let Some(pass) = self.writes.pass(now) {
            pass.failed(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURES: u32 = 5;
    const PAUSE: Duration = Duration::from_secs(30);

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new("test", FAILURES, PAUSE);
        for _ in 0..FAILURES {
            breaker.pass(now).unwrap().failed(now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_starts_the_row_anew() {
        let now = Instant::now();
        let breaker = Breaker::new("test", FAILURES, PAUSE);
        for _ in 0..3 {
            for _ in 1..FAILURES {
                breaker.pass(now).unwrap().failed(now);
            }
            breaker.pass(now).unwrap().answered();
        }
        assert!(opened(now).pass(now).is_none());
    }

    #[test]
    fn after_its_pause_one_finds_out_for_all() {
        let now = Instant::now();
        let breaker = opened(now);
        assert!(breaker.pass(now + PAUSE - Duration::from_millis(1)).is_none());
        let later = now + PAUSE;
        let probe = breaker.pass(later).unwrap();
        assert!(breaker.pass(later).is_none(), "one at a time");
        probe.failed(later);
        assert!(breaker.pass(later).is_none(), "it stays open");
        let probe = breaker.pass(later + PAUSE).unwrap();
        drop(probe);
        breaker.pass(later + PAUSE).unwrap().answered();
        assert!(breaker.pass(later + PAUSE).is_some() && breaker.pass(later + PAUSE).is_some());
    }

    #[test]
    fn who_is_in_a_hurry_finds_out_before_the_end_of_the_pause() {
        let now = Instant::now();
        let breaker = opened(now);
        breaker.hasten(now);
        let probe = breaker.pass(now).unwrap();
        breaker.hasten(now);
        assert!(breaker.pass(now).is_none(), "one at a time all the same");
        probe.failed(now);
        assert!(breaker.pass(now + PAUSE / 2).is_none(), "for the others the pause is as long");
        breaker.hasten(now + PAUSE / 2);
        breaker.pass(now + PAUSE / 2).unwrap().answered();
        breaker.hasten(now + PAUSE / 2);
        assert!(!breaker.is_open());
    }

    #[test]
    fn those_on_their_way_when_it_opens_do_not_keep_it_open() {
        let now = Instant::now();
        let breaker = Breaker::new("test", FAILURES, PAUSE);
        let late = breaker.pass(now).unwrap();
        for _ in 0..FAILURES {
            breaker.pass(now).unwrap().failed(now);
        }
        late.failed(now + PAUSE / 2);
        assert!(breaker.pass(now + PAUSE).is_some());
    }
}
