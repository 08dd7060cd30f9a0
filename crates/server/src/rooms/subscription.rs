//! A room that this node listens to.

use std::sync::Arc;

use tidings_core::{
    ports::Bus,
    room::{EventFilter, RoomName},
};

use super::{RoomHub, lens::TooManyFilters};
use crate::state::AppState;

/// While one of these is there, what is said in the room comes to this node. A connection has one for each of its
/// rooms; one that broke and may come back leaves its own behind, so that it can be told what it missed.
pub(crate) struct Subscription {
    bus: Arc<dyn Bus>,
    hub: Arc<RoomHub>,
    room: RoomName,
    /// Without one everything is heard.
    filter: Option<EventFilter>,
}

impl Subscription {
    pub(super) async fn open(
        state: &AppState,
        room: &RoomName,
        filter: Option<EventFilter>,
    ) -> Result<Arc<Self>, TooManyFilters> {
        let (bus, hub) = (Arc::clone(&state.bus), Arc::clone(&state.rooms));
        if let Some(filter) = &filter {
            hub.filters.add(room, filter)?;
        }
        if let Err(problem) = bus.subscribe_room(room).await {
            // What is said on this node still arrives, and memberships are looked at every minute.
            tracing::warn!(%problem, "the bus did not confirm the subscription of a room");
        }
        Ok(Arc::new(Self { bus, hub, room: room.clone(), filter }))
    }

    pub(super) fn filter(&self) -> Option<&EventFilter> {
        self.filter.as_ref()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(filter) = &self.filter {
            self.hub.filters.remove(&self.room, filter);
        }
        self.bus.unsubscribe_room(&self.room);
    }
}
