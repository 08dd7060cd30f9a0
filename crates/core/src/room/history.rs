//! What rooms remember for those who come back.
//!
//! Positions are handed out across all rooms, so that a room which was forgotten needs no trace of its own: whoever
//! has seen everything up to the highest position ever forgotten that way has missed nothing.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{History, RoomName, RoomSignal};
use crate::time::Timestamp;

/// Which history a position belongs to: one that was lost begins another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<Epoch> for String {
    fn from(epoch: Epoch) -> Self {
        epoch.to_string()
    }
}

impl TryFrom<String> for Epoch {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let epoch = digits.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
        epoch.map(Self).ok_or("must be an epoch as the server gave it")
    }
}

/// Up to where somebody has heard a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    pub epoch: Epoch,
    pub offset: u64,
}

impl Position {
    /// Whether what is here came later, as far as that can be told: what was forgotten begins anew.
    pub fn is_after(self, other: Self) -> bool {
        self.epoch != other.epoch || self.offset > other.offset
    }
}

/// A room's history, for who has heard it up to some position.
#[derive(Debug, Clone)]
pub struct Past {
    /// That of the newest event.
    pub position: Position,
    /// What came since, in order; `None`: some of it is forgotten.
    pub missed: Option<Vec<Arc<RoomSignal>>>,
}

/// The histories of all rooms, bounded in bytes.
#[derive(Debug)]
pub struct Histories {
    epoch: Epoch,
    last: u64,
    /// What was missed up to here cannot be told for rooms that are not in the map.
    floor: u64,
    rooms: HashMap<RoomName, Room>,
    kept: Kept,
    max_bytes: usize,
}

/// The entries of all rooms together.
#[derive(Debug, Default)]
struct Kept {
    /// Their rooms, in the order of their positions.
    rooms: BTreeMap<u64, RoomName>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Room {
    entries: VecDeque<Entry>,
    floor: u64,
    /// Of the newest event, kept or not.
    last: u64,
}

#[derive(Debug)]
struct Entry {
    offset: u64,
    at: Timestamp,
    until: Timestamp,
    bytes: usize,
    signal: Arc<RoomSignal>,
}

impl Histories {
    pub fn new(epoch: Epoch, max_bytes: usize) -> Self {
        Self { epoch, last: 0, floor: 0, rooms: HashMap::new(), kept: Kept::default(), max_bytes }
    }

    /// The position of what is said next.
    pub fn advance(&mut self) -> Position {
        self.last += 1;
        Position { epoch: self.epoch, offset: self.last }
    }

    /// Keeps what was given the last position.
    pub fn keep(&mut self, signal: Arc<RoomSignal>, bytes: usize, limits: History, at: Timestamp) {
        let name = signal.room().clone();
        let offset = self.last;
        // What was forgotten with the whole room may be missing in the new one.
        let floor = self.floor;
        let room =
            self.rooms.entry(name.clone()).or_insert_with(|| Room { floor, ..Room::default() });
        room.last = offset;
        room.entries.push_back(Entry { offset, at, until: at.plus(limits.age), bytes, signal });
        self.kept.bytes += bytes;
        self.kept.rooms.insert(offset, name);
        room.trim(limits, at, &mut self.kept);
        while self.is_too_much(at) {
            self.forget_oldest();
        }
    }

    /// Whether the oldest entry has to go, for its age or because all together are too large.
    fn is_too_much(&self, now: Timestamp) -> bool {
        let oldest =
            self.kept.rooms.values().next().and_then(|name| self.rooms.get(name)?.entries.front());
        oldest.is_some_and(|entry| entry.until < now || self.kept.bytes > self.max_bytes)
    }

    /// What somebody missed who has heard the room up to `since`.
    pub fn since(
        &mut self,
        name: &RoomName,
        since: Option<Position>,
        limits: History,
        now: Timestamp,
    ) -> Past {
        let Some(room) = self.rooms.get_mut(name) else {
            let position = Position { epoch: self.epoch, offset: self.last };
            let whole = since.is_some_and(|since| {
                since.epoch == self.epoch && (self.floor..=self.last).contains(&since.offset)
            });
            return Past { position, missed: whole.then(Vec::new) };
        };
        room.trim(limits, now, &mut self.kept);
        let position = Position { epoch: self.epoch, offset: room.last };
        if room.entries.is_empty() {
            self.floor = self.floor.max(room.last);
            self.rooms.remove(name);
            return self.since(name, since, limits, now);
        }
        let since = since.filter(|since| {
            since.epoch == self.epoch && (room.floor..=self.last).contains(&since.offset)
        });
        let missed = since.map(|since| {
            let first = room.entries.partition_point(|entry| entry.offset <= since.offset);
            room.entries.range(first..).map(|entry| Arc::clone(&entry.signal)).collect()
        });
        Past { position, missed }
    }

