//! What the spool knows of its files without reading them: where records stand, how many wait, and how much room
//! there is.

use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map::RandomState},
    hash::BuildHasher as _,
};

use tidings_core::time::Timestamp;

use super::segment::{START, SegmentId};

/// Where a record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: SegmentId,
    pub(super) at: u64,
}

/// The bounds of a spool.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub bytes: u64,
    pub records: u64,
}

/// A segment, and how far what it holds is known to be on the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) id: SegmentId,
    pub(super) end: u64,
}

/// A claim's scope and key, as a number. Two that meet are told apart by reading the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClaimHash(u64, u64);

/// A record that is on the disk.
pub(super) struct Written {
    pub(super) place: Place,
    pub(super) end: u64,
    pub(super) claim: Option<ClaimHash>,
    pub(super) now: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// In order. Records are appended to the last one only.
    pub(super) segments: VecDeque<Known>,
    /// The first record that waits; `None` before there ever was one.
    next: Option<Place>,
    waiting: u64,
    /// Room that is taken by files and by what is on its way into them.
    taken: u64,
    /// Records that are on their way.
    coming: u64,
    oldest: Option<Timestamp>,
    claims: HashMap<ClaimHash, Place>,
    /// Records whose senders have something to do before they may be carried out.
    held: BTreeSet<Place>,
    hashers: [RandomState; 2],
}

impl Ledger {
    pub(super) fn hash(&self, (scope, key): (&str, &str)) -> ClaimHash {
        let [first, second] = self.hashers.each_ref().map(|hasher| hasher.hash_one((scope, key)));
        ClaimHash(first, second)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.oldest
    }

    /// Takes room for a record; `false`: there is none.
    pub(super) fn reserve(&mut self, bytes: u64, bounds: Bounds) -> bool {
        let fits = self.has_room(bytes, bounds);
        if fits {
            self.taken += bytes;
            self.coming += 1;
        }
        fits
    }

    pub(super) fn has_room(&self, bytes: u64, bounds: Bounds) -> bool {
        self.taken + bytes <= bounds.bytes && self.waiting + self.coming < bounds.records
    }

    /// Gives back what was taken for a record that was not written.
    pub(super) fn release(&mut self, bytes: u64) {
        self.taken = self.taken.saturating_sub(bytes);
        self.coming = self.coming.saturating_sub(1);
    }

    /// Counts bytes that are no record's.
    pub(super) fn take(&mut self, bytes: u64) {
        self.taken += bytes;
    }

    pub(super) fn add_segment(&mut self, id: SegmentId) {
        self.segments.push_back(Known { id, end: START });
        self.taken += START;
    }

    /// Gives up the last segment if nothing was ever written to it.
    pub(super) fn drop_empty_last(&mut self) -> Option<SegmentId> {
        let last = *self.segments.back().filter(|last| last.end == START)?;
        self.segments.pop_back();
        self.taken = self.taken.saturating_sub(START);
        Some(last.id)
    }

    /// A record is on the disk, at the end of the last segment.
    pub(super) fn written(&mut self, written: Written) {
        let Written { place, end, claim, now } = written;
        if let Some(last) = self.segments.back_mut() {
            last.end = end;
        }
        self.coming = self.coming.saturating_sub(1);
        if self.waiting == 0 {
            self.next = Some(place);
            self.oldest = Some(now);
        }
        self.waiting += 1;
        if let Some(claim) = claim {
            self.claims.insert(claim, place);
        }
        self.held.insert(place);
    }

    /// The same for one that lay there when the spool was opened: its sender is gone.
    pub(super) fn found(&mut self, written: Written) {
        let place = written.place;
        self.taken += written.end - place.at;
        self.coming += 1;
        self.written(written);
        self.let_go(place);
    }

    /// The last segment ends at `end`; `entered` of that was counted with its records.
    pub(super) fn grow_last(&mut self, end: u64, entered: u64) {
        if let Some(last) = self.segments.back_mut() {
            last.end = last.end.max(end);
            self.taken += last.end.saturating_sub(START + entered);
        }
    }

    pub(super) fn let_go(&mut self, place: Place) {
        self.held.remove(&place);
    }

    pub(super) fn find(&self, claim: ClaimHash) -> Option<(Place, u64)> {
        let place = *self.claims.get(&claim)?;
        let known = self.segments.iter().find(|known| known.id == place.segment)?;
        Some((place, known.end))
    }

    /// The first record that waits and may be carried out.
    pub(super) fn next(&self) -> Option<(Place, u64)> {
        self.following(self.next?)
    }

    /// The record at `place`, or the first of the segment behind it if `place` is where one ends.
    pub(super) fn following(&self, place: Place) -> Option<(Place, u64)> {
        if self.waiting == 0 {
            return None;
        }
        let later = self.segments.iter().find(|known| {
            (known.id == place.segment && place.at < known.end)
                || (known.id > place.segment && known.end > START)
        })?;
        let at = if later.id == place.segment { place.at } else { START };
        let place = Place { segment: later.id, at };
        let free = self.held.first().is_none_or(|held| place < *held);
        free.then_some((place, later.end))
    }

    /// The first record is done; the next one begins at `next` and was asked for at `now`. Gives the segments that
    /// nobody needs any more.
    pub(super) fn done(&mut self, next: Place, claim: Option<ClaimHash>) -> Vec<SegmentId> {
        if let (Some(claim), Some(place)) = (claim, self.next)
            && self.claims.get(&claim).is_some_and(|known| *known < next && *known >= place)
        {
            self.claims.remove(&claim);
        }
        self.next = Some(next);
        self.waiting = self.waiting.saturating_sub(1);
        if self.waiting == 0 {
            self.oldest = None;
        }
        let mut finished = Vec::new();
        while self.segments.len() > 1
            && let Some(first) = self.segments.front()
            && (first.id < next.segment || (first.id == next.segment && next.at >= first.end))
        {
            finished.push(first.id);
            self.taken = self.taken.saturating_sub(first.end);
            self.segments.pop_front();
        }
        finished
    }

    /// The first record that waits was asked for then.
    pub(super) fn note_oldest(&mut self, now: Timestamp) {
        if self.waiting > 0 {
            self.oldest = Some(now);
        }
    }

    /// Nothing waits: gives all segments up.
    pub(super) fn clear(&mut self) -> Vec<SegmentId> {
        if self.waiting > 0 {
            return Vec::new();
        }
        let ends: u64 = self.segments.iter().map(|known| known.end).sum();
        self.taken = self.taken.saturating_sub(ends);
        self.claims = HashMap::new();
        self.segments.drain(..).map(|known| known.id).collect()
    }
}
