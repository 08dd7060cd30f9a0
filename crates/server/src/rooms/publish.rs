//! Something is said in a room.

use std::sync::Arc;

use tidings_core::{
    ports::BusError,
    room::{Memory, RoomEvent, RoomSignal},
};

use crate::state::AppState;

/// Tells every node that has somebody in the room, and Socket.IO servers of others that may have.
pub(crate) async fn publish(state: &AppState, mut event: RoomEvent) -> Result<(), BusError> {
    event.history = state.room_kinds.get(event.room.kind()).and_then(|kind| kind.history);
    state.event_log.note(&event);
    let (signal, published) = say_it(state, event).await;
    // They may be on another Redis.
    if let (Some(interop), RoomSignal::Event(event)) = (&state.interop, &*signal) {
        interop.publish(event);
    }
    published
}

/// The same, to our own nodes only.
pub(crate) async fn say(state: &AppState, event: RoomEvent) -> Result<(), BusError> {
    say_it(state, event).await.1
}

async fn say_it(state: &AppState, mut event: RoomEvent) -> (Arc<RoomSignal>, Result<(), BusError>) {
    let limits = state.recovery.memory().filter(|_| event.history.is_none() && !event.volatile);
    event.memory = limits.map(|limits| Memory { id: rand::random(), limits });
    let kept = event.memory.map(|memory| (event.room.clone(), memory.id));
    if let Some((room, id)) = &kept {
        state.rooms.trails.begin(room, *id);
    }
    let signal = Arc::new(RoomSignal::Event(event));
    let said = state.bus.publish_room(&signal).await;
    if let (Err(_), Some((room, id))) = (&said, &kept) {
        state.rooms.trails.placed(room, *id, None);
    }
    (signal, said)
}
