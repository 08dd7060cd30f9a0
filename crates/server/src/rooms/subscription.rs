//! A room that this node listens to.

use std::sync::Arc;

use tidings_core::room::{EventFilter, RoomName};

use super::lens::TooManyFilters;
use crate::state::AppState;

/// While one of these is there, what is said in the room comes to this node. A connection has one for each of its
/// rooms; one that broke and may come back leaves its own behind, so that it can be told what it missed.
pub(crate) struct Subscription {
    state: AppState,
    room: RoomName,
    /// Without one everything is heard.
    filter: Option<Box<EventFilter>>,
}

impl Subscription {
    pub(super) async fn open(
        state: &AppState,
        room: &RoomName,
        filter: Option<EventFilter>,
    ) -> Result<Arc<Self>, TooManyFilters> {
        if let Some(filter) = &filter {
            state.rooms.filters.add(room, filter)?;
        }
        if is_followed(state, room) {
            state.rooms.trails.open(room);
        }
        if let Err(problem) = state.bus.subscribe_room(room).await {
            // What is said on this node still arrives, and memberships are looked at every minute.
            tracing::warn!(%problem, "the bus did not confirm the subscription of a room");
        }
        let filter = filter.map(Box::new);
        Ok(Arc::new(Self { state: state.clone(), room: room.clone(), filter }))
    }

    pub(super) fn filter(&self) -> Option<&EventFilter> {
        self.filter.as_deref()
    }
}

/// Whether it matters what was told in the room.
fn is_followed(state: &AppState, room: &RoomName) -> bool {
    let history = state.room_kinds.get(room.kind()).and_then(|kind| kind.history);
    history.or(state.recovery.memory()).is_some()
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(filter) = &self.filter {
            self.state.rooms.filters.remove(&self.room, filter);
        }
        self.state.bus.unsubscribe_room(&self.room);
        if is_followed(&self.state, &self.room) {
            self.state.rooms.stop_listening(&self.room);
        }
    }
}
