//! What one thread measures.

use std::collections::{BTreeMap, VecDeque};

use hdrhistogram::Histogram;

use crate::{mark::Mark, sequence::Bill};

/// From a microsecond to ten minutes, with three digits.
const SHORTEST: u64 = 1_000;
const LONGEST: u64 = 600_000_000_000;
/// Kinds of failure that are told apart.
const MAX_KINDS: usize = 32;

/// Times in nanoseconds; nothing is allocated before the first.
#[derive(Debug, Clone, Default)]
pub struct Times(Option<Histogram<u64>>);

impl Times {
    pub fn add(&mut self, nanoseconds: u64) {
        if self.0.is_none() {
            self.0 = Histogram::new_with_bounds(SHORTEST, LONGEST, 3).ok();
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(nanoseconds);
        }
    }

    pub fn extend(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            // Both have the same bounds, so that this cannot fail.
            (Some(mine), Some(theirs)) => drop(mine.add(theirs)),
            (mine @ None, theirs) => mine.clone_from(theirs),
            (_, None) => {}
        }
    }

    pub fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In milliseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        self.0.as_ref().map_or(0.0, |times| times.value_at_percentile(percent) as f64 / 1e6)
    }

    /// In milliseconds.
    pub fn max(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |times| times.max() as f64 / 1e6)
    }
}

/// Why something failed, and how often.
#[derive(Debug, Clone, Default)]
pub struct Failures(BTreeMap<String, u64>);

impl Failures {
    pub fn add(&mut self, reason: impl Into<String>) {
        self.add_many(reason.into(), 1);
    }

    fn add_many(&mut self, reason: String, count: u64) {
        let known = self.0.len() < MAX_KINDS || self.0.contains_key(&reason);
        let reason = if known { reason } else { "other reasons".to_owned() };
        *self.0.entry(reason).or_default() += count;
    }

    pub fn extend(&mut self, other: &Self) {
        for (reason, count) in &other.0 {
            self.add_many(reason.clone(), *count);
        }
    }

    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// The most frequent ones first.
    pub fn sorted(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all
    }
}

/// How connections came about.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    pub wanted: u64,
    /// From when it was due to the server's yes (or the event that was waited for).
    pub connected: Times,
    /// The same to the WebSocket's being open.
    pub upgraded: Times,
    pub failures: Failures,
    /// Joins that nobody confirmed in time.
    pub unconfirmed: u64,
    pub seconds: f64,
}

impl Opened {
    pub fn extend(&mut self, other: &Self) {
        self.wanted += other.wanted;
        self.connected.extend(&other.connected);
        self.upgraded.extend(&other.upgraded);
        self.failures.extend(&other.failures);
        self.unconfirmed += other.unconfirmed;
        self.seconds = self.seconds.max(other.seconds);
    }
}

/// Messages of one kind: to everybody, or to one each.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    pub sent: u64,
    /// Deliveries that they ought to make.
    pub expected: u64,
    pub bill: Bill,
    /// From when a message was due to its receipt.
    pub latency: Times,
    /// From when it was due until its last recipient had it, for clients of one thread.
    pub last: Times,
    fans: Vec<Fan>,
}

/// How many have each message of a stream; those that all have are dropped from the front.
#[derive(Debug, Clone, Default)]
struct Fan {
    base: Option<u32>,
    counts: VecDeque<u64>,
}

/// Messages of a stream that some have and others do not, at most.
const MAX_OPEN: usize = 10_000;

impl Messages {
    /// Somebody has a message that `members` ought to have.
    pub(crate) fn fan(&mut self, mark: Mark, members: u64, now: u64) {
        let stream = mark.stream as usize;
        if self.fans.len() <= stream {
            self.fans.resize_with(stream + 1, Fan::default);
        }
        let Some(Fan { base, counts }) = self.fans.get_mut(stream) else { return };
        let first = *base.get_or_insert(mark.number);
        let Some(at) = mark.number.checked_sub(first).map(|at| at as usize) else { return };
        if at >= MAX_OPEN {
            return;
        }
        if counts.len() <= at {
            counts.resize(at + 1, 0);
        }
        let Some(count) = counts.get_mut(at) else { return };
        *count += 1;
        if *count == members {
            self.last.add(now.saturating_sub(mark.due));
        }
        while counts.front().is_some_and(|count| *count >= members) {
            counts.pop_front();
            *base = base.map(|base| base + 1);
        }
    }