    fn forget_oldest(&mut self) {
        let Some((_, name)) = self.kept.rooms.first_key_value() else { return };
        let name = name.clone();
        let Some(room) = self.rooms.get_mut(&name) else { return };
        room.forget_first(&mut self.kept);
        if room.entries.is_empty() {
            self.floor = self.floor.max(room.last);
            self.rooms.remove(&name);
        }
    }
}

impl Room {
    /// Forgets what is too much or too old.
    fn trim(&mut self, limits: History, now: Timestamp, kept: &mut Kept) {
        while self.entries.len() > limits.messages
            || self.entries.front().is_some_and(|first| now.since(first.at) > limits.age)
        {
            self.forget_first(kept);
        }
    }

    fn forget_first(&mut self, kept: &mut Kept) {
        let Some(first) = self.entries.pop_front() else { return };
        self.floor = first.offset;
        kept.bytes -= first.bytes;
        kept.rooms.remove(&first.offset);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: History = History { messages: 3, age: Duration::from_secs(10) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    fn say(histories: &mut Histories, name: &str, seconds: i64) -> Position {
        let position = histories.advance();
        let signal = RoomSignal::MembershipLost { room: room(name), users: vec![] };
        histories.keep(Arc::new(signal), 100, LIMITS, at(seconds));
        position
    }

    fn missed(
        histories: &mut Histories,
        name: &str,
        since: Position,
        seconds: i64,
    ) -> Option<usize> {
        histories
            .since(&room(name), Some(since), LIMITS, at(seconds))
            .missed
            .map(|missed| missed.len())
    }

    #[test]
    fn it_tells_what_was_missed_or_that_it_cannot() {
        let mut histories = Histories::new(Epoch(7), 100_000);
        let start = histories.since(&room("post:1"), None, LIMITS, at(0)).position;
        assert_eq!(missed(&mut histories, "post:1", start, 0), Some(0));
        let first = say(&mut histories, "post:1", 0);
        say(&mut histories, "post:2", 0);
        say(&mut histories, "post:1", 1);
        say(&mut histories, "post:1", 2);
        assert_eq!(missed(&mut histories, "post:1", start, 2), Some(3));
        assert_eq!(missed(&mut histories, "post:1", first, 2), Some(2));
        assert_eq!(missed(&mut histories, "post:2", first, 2), Some(1));
        // By number.
        say(&mut histories, "post:1", 3);
        assert_eq!(missed(&mut histories, "post:1", start, 3), None);
        assert_eq!(missed(&mut histories, "post:1", first, 3), Some(3));
        // By age.
        assert_eq!(missed(&mut histories, "post:1", first, 12), None);
        let last = histories.since(&room("post:1"), None, LIMITS, at(99)).position;
        assert_eq!(missed(&mut histories, "post:1", last, 99), Some(0), "nothing new");
        let strange = Position { epoch: Epoch(8), offset: last.offset };
        assert_eq!(missed(&mut histories, "post:1", strange, 99), None);
        let future = Position { offset: last.offset + 9, ..last };
        assert_eq!(missed(&mut histories, "post:1", future, 99), None);
    }

    #[test]
    fn it_is_bounded_and_knows_what_it_forgot() {
        let mut histories = Histories::new(Epoch(7), 250);
        let start = histories.since(&room("post:1"), None, LIMITS, at(0)).position;
        let one = say(&mut histories, "post:1", 0);
        say(&mut histories, "post:2", 0);
        say(&mut histories, "post:3", 0);
        assert_eq!((histories.kept.bytes, histories.rooms.len()), (200, 2));
        assert_eq!(missed(&mut histories, "post:1", start, 0), None);
        assert_eq!(missed(&mut histories, "post:1", one, 0), Some(0));
        assert_eq!(missed(&mut histories, "post:2", one, 0), Some(1));
        let now = say(&mut histories, "post:2", 61);
        assert_eq!((histories.kept.bytes, histories.rooms.len()), (100, 1));
        assert_eq!(histories.kept.rooms.len(), 1);
        assert_eq!(missed(&mut histories, "post:3", one, 61), None);
        assert_eq!(missed(&mut histories, "post:2", one, 61), None);
        assert_eq!(missed(&mut histories, "post:2", now, 61), Some(0));
    }

    #[test]
    fn positions_are_read_as_they_are_written() {
        let position = Position { epoch: Epoch(0xab), offset: 5 };
        let text = serde_json::to_string(&position).unwrap();
        assert_eq!(text, r#"{"epoch":"00000000000000ab","offset":5}"#);
        assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), position);
        for bad in [r#"{"epoch":"ab","offset":5}"#, r#"{"epoch":"+0000000000000ab","offset":5}"#] {
            assert!(serde_json::from_str::<Position>(bad).is_err(), "{bad}");
        }
    }
}
