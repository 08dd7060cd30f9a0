//! Something is said in a room.

use std::sync::Arc;

use tidings_core::{
    ports::BusError,
    room::{RoomEvent, RoomSignal},
};

use crate::state::AppState;

/// Tells every node that has somebody in the room, and Socket.IO servers of others that may have.
pub(crate) async fn publish(state: &AppState, mut event: RoomEvent) -> Result<(), BusError> {
    event.history = state.room_kinds.get(event.room.kind()).and_then(|kind| kind.history);
    state.event_log.note(&event);
    let signal = Arc::new(RoomSignal::Event(event));
    let published = state.bus.publish_room(&signal).await;
    // They may be on another Redis.
    if let (Some(interop), RoomSignal::Event(event)) = (&state.interop, &*signal) {
        interop.publish(event);
    }
    published
}
