//! What one thread measures.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::sequence::Bill;

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
}

impl Messages {
    fn extend(&mut self, other: &Self) {
        self.sent += other.sent;
        self.expected += other.expected;
        self.bill += other.bill;
        self.latency.extend(&other.latency);
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
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.frame_bytes = self.frame_bytes.max(other.frame_bytes);
        self.ends.extend(&other.ends);
        self.lateness.extend(&other.lateness);
        self.seconds = self.seconds.max(other.seconds);
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
}
