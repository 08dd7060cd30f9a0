//! What one connection was sent, stream by stream.

use std::sync::atomic::Ordering::Relaxed;

use crate::{
    ledger::{Ledger, UNICAST},
    mark::Mark,
    sequence::{Arrival, Bill, Sequence},
    tally::Tally,
};

#[derive(Debug, Default)]
pub struct Books {
    /// The stream that is for this connection alone.
    own: u32,
    unicast: Sequence,
    /// One for each connection that posts, or client that emits.
    broadcast: Vec<Sequence>,
}

impl Books {
    pub fn new(number: usize) -> Self {
        let own = u32::try_from(number).unwrap_or(u32::MAX - UNICAST).saturating_add(UNICAST);
        Self { own, ..Self::default() }
    }

    /// Starts over, with so many streams to everybody.
    pub fn start(&mut self, streams: usize, ledger: &Ledger) {
        self.unicast.start(ledger.next(self.own));
        self.broadcast.resize_with(streams, Sequence::default);
        for (stream, sequence) in (0..).zip(&mut self.broadcast) {
            sequence.start(ledger.next(stream));
        }
    }

    pub fn note(&mut self, mark: Mark, now: u64, ledger: &Ledger, tally: &mut Tally) {
        let (sequence, messages) = if mark.stream == self.own {
            (&mut self.unicast, &mut tally.unicast)
        } else if let Some(sequence) = self.broadcast.get_mut(mark.stream as usize) {
            (sequence, &mut tally.broadcast)
        } else {
            tally.astray += 1;
            return;
        };
        if sequence.note(mark.number) == Arrival::New {
            tally.last_receipt = now;
            messages.latency.add(now.saturating_sub(mark.due));
            ledger.delivered.fetch_add(1, Relaxed);
            if mark.stream < UNICAST {
                messages.fan(mark, ledger.members.load(Relaxed), now);
            }
        }
    }

    /// To everybody, and to this connection alone.
    pub fn bills(&self, ledger: &Ledger) -> (Bill, Bill) {
        let mut everybody = Bill::default();
        for (stream, sequence) in (0..).zip(&self.broadcast) {
            everybody += sequence.bill(ledger.next(stream), ledger.refused(stream));
        }
        let own = self.unicast.bill(ledger.next(self.own), ledger.refused(self.own));
        (everybody, own)
    }
}
