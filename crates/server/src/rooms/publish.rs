//! Something is said in a room.

use std::sync::Arc;

use tidings_core::{
    ports::BusError,
    room::{RoomEvent, RoomSignal},
};

use crate::state::AppState;

/// Tells every node that has somebody in the room.
pub(crate) async fn publish(state: &AppState, mut event: RoomEvent) -> Result<(), BusError> {
    event.history = state.room_kinds.get(event.room.kind()).and_then(|kind| kind.history);
    state.event_log.note(&event);
    state.bus.publish_room(&Arc::new(RoomSignal::Event(event))).await
}
