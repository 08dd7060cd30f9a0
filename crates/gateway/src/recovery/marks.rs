//! Which of the application's marks a client has, as far as its offset tells.

use serde::{Deserialize, Serialize};

/// Positions between which marks are told apart. A client that stands between two that were merged is told something
/// twice, never too little.
const MOST: usize = 32;

/// The marks that a client was sent. An event for one client carries its mark; a broadcast is one for all, and carries
/// only its position: the client has what was marked before that.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// What the client had before; `None`: nothing.
    base: Option<u64>,
    /// The last mark sent at a position, for positions in ascending order.
    sent: Vec<(u64, u64)>,
}

impl Marks {
    pub(crate) fn after(base: Option<u64>) -> Self {
        Self { base, sent: Vec::new() }
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.sent.last().map(|(_, mark)| *mark).or(self.base)
    }

    /// An event with this mark goes out, and those up to `position` are out.
    pub(crate) fn note(&mut self, position: u64, mark: u64) {
        if let Some((at, last)) = self.sent.last_mut()
            && *at == position
        {
            *last = mark.max(*last);
            return;
        }
        if self.sent.len() >= MOST {
            // Every other one will do for those that are long past.
            let mut n = 0;
            self.sent.retain(|_| {
                n += 1;
                n % 2 == 1
            });
        }
        // Nearly all clients stay at one or two.
        self.sent.reserve_exact(1);
        self.sent.push((position, mark));
    }

    /// What a client certainly has whose last event had this position and mark.
    pub(crate) fn known(&self, position: u64, mark: Option<u64>) -> Option<u64> {
        let before = self.sent.partition_point(|(at, _)| *at < position);
        let by_position =
            before.checked_sub(1).and_then(|n| self.sent.get(n)).map(|(_, mark)| *mark);
        // A mark that was never sent is nobody's.
        let by_mark = mark.min(self.last());
        by_mark.max(by_position).max(self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_tells_what_was_marked_before_it() {
        let mut marks = Marks::default();
        assert_eq!(marks.known(5, None), None);
        marks.note(5, 1);
        marks.note(5, 2);
        marks.note(8, 3);
        assert_eq!([5, 6, 8, 9].map(|at| marks.known(at, None)), [None, Some(2), Some(2), Some(3)]);
        assert_eq!(marks.known(5, Some(1)), Some(1));
        assert_eq!(marks.known(8, Some(9)), Some(3), "made up");
        let again = Marks::after(Some(3));
        assert_eq!(
            (again.last(), again.known(8, None), again.known(8, Some(2))),
            (Some(3), Some(3), Some(3))
        );
    }

    #[test]
    fn they_are_bounded_and_never_tell_too_much() {
        let mut marks = Marks::default();
        for n in 1..1_000 {
            marks.note(n * 2, n);
            assert!(marks.sent.len() <= MOST && marks.last() == Some(n));
        }
        for n in 1..1_000 {
            assert!(marks.known(n * 2 + 1, None).is_none_or(|known| known <= n));
        }
        assert_eq!(marks.known(2_000, None), Some(999));
    }
}
