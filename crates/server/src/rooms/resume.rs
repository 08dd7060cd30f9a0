//! The rooms of a client whose connection broke, and which goes on with another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidings_core::{
    ids::UserId,
    presence::Card,
    room::{EventFilter, Grant, RoomName, Verdict},
};

use super::{
    access,
    hub::gateway_rooms,
    join::{own_room, show},
    subscription::Subscription,
};
use crate::{inbox::InboxSession, state::AppState};

/// What is kept of a session while its client may come back.
pub(crate) struct Left {
    pub(crate) user: UserId,
    pub(crate) rooms: Vec<LeftRoom>,
    /// What it said of its presence.
    pub(crate) card: Option<Card>,
    /// This node goes on listening: what is said meanwhile is what the client will have missed.
    _subscriptions: Vec<Arc<Subscription>>,
    /// What other nodes can take of it, if they can.
    pub(crate) parked: tokio::sync::Mutex<Parked>,
}

/// Whether other nodes can go on with a session.
#[derive(Default)]
pub(crate) enum Parked {
    /// Not yet.
    #[default]
    No,
    /// They can, by this text.
    As(String),
    /// It was taken, here or elsewhere, and is never left again.
    Taken,
}

/// A room of a client that may come back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LeftRoom {
    pub(crate) room: RoomName,
    pub(crate) filter: Option<EventFilter>,
    /// The position of the gateway's log at which it joined.
    pub(crate) since: u64,
}

/// The rooms that a returning client may be in again.
#[derive(Default)]
pub(crate) struct Resumed {
    rooms: Vec<Again>,
    /// Until the session has its own.
    _own: Option<Arc<Subscription>>,
}

/// A room that it may be in again, the ground for that, and what it listens by, since when.
struct Again(RoomName, Grant, (Arc<Subscription>, u64));

pub(crate) fn leave_behind(session: &InboxSession) -> Left {
    Left {
        user: session.user.clone(),
        rooms: session.rooms.as_left(),
        card: session.presence.card(),
        _subscriptions: session.rooms.subscriptions(),
        parked: tokio::sync::Mutex::default(),
    }
}

impl Resumed {
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.rooms.iter().map(|Again(room, ..)| room)
    }

    /// Listens to the user's own room as well, which it gives.
    pub(crate) async fn with_own(&mut self, state: &AppState, user: &UserId) -> Option<RoomName> {
        let own = RoomName::of_user(user).ok()?;
        self._own = Subscription::open(state, &own, None).await.ok();
        Some(own)
    }

    /// As the gateway calls them.
    pub(crate) fn names(&self, session: &InboxSession) -> Vec<String> {
        let own_name = own_room(&session.user);
        let own = gateway_rooms(session, &own_name, None);
        let rooms = self.rooms.iter().flat_map(|Again(room, _, (subscription, _))| {
            gateway_rooms(session, room.as_str(), subscription.filter())
        });
        own.chain(rooms).collect()
    }
}

/// Decides again about each room. What can not be decided now is left: the client may ask for it.
pub(crate) async fn authorise(
    state: &AppState,
    session: &InboxSession,
    left: &[LeftRoom],
) -> Resumed {
    let claims = session.claims();
    session.rooms.see_as(state.rooms.viewers.of(&claims.rights.roles));
    let mut resumed = Vec::with_capacity(left.len());
    let mut undecided = Vec::new();
    for left in left.iter().take(state.config.limits.rooms_per_connection) {
        let Some(kind) = state.room_kinds.get(left.room.kind()) else { continue };
        match access::without_asking(&left.room, kind, &claims) {
            Some(Verdict::Granted(grant)) => resumed.push((left, grant)),
            Some(_) => {}
            None => undecided.push(left),
        }
    }
    let rooms: Vec<RoomName> = undecided.iter().map(|left| left.room.clone()).collect();
    match access::by_asking(state, &claims, &rooms).await {
        Ok(decisions) => {
            for (left, decision) in undecided.into_iter().zip(decisions) {
                if let Verdict::Granted(grant) = decision.verdict {
                    resumed.push((left, grant));
                }
            }
        }
        Err(problem) => tracing::error!(%problem, "memberships could not be read"),
    }
    let mut rooms = Vec::with_capacity(resumed.len());
    for (LeftRoom { room, filter, since }, grant) in resumed {
        if let Ok(subscription) = Subscription::open(state, room, filter.clone()).await {
            rooms.push(Again(room.clone(), grant, (subscription, *since)));
        }
    }
    Resumed { rooms, _own: None }
}

/// The client is back, and the gateway has put it into these rooms. It gets its place again also where others have taken
/// all there are meanwhile.
pub(crate) async fn enter(state: &AppState, session: &InboxSession, resumed: Resumed) {
    let _turn = session.rooms.turn().await;
    for Again(room, grant, by) in resumed.rooms {
        let entered = state.rooms.enter(session, &room, by.0.filter(), usize::MAX, None);
        if entered.is_ok() {
            show(state, session, &room);
            session.rooms.put(room, grant, by);
        }
    }
}
