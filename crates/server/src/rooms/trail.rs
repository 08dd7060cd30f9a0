//! What the clients of this node were told in each room: which events, and at which positions of the gateway's log. So
//! another node can tell from a client's offset what it misses in the room, by the events' places there.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tidings_core::room::{Epoch, Position, RoomName};
use tokio::sync::Notify;

/// Events of a room that are told apart. Of a client further behind it cannot be told what it misses.
const MOST: usize = 256;

/// The rooms that this node listens to, and those that it has just said something in.
#[derive(Default)]
pub(crate) struct Trails {
    rooms: Mutex<HashMap<RoomName, Listened>>,
    /// Something has its place, or will never have one.
    placed: Notify,
}

#[derive(Default)]
struct Listened {
    subscriptions: usize,
    /// Said here, and not known to have a place yet.
    unplaced: Vec<u64>,
    /// Once something was heard.
    trail: Option<Arc<Mutex<Trail>>>,
}

impl Trails {
    pub(super) fn open(&self, room: &RoomName) {
        self.rooms.lock().entry(room.clone()).or_default().subscriptions += 1;
    }

    /// Whether nobody listens any more.
    pub(super) fn close(&self, room: &RoomName) -> bool {
        let mut rooms = self.rooms.lock();
        let Some(listened) = rooms.get_mut(room) else { return true };
        listened.subscriptions = listened.subscriptions.saturating_sub(1);
        let is_over = listened.subscriptions == 0;
        if is_over {
            listened.trail = None;
            if listened.unplaced.is_empty() {
                rooms.remove(room);
            }
        }
        is_over
    }

    pub(super) fn is_open(&self, room: &RoomName) -> bool {
        self.rooms.lock().get(room).is_some_and(|listened| listened.subscriptions > 0)
    }

    /// `None`: nobody listens.
    pub(super) fn of(&self, room: &RoomName) -> Option<Arc<Mutex<Trail>>> {
        let mut rooms = self.rooms.lock();
        let listened = rooms.get_mut(room).filter(|listened| listened.subscriptions > 0)?;
        Some(Arc::clone(listened.trail.get_or_insert_default()))
    }

    /// An event is about to be said here.
    pub(super) fn begin(&self, room: &RoomName, id: u64) {
        self.rooms.lock().entry(room.clone()).or_default().unplaced.push(id);
    }

    /// It has its place; `None`: it may never have one.
    pub(crate) fn placed(&self, room: &RoomName, id: u64, position: Option<Position>) {
        let trail = {
            let mut rooms = self.rooms.lock();
            let Some(listened) = rooms.get_mut(room) else { return };
            listened.unplaced.retain(|unplaced| *unplaced != id);
            let trail = listened.trail.clone();
            if listened.subscriptions == 0 && listened.unplaced.is_empty() {
                rooms.remove(room);
            }
            trail
        };
        if let Some(trail) = trail {
            trail.lock().placed(id, position);
        }
        self.placed.notify_waiters();
    }

    /// Whether it is one of ours that has no place yet.
    pub(super) fn awaits(&self, room: &RoomName, id: u64) -> bool {
        self.rooms.lock().get(room).is_some_and(|listened| listened.unplaced.contains(&id))
    }

    /// Waits until everything that was said here until now has its place; `false`: that takes too long.
    pub(crate) async fn settled(&self, room: &RoomName, patience: Duration) -> bool {
        let said = self.rooms.lock().get(room).map(|here| here.unplaced.clone());
        let said = said.unwrap_or_default();
        let settled = async {
            loop {
                let placed = self.placed.notified();
                tokio::pin!(placed);
                placed.as_mut().enable();
                let waits = |here: &Listened| said.iter().any(|id| here.unplaced.contains(id));
                if !self.rooms.lock().get(room).is_some_and(waits) {
                    return;
                }
                placed.await;
            }
        };
        tokio::time::timeout(patience, settled).await.is_ok()
    }
}

/// What was told of one room.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trail {
    /// Of the places; `None`: none is known.
    epoch: Option<Epoch>,
    /// Who stands at `floor` of the log or later was told everything up to this place, but for what is in `steps`.
    base: u64,
    floor: u64,
    steps: VecDeque<Step>,
    /// The last position that something was told at.
    told: u64,
    /// Told here before they had a place.
    #[serde(skip)]
    unplaced: Vec<(u64, Told)>,
}

/// The first and the last position of the log at which an event was told: who sees other fields was told by another frame.
pub(super) type Told = (u64, u64);

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Step(u64, u64, u64);

impl Step {
    fn place(self) -> u64 {
        self.2
    }

    /// `None`: that depends on which frame was for the client.
    fn is_told_at(self, position: u64) -> Option<bool> {
        let Self(first, last, _) = self;
        if position >= last { Some(true) } else { (position < first).then_some(false) }
    }
}

impl Trail {
    /// An event was told.
    pub(super) fn told(&mut self, told: Told, id: u64, position: Option<Position>) {
        match position {
            Some(position) => self.step(told, position),
            None => self.unplaced.push((id, told)),
        }
        self.told = self.told.max(told.1);
    }

    /// An event that was told has its place.
    fn placed(&mut self, id: u64, position: Option<Position>) {
        let Some(position) = position else { return self.lose() };
        let at = self.unplaced.iter().position(|(unplaced, _)| *unplaced == id);
        if let Some(at) = at {
            let (_, told) = self.unplaced.swap_remove(at);
            self.step(told, position);
        }
    }

