//! The rooms of a client whose connection broke, and which goes on with another.

use std::sync::Arc;

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
    rooms: Vec<(RoomName, Option<EventFilter>)>,
    /// What it said of its presence.
    pub(crate) card: Option<Card>,
    /// This node goes on listening: what is said meanwhile is what the client will have missed.
    _subscriptions: Vec<Arc<Subscription>>,
}

/// The rooms that a returning client may be in again.
#[derive(Default)]
pub(crate) struct Resumed(Vec<(RoomName, Grant, Arc<Subscription>)>);

pub(crate) fn leave_behind(session: &InboxSession) -> Left {
    let with_filter = |(room, _)| {
        let filter = session.rooms.filter(&room);
        (room, filter)
    };
    Left {
        user: session.user.clone(),
        rooms: session.rooms.all().into_iter().map(with_filter).collect(),
        card: session.presence.card(),
        _subscriptions: session.rooms.subscriptions(),
    }
}

impl Resumed {
    /// As the gateway calls them.
    pub(crate) fn names(&self, session: &InboxSession) -> Vec<String> {
        let own_name = own_room(&session.user);
        let own = gateway_rooms(session, &own_name, None);
        let rooms = self.0.iter().flat_map(|(room, _, subscription)| {
            gateway_rooms(session, room.as_str(), subscription.filter())
        });
        own.chain(rooms).collect()
    }
}

/// Decides again about each room. What can not be decided now is left: the client may ask for it.
pub(crate) async fn authorise(state: &AppState, session: &InboxSession, left: &Left) -> Resumed {
    let claims = session.claims();
    session.rooms.see_as(state.rooms.viewers.of(&claims.rights.roles));
    let mut resumed = Vec::with_capacity(left.rooms.len());
    let mut undecided = Vec::new();
    for (room, filter) in left.rooms.iter().take(state.config.limits.rooms_per_connection) {
        let Some(kind) = state.room_kinds.get(room.kind()) else { continue };
        match access::without_asking(room, kind, &claims) {
            Some(Verdict::Granted(grant)) => resumed.push((room, filter, grant)),
            Some(_) => {}
            None => undecided.push((room, filter)),
        }
    }
    let rooms: Vec<RoomName> = undecided.iter().map(|(room, _)| (*room).clone()).collect();
    match access::by_asking(state, &claims, &rooms).await {
        Ok(decisions) => {
            for ((room, filter), decision) in undecided.into_iter().zip(decisions) {
                if let Verdict::Granted(grant) = decision.verdict {
                    resumed.push((room, filter, grant));
                }
            }
        }
        Err(problem) => tracing::error!(%problem, "memberships could not be read"),
    }
    let mut rooms = Vec::with_capacity(resumed.len());
    for (room, filter, grant) in resumed {
        if let Ok(subscription) = Subscription::open(state, room, filter.clone()).await {
            rooms.push((room.clone(), grant, subscription));
        }
    }
    Resumed(rooms)
}

/// The client is back, and the gateway has put it into these rooms. It gets its place again also where others have taken
/// all there are meanwhile.
pub(crate) async fn enter(state: &AppState, session: &InboxSession, resumed: Resumed) {
    let _turn = session.rooms.turn().await;
    for (room, grant, subscription) in resumed.0 {
        let entered = state.rooms.enter(session, &room, subscription.filter(), usize::MAX, None);
        if entered.is_ok() {
            show(state, session, &room);
            session.rooms.put(room, grant, subscription);
        }
    }
}
