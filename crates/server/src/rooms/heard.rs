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

#[derive(Default)]
pub(super) struct Heard(Mutex<HashMap<RoomName, Place>>);

struct Place {
    position: Position,
    /// What came while it is asked what came before.
    waiting: Option<Vec<Arc<RoomSignal>>>,
}

impl Heard {
    /// Whether an event with this position is to be said now: it was not said before, and nobody asks
    /// what came before it.
    pub(super) fn take(&self, signal: &Arc<RoomSignal>, position: Position) -> bool {
        let mut rooms = self.0.lock();
        let Some(place) = rooms.get_mut(signal.room()) else {
            rooms.insert(signal.room().clone(), Place { position, waiting: None });
            return true;
        };
        if let Some(waiting) = &mut place.waiting {
            if waiting.len() < MAX_WAITING {
                waiting.push(Arc::clone(signal));
            }
            return false;
        }
        let is_new =
            position.epoch != place.position.epoch || position.offset > place.position.offset;
        if is_new {
            place.position = position;
        }
        is_new
    }

    /// Nobody here is in the room any more.
    pub(super) fn forget(&self, room: &RoomName) {
        self.0.lock().remove(room);
    }

    /// All rooms, with what was heard last; from now on what comes waits.
    fn begin(&self) -> Vec<(RoomName, Position)> {
        let mut rooms = self.0.lock();
        let idle = rooms.iter_mut().filter(|(_, place)| place.waiting.is_none());
        idle.map(|(room, place)| {
            place.waiting = Some(Vec::new());
            (room.clone(), place.position)
        })
        .collect()
    }

    /// What is to be said now, in order: what was lost, if that can be told, and what waited.
    fn end(&self, room: &RoomName, past: Option<Past>) -> Vec<Arc<RoomSignal>> {
        let mut rooms = self.0.lock();
        let Some(place) = rooms.get_mut(room) else { return Vec::new() };
        let mut waited = place.waiting.take().unwrap_or_default();
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
        all
    }
}

fn position_of(signal: &RoomSignal) -> Option<Position> {
    match signal {
        RoomSignal::Event(event) => event.position,
        RoomSignal::MembershipLost { .. } | RoomSignal::Presence { .. } => None,
    }
}

fn is_after(signal: &RoomSignal, position: Position) -> bool {
    position_of(signal).is_none_or(|at| at.epoch != position.epoch || at.offset > position.offset)
}

/// Says what the bus lost in rooms that remember.
pub(crate) async fn catch_up(state: &AppState) {
    let rooms = state.rooms.heard.begin();
    stream::iter(rooms)
        .for_each_concurrent(SIDE_BY_SIDE, |(room, position)| async move {
            let limits = state.room_kinds.get(room.kind()).and_then(|kind| kind.history);
            let past = match limits {
                Some(limits) => {
                    let now = state.clock.now();
                    state.bus.room_past(&room, Some(position), limits, now).await.ok()
                }
                None => None,
            };
            for signal in state.rooms.heard.end(&room, past) {
                state.rooms.say_remembered(&signal);
            }
        })
        .await;
}

impl RoomHub {
    /// Says an event to those who are told everything, and holds it for those who are told later.
    pub(super) fn say_remembered(&self, signal: &Arc<RoomSignal>) {
        let RoomSignal::Event(event) = &**signal else { return };
        self.holds.say(signal, |left_out| self.emit(event, left_out));
    }
}