    fn step(&mut self, told: Told, position: Position) {
        let place = position.offset;
        if self.epoch != Some(position.epoch) {
            self.lose_places();
            // Before it nothing was told, or nobody knows what.
            (self.epoch, self.base) = (Some(position.epoch), place.saturating_sub(1));
        } else if place <= self.base {
            // Others were faster here. Who has what came between is known only if nothing was let go.
            if self.floor > 0 {
                return self.lose();
            }
            self.base = place.saturating_sub(1);
        }
        self.steps.push_back(Step(told.0, told.1, place));
        self.keep(MOST);
    }

    /// One that is nowhere kept was told: from here on nobody knows what was told before.
    pub(super) fn told_in_passing(&mut self, told: Told) {
        self.told = self.told.max(told.1);
        self.lose();
    }

    /// As it is for clients that went when the log stood at `head`; `None`: that is not known yet.
    pub(super) fn as_of(&self, head: u64, most: usize) -> Option<Self> {
        if self.unplaced.iter().any(|(_, told)| told.0 <= head) {
            return None;
        }
        let mut trail = Self { unplaced: Vec::new(), ..self.clone() };
        trail.keep(most);
        Some(trail)
    }

    /// Keeps the last ones only.
    pub(super) fn keep(&mut self, most: usize) {
        while self.steps.len() > most {
            let Some(step) = self.steps.pop_front() else { return };
            self.base = self.base.max(step.place());
            self.floor = self.floor.max(step.1);
        }
    }

    /// From here on nobody knows what was told before.
    fn lose(&mut self) {
        self.lose_places();
        self.unplaced.clear();
    }

    fn lose_places(&mut self) {
        self.epoch = None;
        self.steps.clear();
        self.floor = self.told;
    }

    /// Nothing was ever told.
    pub(super) fn is_blank(&self) -> bool {
        self.epoch.is_none() && self.told == 0 && self.unplaced.is_empty()
    }

    /// Nothing was told, and this is the room's last place.
    pub(super) fn at(position: Position) -> Self {
        Self { epoch: Some(position.epoch), base: position.offset, ..Self::default() }
    }

    /// From where on to ask what came for a client at this position of the log; `None`: nobody knows.
    pub(crate) fn since(&self, at: u64) -> Option<Position> {
        let epoch = self.epoch.filter(|_| at >= self.floor && self.unplaced.is_empty())?;
        let before = self.steps.iter().map(|step| step.place().saturating_sub(1));
        Some(Position { epoch, offset: before.min().unwrap_or(self.base).min(self.base) })
    }

    /// Whether a client at this position of the log has the event at this place; `None`: nobody knows.
    pub(crate) fn has(&self, at: u64, place: u64) -> Option<bool> {
        match self.steps.iter().find(|step| step.place() == place) {
            Some(step) => step.is_told_at(at),
            None => Some(place <= self.base),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch(7);

    fn at(offset: u64) -> Option<Position> {
        Some(Position { epoch: EPOCH, offset })
    }

    /// The places up to 9 that a client at this position of the log misses.
    fn missing(trail: &Trail, position: u64) -> Option<Vec<u64>> {
        let since = trail.since(position)?;
        let has = |place| trail.has(position, place).map(|has| (place, has));
        let all: Option<Vec<(u64, bool)>> = (since.offset + 1..=9).map(has).collect();
        Some(all?.into_iter().filter(|(_, has)| !has).map(|(place, _)| place).collect())
    }

    #[test]
    fn what_was_told_is_known_by_the_position() {
        let mut trail = Trail::default();
        assert!(trail.is_blank() && missing(&trail, 5).is_none());
        trail.told((10, 10), 1, at(5));
        // Said here: its place comes later, after that of another's.
        trail.told((12, 12), 2, None);
        assert_eq!(missing(&trail, 11), None, "it is not known yet");
        trail.told((15, 15), 3, at(6));
        trail.placed(2, at(7));
        assert_eq!(missing(&trail, 9), Some(vec![5, 6, 7, 8, 9]));
        assert_eq!(missing(&trail, 11), Some(vec![6, 7, 8, 9]));
        assert_eq!(missing(&trail, 12), Some(vec![6, 8, 9]));
        assert_eq!(missing(&trail, 15), Some(vec![8, 9]));
        let text = serde_json::to_string(&trail).unwrap();
        assert_eq!(serde_json::from_str::<Trail>(&text).unwrap(), trail);
        // Who stands between two frames of one event may have been told by either.
        trail.told((20, 22), 4, at(8));
        assert_eq!(missing(&trail, 19), Some(vec![8, 9]));
        assert_eq!((missing(&trail, 21), missing(&trail, 22)), (None, Some(vec![9])));
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let mut trail = Trail::default();
        trail.told((10, 10), 1, None);
        trail.told((11, 11), 2, None);
        trail.placed(1, None);
        assert_eq!((missing(&trail, 20), trail.is_blank()), (None, false));
        trail.placed(2, at(5));
        trail.told((30, 30), 3, at(6));
        assert_eq!((missing(&trail, 10), missing(&trail, 11)), (None, Some(vec![6, 7, 8, 9])));
        // Another epoch.
        trail.told((40, 40), 4, Some(Position { epoch: Epoch(8), offset: 3 }));
        assert_eq!(missing(&trail, 29), None);
        assert_eq!(trail.since(30), Some(Position { epoch: Epoch(8), offset: 2 }));
    }

    #[test]
    fn it_is_bounded() {
        let mut trail = Trail::default();
        for n in 1..=8 {
            trail.told((n * 10, n * 10), n, at(n));
        }
        trail.keep(3);
        assert_eq!((missing(&trail, 49), missing(&trail, 50)), (None, Some(vec![6, 7, 8, 9])));
        assert_eq!(missing(&trail, 75), Some(vec![8, 9]));
        assert_eq!(missing(&Trail::at(Position { epoch: EPOCH, offset: 7 }), 0), Some(vec![8, 9]));
    }
}
