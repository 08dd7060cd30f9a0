//! The rooms of a client that goes on with another node: what this one told it, and what it missed.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tidings_core::room::{History, Position, RoomName, RoomSignal};

use super::{LeftRoom, RoomHub, trail::Trail};
use crate::{inbox::InboxSession, state::AppState};

/// Until then an event that others know may be on its way here.
const ON_ITS_WAY: Duration = Duration::from_secs(10);

/// What this node told in a room, to clients that went when the log stood at `head`. `None`: nobody can tell.
pub(crate) async fn trail(
    state: &AppState,
    room: &RoomName,
    head: u64,
    most: usize,
) -> Option<Trail> {
    let trails = &state.rooms.trails;
    if !trails.settled(room, state.config.cluster.patience).await {
        return None;
    }
    if trails.of(room)?.lock().is_blank() {
        let place = last_place(state, room).await?;
        let trail = trails.of(room)?;
        let trail = trail.lock();
        if trail.is_blank() {
            return Some(Trail::at(place));
        }
    }
    trails.of(room)?.lock().as_of(head, most)
}

/// The last place of a room in which nothing was heard here.
async fn last_place(state: &AppState, room: &RoomName) -> Option<Position> {
    let limits = limits(state, room)?;
    let now = state.clock.now();
    let place = state.bus.room_past(room, None, limits, now).await.ok()?.position;
    if let Some(before) = place.offset.checked_sub(1) {
        let before = Position { offset: before, ..place };
        let newest = state.bus.room_past(room, Some(before), limits, now).await.ok()?;
        let is_new = |signal: &Arc<RoomSignal>| match &**signal {
            RoomSignal::Event(event) => now.since(event.at) < ON_ITS_WAY,
            RoomSignal::MembershipLost { .. } | RoomSignal::Presence { .. } => false,
        };
        if newest.missed.iter().flatten().any(is_new) {
            return None;
        }
    }
    Some(place)
}

fn limits(state: &AppState, room: &RoomName) -> Option<History> {
    let history = state.room_kinds.get(room.kind()).and_then(|kind| kind.history);
    history.or(state.recovery.memory())
}

/// What a client missed in a room.
pub(crate) struct Missed {
    pub(crate) events: Vec<Arc<RoomSignal>>,
    looked_at: LookedAt,
}

/// Events that need not be told in another way, also those that the client has.
#[derive(Clone)]
struct LookedAt {
    ids: HashSet<u64>,
    /// Up to here.
    place: Position,
}

impl LookedAt {
    fn covers(&self, signal: &RoomSignal) -> bool {
        let RoomSignal::Event(event) = signal else { return true };
        let before = |at: Position| at.epoch == self.place.epoch && at.offset <= self.place.offset;
        event.memory.is_some_and(|memory| self.ids.contains(&memory.id))
            || event.position.is_some_and(before)
    }
}

/// What a client missed whose last event was at `after` in the log of its node. `None`: nobody can tell.
pub(crate) async fn missed(
    state: &AppState,
    left: &LeftRoom,
    trail: &Trail,
    after: u64,
) -> Option<Missed> {
    let at = after.max(left.since);
    let since = trail.since(at)?;
    if !state.rooms.trails.settled(&left.room, state.config.cluster.patience).await {
        return None;
    }
    let limits = limits(state, &left.room)?;
    let now = state.clock.now();
    let past = state.bus.room_past(&left.room, Some(since), limits, now).await.ok()?;
    let looked_at = LookedAt { ids: HashSet::new(), place: past.position };
    let mut missed = Missed { events: Vec::new(), looked_at };
    for signal in past.missed? {
        let RoomSignal::Event(event) = &*signal else { continue };
        missed.looked_at.ids.extend(event.memory.map(|memory| memory.id));
        if !trail.has(at, event.position?.offset)? {
            missed.events.push(signal);
        }
    }
    Some(missed)
}

/// What is said in rooms while a client comes to this node: it is told it when it was told what it missed.
pub(crate) struct Held {
    hub: Arc<RoomHub>,
    socket: String,
    rooms: Mutex<Vec<(RoomName, Option<LookedAt>)>>,
}

impl Held {
    pub(crate) fn begin<'a>(
        state: &AppState,
        socket: &str,
        rooms: impl Iterator<Item = &'a RoomName>,
    ) -> Self {
        let hub = Arc::clone(&state.rooms);
        let begin = |room: &RoomName| {
            hub.holds.begin(room, socket);
            (room.clone(), None)
        };
        let rooms = Mutex::new(rooms.map(begin).collect());
        Self { hub, socket: socket.to_owned(), rooms }
    }

    /// This the client is told in another way.
    pub(crate) fn heard(&self, room: &RoomName, missed: &Missed) {
        let mut rooms = self.rooms.lock();
        if let Some((_, looked_at)) = rooms.iter_mut().find(|(held, _)| held == room) {
            *looked_at = Some(missed.looked_at.clone());
        }
    }

    /// The client is in its rooms. `false`: more was said meanwhile than was kept for it.
    pub(crate) fn release(self, session: &InboxSession) -> bool {
        let mut is_all = true;
        for (room, looked_at) in self.rooms.lock().drain(..) {
            self.hub.holds.release(&room, &self.socket, |held, overrun| {
                is_all &= !overrun;
                let is_news = |signal: &&Arc<RoomSignal>| {
                    !looked_at.as_ref().is_some_and(|looked_at| looked_at.covers(signal))
                };
                for signal in held.iter().filter(is_news) {
                    self.hub.say_again(session, signal);
                }
            });
        }
        is_all
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for (room, _) in self.rooms.lock().drain(..) {
            self.hub.holds.end(&room, &self.socket);
        }
    }
}
