//! The events of a namespace that a client may have missed: a ring bounded in number, bytes and age.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::frame::Frame;
use crate::hub::Target;

use super::{Offset, Recovery};

/// What an entry takes beside its bytes.
const COST: usize = 128;

pub(crate) struct Log {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The position given last.
    head: Offset,
    /// The position forgotten last: what comes after it is all there.
    floor: u64,
}

struct Entry {
    position: u64,
    at: u64,
    body: Bytes,
    attachments: Option<Arc<[Bytes]>>,
    rooms: Box<[Box<str>]>,
    except: Box<[Box<str>]>,
}

impl Entry {
    fn bytes(&self) -> usize {
        let names = self.rooms.iter().chain(&self.except).map(|name| name.len() + 16);
        let attachments = self.attachments.iter().flat_map(|all| all.iter()).map(Bytes::len);
        COST + self.body.len() + names.chain(attachments).sum::<usize>()
    }

    /// Whether it is for who was in these rooms; his id counts as one.
    fn is_for(&self, rooms: &HashSet<&str>) -> bool {
        let meant = self.rooms.is_empty() || self.rooms.iter().any(|room| rooms.contains(&**room));
        meant && !self.except.iter().any(|room| rooms.contains(&**room))
    }
}

impl Log {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, head: Offset::start(), floor: 0 }
    }

    pub(crate) fn head(&self) -> Offset {
        self.head
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Keeps an event, and returns it with its offset. One that is not to be kept has one too: what a client was sent
    /// before it is told by it.
    pub(super) fn take(&mut self, frame: &Frame, target: &Target<'_>, at: u64) -> Frame {
        let kept = !frame.is_unrecoverable();
        self.head.position += 1;
        let frame = frame.with_offset(self.head).flattened();
        if !kept {
            return frame;
        }
        let names = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect();
        let entry = Entry {
            position: self.head.position,
            at,
            body: frame.body().clone(),
            attachments: frame.shared_attachments(),
            rooms: names(target.rooms),
            except: names(target.except),
        };
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        frame
    }

    /// Forgets what is too much, or was there before `oldest`.
    pub(super) fn trim(&mut self, limits: &Recovery, oldest: u64) {
        while let Some(first) = self.entries.front() {
            let fits = self.entries.len() <= limits.max_packets && self.bytes <= limits.max_bytes;
            if fits && first.at >= oldest {
                return;
            }
            self.floor = first.position;
            self.bytes -= first.bytes();
            self.entries.pop_front();
        }
        self.entries = VecDeque::new();
    }

    /// Events after `start` for who was in these rooms, in order.
    pub(super) fn since(&self, start: u64, rooms: &HashSet<&str>) -> Vec<Frame> {
        let first = self.entries.partition_point(|entry| entry.position <= start);
        let missed = self.entries.range(first..).filter(|entry| entry.is_for(rooms));
        missed.map(|entry| Frame::stored(entry.body.clone(), entry.attachments.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Recovery =
        Recovery { window: std::time::Duration::ZERO, max_packets: 3, max_bytes: 100_000 };

    fn positions(log: &Log, start: u64, rooms: &[&str]) -> Vec<String> {
        let rooms = rooms.iter().copied().collect();
        let text = |frame: &Frame| String::from_utf8_lossy(frame.body()).into_owned();
        log.since(start, &rooms).iter().map(text).collect()
    }

    fn numbers(log: &Log, start: u64, rooms: &[&str]) -> Vec<u64> {
        let digits =
            |text: &String| text.trim_end_matches("\"]").split_at(text.len() - 3).1.parse();
        positions(log, start, rooms).iter().map(|text| digits(text).expect("a digit")).collect()
    }

    #[test]
    fn what_is_for_whom() {
        let mut log = Log::new();
        let event = Frame::event("n", &["1"]);
        let red = ["red"];
        for target in [
            Target::all(),
            Target::rooms(&red),
            Target::rooms(&["blue", "red"]).except(&["sid"]),
            Target::all().except(&red),
        ] {
            log.take(&event, &target, 0);
        }
        log.take(&event.clone().unrecoverable(), &Target::all(), 0);
        assert_eq!(log.head().position, 5);
        assert_eq!(numbers(&log, 0, &["sid"]), [1, 4]);
        assert_eq!(numbers(&log, 0, &["sid", "red"]), [1, 2]);
        assert_eq!(numbers(&log, 0, &["other", "blue"]), [1, 3, 4]);
        assert_eq!(numbers(&log, 2, &["other", "blue"]), [3, 4]);
        assert!(numbers(&log, 4, &["other"]).is_empty());
    }

    #[test]
    fn it_is_bounded_in_number_bytes_and_age() {
        let mut log = Log::new();
        for at in 0..5 {
            log.take(&Frame::event("n", &[]), &Target::all(), at);
        }
        log.trim(&LIMITS, 0);
        assert_eq!((log.floor(), numbers(&log, 0, &[])), (2, vec![3, 4, 5]));
        log.trim(&LIMITS, 3);
        assert_eq!((log.floor(), numbers(&log, 0, &[])), (3, vec![4, 5]));
        log.take(&Frame::event(&"n".repeat(99_800), &[]), &Target::all(), 9);
        log.trim(&LIMITS, 3);
        assert_eq!(log.floor(), 5);
        log.trim(&LIMITS, 10);
        assert_eq!((log.floor(), log.bytes, log.entries.capacity()), (6, 0, 0));
    }
}
