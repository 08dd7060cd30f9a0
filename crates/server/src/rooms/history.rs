//! Coming back to a room that remembers.
//!
//! Between the question what was missed and the answer more is said. So a connection that enters is left out of what is
//! said in the room, which is held for it, until it has been told what came before.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use serde::Serialize;
use tidings_core::room::{EventFilter, History, Position, RoomEvent, RoomName, RoomSignal};
use tidings_gateway::Frame;

use super::RoomHub;
use crate::{inbox::InboxSession, state::AppState};

/// Events that may wait for one connection. The bus answers in milliseconds.
const MAX_HELD: usize = 1_000;

/// Connections that wait for what they missed.
#[derive(Default)]
pub(super) struct Holds(Mutex<HashMap<RoomName, Vec<Hold>>>);

struct Hold {
    socket: String,
    events: Vec<Arc<RoomSignal>>,
    overrun: bool,
}

/// Where an event stands in the history of its room.
#[derive(Serialize)]
struct Meta<'a> {
    room: &'a RoomName,
    #[serde(flatten)]
    position: Position,
}

/// How a connection has come back to a room that remembers.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Return {
    position: Position,
    /// Whether it was told everything since the position that it named, if it named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
}

impl Holds {
    /// From now on events of the room are held for this socket.
    pub(super) fn begin(&self, room: &RoomName, socket: &str) {
        let hold = Hold { socket: socket.to_owned(), events: Vec::new(), overrun: false };
        self.0.lock().entry(room.clone()).or_default().push(hold);
    }

    /// Gives up a hold that was begun.
    pub(super) fn end(&self, room: &RoomName, socket: &str) {
        self.release(room, socket, |_, _| {});
    }

    /// Says an event to all but those for whom it is held.
    pub(super) fn say<R>(&self, signal: &Arc<RoomSignal>, emit: impl FnOnce(&[String]) -> R) -> R {
        let mut holds = self.0.lock();
        let held = holds.get_mut(signal.room()).map(Vec::as_mut_slice).unwrap_or_default();
        for hold in held.iter_mut() {
            if hold.events.len() < MAX_HELD {
                hold.events.push(Arc::clone(signal));
            } else {
                hold.overrun = true;
            }
        }
        let left_out: Vec<String> = held.iter().map(|hold| hold.socket.clone()).collect();
        emit(&left_out)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Ends a hold; what was held is said before anything else is.
    pub(super) fn release(
        &self,
        room: &RoomName,
        socket: &str,
        say: impl FnOnce(Vec<Arc<RoomSignal>>, bool),
    ) {
        let mut holds = self.0.lock();
        let Some(held) = holds.get_mut(room) else { return };
        let Some(at) = held.iter().position(|hold| hold.socket == socket) else { return };
        let hold = held.swap_remove(at);
        if held.is_empty() {
            holds.remove(room);
        }
        say(hold.events, hold.overrun);
    }
}

/// Tells a connection that has entered, and for which the room is held, what it missed. `tell` comes before that.
pub(super) async fn catch_up(
    state: &AppState,
    session: &InboxSession,
    room: &RoomName,
    limits: History,
    since: Option<Position>,
    tell: impl FnOnce(Option<&Return>),
) -> Option<Return> {
    let past = state.bus.room_past(room, since, limits, state.clock.now()).await;
    let hub = &state.rooms;
    let past =
        past.inspect_err(|problem| tracing::warn!(%problem, "a room's history could not be read"));
    let mut answer = None;
    hub.holds.release(room, session.socket.id(), |held, overrun| {
        let Ok(past) = past else {
            tell(None);
            return held.iter().for_each(|signal| hub.say_again(session, signal));
        };
        let missed = past.missed.filter(|_| !overrun);
        let returned =
            Return { position: past.position, recovered: since.map(|_| missed.is_some()) };
        hub.know(room, session, past.position);
        tell(Some(&returned));
        answer = Some(returned);
        let later = |signal: &&Arc<RoomSignal>| match &***signal {
            RoomSignal::Event(event) => event.position.is_none_or(|at| at.is_after(past.position)),
            RoomSignal::MembershipLost { .. } | RoomSignal::Presence { .. } => false,
        };
        let missed = missed.unwrap_or_default();
        for signal in missed.iter().chain(held.iter().filter(later)) {
            hub.say_again(session, signal);
        }
    });
    answer
}

impl RoomHub {
    /// An event for one connection that came too late for it.
    pub(super) fn say_again(&self, session: &InboxSession, signal: &RoomSignal) {
        let RoomSignal::Event(event) = signal else { return };
        let filter = session.rooms.filter(&event.room);
        if let Some(frame) = frame_for(session, session.socket.id(), filter.as_ref(), event) {
            // Who cannot take it misses it: room events are at most once.
            let _ = session.socket.emit(&frame.recoverable());
        }
    }
}

/// An event as one connection gets it, if it does.
pub(crate) fn frame_for(
    session: &InboxSession,
    socket: &str,
    filter: Option<&EventFilter>,
    event: &RoomEvent,
) -> Option<Frame> {
    let excepted = event.except.users.contains(&session.user)
        || event.except.sockets.iter().any(|excepted| excepted == socket);
    if excepted || filter.is_some_and(|filter| !filter.matches(&event.name)) {
        return None;
    }
    let view = event.view(event.audience(&session.claims().rights.roles))?;
    Some(frame(event, &view))
}

/// An event as clients get it. In rooms that remember for them, its place comes after the data.
pub(super) fn frame(event: &RoomEvent, data: &str) -> Frame {
    let position = event.position.filter(|_| event.memory.is_none());
    let meta = position.map(|position| Meta { room: &event.room, position });
    match meta.and_then(|meta| serde_json::to_string(&meta).ok()) {
        Some(meta) => Frame::event(&event.name, &[data, &meta]),
        None => Frame::event(&event.name, &[data]),
    }
}
