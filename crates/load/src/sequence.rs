//! The books of one socket for one stream: what came, what is missing, what came twice or late.

/// More gaps than this at once are counted and no longer told apart.
const MAX_GAPS: usize = 1_024;

/// What one message turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first time, in order or late: its latency counts.
    New,
    /// It was here before.
    Double,
    /// Of an earlier measurement.
    Stale,
}

#[derive(Debug, Clone, Default)]
pub struct Sequence {
    /// Of this measurement is what has this number or a higher one.
    base: u32,
    next: u32,
    doubled: u32,
    reordered: u32,
    /// Nearly always empty.
    gaps: Option<Box<Gaps>>,
}

#[derive(Debug, Clone, Default)]
struct Gaps {
    /// Numbers that were passed over, from and to (exclusive), in order.
    ranges: Vec<(u32, u32)>,
    /// Those that no longer fitted.
    untold: u32,
}

/// The bill of a measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bill {
    pub received: u64,
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
}

impl Sequence {
    /// Starts over: the next measurement begins with the number `base`.
    pub fn start(&mut self, base: u32) {
        *self = Self { base, next: base, ..Self::default() };
    }

    pub fn note(&mut self, number: u32) -> Arrival {
        if number == self.next {
            self.next += 1;
            return Arrival::New;
        }
        if number < self.base {
            return Arrival::Stale;
        }
        if number > self.next {
            let gaps = self.gaps.get_or_insert_default();
            if gaps.ranges.len() < MAX_GAPS {
                gaps.ranges.push((self.next, number));
            } else {
                gaps.untold += number - self.next;
            }
            self.next = number.saturating_add(1);
            return Arrival::New;
        }
        if self.gaps.as_mut().is_some_and(|gaps| gaps.fill(number)) {
            self.reordered += 1;
            return Arrival::New;
        }
        self.doubled += 1;
        Arrival::Double
    }

    /// The bill when `end` is the number after the last one that was sent, of which the server
    /// had refused `refused`.
    pub fn bill(&self, end: u32, refused: u32) -> Bill {
        let in_gaps = self.gaps.as_ref().map_or(0, |gaps| gaps.count());
        let missing = in_gaps + end.saturating_sub(self.next);
        Bill {
            received: u64::from((self.next - self.base).saturating_sub(in_gaps)),
            lost: u64::from(missing.saturating_sub(refused)),
            doubled: u64::from(self.doubled),
            reordered: u64::from(self.reordered),
        }
    }
}

impl Gaps {
    fn count(&self) -> u32 {
        self.ranges.iter().map(|(from, to)| to - from).sum::<u32>() + self.untold
    }

    /// Takes a number out of the gap that it belongs to.
    fn fill(&mut self, number: u32) -> bool {
        let found = self.ranges.iter().position(|(from, to)| (*from..*to).contains(&number));
        let Some(at) = found else { return false };
        let (from, to) = self.ranges.remove(at);
        if number + 1 < to {
            self.ranges.insert(at, (number + 1, to));
        }
        if from < number {
            self.ranges.insert(at, (from, number));
        }
        true
    }
}

impl std::ops::AddAssign for Bill {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(numbers: &[u32], end: u32) -> [u64; 4] {
        let mut sequence = Sequence::default();
        for number in numbers {
            sequence.note(*number);
        }
        let Bill { received, lost, doubled, reordered } = sequence.bill(end, 0);
        [received, lost, doubled, reordered]
    }

    #[test]
    fn every_message_is_accounted_for() {
        assert_eq!(bill(&[0, 1, 2], 3), [3, 0, 0, 0]);
        assert_eq!(bill(&[], 3), [0, 3, 0, 0]);
        assert_eq!(bill(&[0, 2], 3), [2, 1, 0, 0]);
        assert_eq!(bill(&[0, 1], 3), [2, 1, 0, 0]);
        assert_eq!(bill(&[0, 0, 1, 1, 1], 2), [2, 0, 3, 0]);
        assert_eq!(bill(&[1, 0, 2], 3), [3, 0, 0, 1]);
        assert_eq!(bill(&[4, 2, 2, 0], 6), [3, 3, 1, 2]);
    }

    #[test]
    fn an_earlier_measurement_does_not_count() {
        let mut sequence = Sequence::default();
        sequence.note(0);
        sequence.start(5);
        assert_eq!(sequence.note(4), Arrival::Stale);
        assert_eq!(sequence.note(5), Arrival::New);
        assert_eq!(sequence.bill(7, 0), Bill { received: 1, lost: 1, ..Bill::default() });
    }

    #[test]
    fn what_the_server_refused_is_not_lost() {
        let mut sequence = Sequence::default();
        sequence.note(0);
        sequence.note(2);
        assert_eq!(sequence.bill(3, 1).lost, 0);
        assert_eq!(sequence.bill(4, 1).lost, 1);
    }

    #[test]
    fn gaps_beyond_the_bound_are_still_counted() {
        let mut sequence = Sequence::default();
        for number in (0..6_000).filter(|number| number % 2 == 1) {
            sequence.note(number);
        }
        assert_eq!(
            sequence.bill(6_000, 0),
            Bill { received: 3_000, lost: 3_000, ..Bill::default() }
        );
    }
}