    fn extend(&mut self, other: &Self) {
        self.sent += other.sent;
        self.expected += other.expected;
        self.bill += other.bill;
        self.latency.extend(&other.latency);
        self.last.extend(&other.last);
    }
}

/// What one thread counted while messages were sent.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub broadcast: Messages,
    pub unicast: Messages,
    /// Connections that came and went, from when they were due.
    pub churn: Opened,
    /// Answers to what was posted, from when it was due.
    pub answers: Times,
    pub not_taken: Failures,
    /// Due, and never sent: the server took no more.
    pub unsent: u64,
    /// To a connection that it was not for.
    pub astray: u64,
    /// Events without a mark: what else the server had to say.
    pub unmarked: u64,
    /// Frames and bytes of all kinds.
    pub frames: u64,
    pub bytes: u64,
    /// Bytes of the last message that was measured, with its WebSocket header.
    pub frame_bytes: u64,
    /// Connections that ended meanwhile.
    pub ends: Failures,
    /// From when something was due to when it was handed to the kernel.
    pub lateness: Times,
    /// When the last message came, by the generator's clock.
    pub last_receipt: u64,
    /// From the start to the last receipt or, without any, to the end.
    pub seconds: f64,
    /// From the start until everything had come or was given up.
    pub elapsed: f64,
    /// Shares of a core that threads of the generator took.
    pub cpu: Vec<f64>,
}

impl Tally {
    pub fn extend(&mut self, other: &Self) {
        self.broadcast.extend(&other.broadcast);
        self.unicast.extend(&other.unicast);
        self.churn.extend(&other.churn);
        self.answers.extend(&other.answers);
        self.not_taken.extend(&other.not_taken);
        self.unsent += other.unsent;
        self.astray += other.astray;
        self.unmarked += other.unmarked;
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.frame_bytes = self.frame_bytes.max(other.frame_bytes);
        self.ends.extend(&other.ends);
        self.lateness.extend(&other.lateness);
        self.seconds = self.seconds.max(other.seconds);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.cpu.extend(&other.cpu);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_threads_add_up() {
        let (mut one, mut other) = (Times::default(), Times::default());
        assert!(one.is_empty() && one.percentile(99.0) == 0.0);
        for ms in 1..=50 {
            other.add(ms * 1_000_000);
        }
        one.extend(&other);
        one.extend(&Times::default());
        one.extend(&other);
        assert_eq!(one.len(), 100);
        assert!((one.percentile(50.0) - 25.0).abs() < 0.1, "{}", one.percentile(50.0));
        assert!((one.max() - 50.0).abs() < 0.1);
    }

    #[test]
    fn there_is_a_bound_for_kinds_of_failure() {
        let mut failures = Failures::default();
        for n in 0..100 {
            failures.add(format!("port {n}"));
        }
        assert_eq!((failures.count(), failures.0.len()), (100, MAX_KINDS + 1));
        assert_eq!(failures.sorted()[0], ("other reasons", 68));
    }

    #[test]
    fn a_message_is_through_when_its_last_recipient_has_it() {
        let mut messages = Messages::default();
        let mark = |number| Mark { number, due: 1_000_000, stream: 2 };
        for (number, now) in [(7, 2), (8, 3), (8, 4), (7, 5), (6, 6), (9, 7)] {
            messages.fan(mark(number), 2, now * 1_000_000);
        }
        assert_eq!(messages.last.len(), 2);
        assert!((messages.last.max() - 4.0).abs() < 0.1, "{}", messages.last.max());
        assert_eq!(messages.fans[2].counts, [1]);
    }
}
