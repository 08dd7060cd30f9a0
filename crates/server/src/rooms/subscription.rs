//! A room that this node listens to.

use std::sync::Arc;

use tidings_core::{ports::Bus, room::RoomName};

use crate::state::AppState;

/// While one of these is there, what is said in the room comes to this node. A connection has one for each of its
/// rooms; one that broke and may come back leaves its own behind, so that it can be told what it missed.
pub(crate) struct Subscription {
    bus: Arc<dyn Bus>,
    room: RoomName,
}

impl Subscription {
    pub(super) async fn open(state: &AppState, room: &RoomName) -> Arc<Self> {
        let bus = Arc::clone(&state.bus);
        if let Err(problem) = bus.subscribe_room(room).await {
            // What is said on this node still arrives, and memberships are looked at every minute.
            tracing::warn!(%problem, "the bus did not confirm the subscription of a room");
        }
        Arc::new(Self { bus, room: room.clone() })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.bus.unsubscribe_room(&self.room);
    }
}
