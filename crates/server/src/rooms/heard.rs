//! Up to where this node has heard the rooms that remember, and how it is told what the bus lost.
//!
//! While it asks, what is said in the room waits: what was lost came before it.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tidings_core::room::{Past, Position, RoomName, RoomSignal};

use super::RoomHub;
use crate::state::AppState;

/// Events that may wait for one answer.
const MAX_WAITING: usize = 1_000;
/// Rooms that are asked about at the same time.
const SIDE_BY_SIDE: usize = 16;
/// So often a question without an answer is asked again; then what waited is said without what came before.
const MAX_FAILURES: u32 = 3;

#[derive(Default)]
pub(super) struct Heard(Mutex<HashMap<RoomName, Place>>);

struct Place {
    position: Position,
    /// While it is asked what came before.
    waiting: Option<Waiting>,
}

impl Place {
    fn at(position: Position) -> Self {
        Self { position, waiting: None }
    }
}

#[derive(Default)]
struct Waiting {
    /// What came meanwhile, up to a number.
    signals: Vec<Arc<RoomSignal>>,
    /// More came.
    overrun: bool,
    /// Questions without an answer.
    failures: u32,
}

impl Heard {
    /// Whether an event with this position is to be said now: it was not said before, and nobody asks
    /// what came before it.
    pub(super) fn take(&self, signal: &Arc<RoomSignal>, position: Position) -> bool {
        let mut rooms = self.0.lock();
        let Some(place) = rooms.get_mut(signal.room()) else {
            rooms.insert(signal.room().clone(), Place::at(position));
            return true;
        };
        if let Some(waiting) = &mut place.waiting {
            match waiting.signals.len() < MAX_WAITING {
                true => waiting.signals.push(Arc::clone(signal)),
                false => waiting.overrun = true,
            }
            return false;
        }
        let is_new = position.is_after(place.position);
        if is_new {
            place.position = position;
        }
        is_new
    }

    /// Everybody here has heard the room up to there.
    pub(super) fn begin_at(&self, room: &RoomName, position: Position) {
        self.0.lock().entry(room.clone()).or_insert_with(|| Place::at(position));
    }

    /// Nobody here is in the room any more.
    pub(super) fn forget(&self, room: &RoomName) {
        self.0.lock().remove(room);
    }

    /// All rooms, with what was heard last; from now on what comes waits.
    fn begin(&self) -> Vec<(RoomName, Position)> {
        let mut rooms = self.0.lock();
        let begun = rooms.iter_mut().map(|(room, place)| {
            place.waiting.get_or_insert_default();
            (room.clone(), place.position)
        });
        begun.collect()
    }

    /// There was no answer. Whether it is worth another question, for which what came goes on waiting.
    fn asks_again(&self, room: &RoomName) -> bool {
        let mut rooms = self.0.lock();
        let waiting = rooms.get_mut(room).and_then(|place| place.waiting.as_mut());
        waiting.is_some_and(|waiting| {
            waiting.failures += 1;
            waiting.failures < MAX_FAILURES
        })
    }

    /// What is to be said now, in order: what was lost, if that can be told, and what waited; and whether that was all.
    fn end(&self, room: &RoomName, past: Option<Past>) -> (Vec<Arc<RoomSignal>>, bool) {
        let mut rooms = self.0.lock();
        let Some(place) = rooms.get_mut(room) else { return (Vec::new(), true) };
        let Waiting { signals: mut waited, overrun, .. } = place.waiting.take().unwrap_or_default();
        let can_tell = past.is_some();
        let mut all = Vec::new();
        if let Some(Past { position, missed: Some(missed) }) = past {
            place.position = position;
            all = missed;
            waited.retain(|signal| is_after(signal, position));
        }
        if let Some(last) = waited.iter().rev().find_map(|signal| position_of(signal)) {
            place.position = last;
        }
        all.append(&mut waited);
        let is_all = !(overrun && can_tell);
        if !is_all {
            place.waiting = Some(Waiting::default());
        }
        (all, is_all)
    }
}

fn position_of(signal: &RoomSignal) -> Option<Position> {
    match signal {
        RoomSignal::Event(event) => event.position,
        RoomSignal::MembershipLost { .. } | RoomSignal::Presence { .. } => None,
    }
}

fn is_after(signal: &RoomSignal, position: Position) -> bool {
    position_of(signal).is_none_or(|at| at.is_after(position))
}

/// Says what the bus lost in rooms that remember. `false`: not all answered, and it is to be tried again.
pub(crate) async fn catch_up(state: &AppState) -> bool {
    let rooms = state.rooms.heard.begin();
    stream::iter(rooms)
        .map(|(room, position)| catch_up_one(state, room, position))
        .buffer_unordered(SIDE_BY_SIDE)
        .fold(true, |all, one| async move { all && one })
        .await
}

async fn catch_up_one(state: &AppState, room: RoomName, position: Position) -> bool {
    let limits = state.room_kinds.get(room.kind()).and_then(|kind| kind.history);
    let past = match limits {
        Some(limits) => {
            let now = state.clock.now();
            let past = state.bus.room_past(&room, Some(position), limits, now).await;
            if past.is_err() && state.rooms.heard.asks_again(&room) {
                return false;
            }
            past.ok()
        }
        None => None,
    };
    let (signals, is_all) = state.rooms.heard.end(&room, past);
    for signal in signals {
        state.rooms.say_remembered(&signal);
    }
    is_all
}

impl RoomHub {
    /// Says an event to those who are told everything, and holds it for those who are told later.
    pub(super) fn say_remembered(&self, signal: &Arc<RoomSignal>) {
        let RoomSignal::Event(event) = &**signal else { return };
        let trail = self.trails.of(&event.room);
        let mut trail = trail.as_ref().map(|trail| trail.lock());
        let told = self.holds.say(signal, |left_out| self.emit(event, left_out));
        if let (Some(trail), Some(position)) = (&mut trail, event.position) {
            trail.told(told, 0, Some(position));
        }
    }
}
