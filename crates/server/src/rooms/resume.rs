//! The rooms of a client whose connection broke, and which goes on with another.

use std::sync::Arc;

use tidings_core::{
    ids::UserId,
    room::{Grant, RoomName, Verdict},
};

use super::{
    access,
    join::{is_own, own_room, show},
    subscription::Subscription,
};
use crate::{inbox::InboxSession, state::AppState};

/// What is kept of a session while its client may come back.
pub(crate) struct Left {
    pub(crate) user: UserId,
    rooms: Vec<RoomName>,
    /// This node goes on listening: what is said meanwhile is what the client will have missed.
    _subscriptions: Vec<Arc<Subscription>>,
}

/// The rooms that a returning client may be in again.
#[derive(Default)]
pub(crate) struct Resumed(Vec<(RoomName, Grant, Arc<Subscription>)>);

pub(crate) fn leave_behind(session: &InboxSession) -> Left {
    Left {
        user: session.user.clone(),
        rooms: session.rooms.all().into_iter().map(|(room, _)| room).collect(),
        _subscriptions: session.rooms.subscriptions(),
    }
}

impl Resumed {
    /// As the gateway calls them.
    pub(crate) fn names(&self, user: &UserId) -> Vec<String> {
        let rooms = self.0.iter().map(|(room, ..)| room.to_string());
        rooms.chain([own_room(user)]).collect()
    }
}

/// Decides again about each room. What can not be decided now is left: the client may ask for it.
pub(crate) async fn authorise(state: &AppState, session: &InboxSession, left: &Left) -> Resumed {
    let claims = session.claims();
    let mut resumed = Vec::with_capacity(left.rooms.len());
    let mut by_membership = Vec::new();
    let rooms = left.rooms.iter().filter(|room| !is_own(session, room));
    for room in rooms.take(state.config.limits.rooms_per_connection) {
        let Some(kind) = state.room_kinds.get(room.kind()) else { continue };
        match access::without_store(room, kind, &claims) {
            Some(Verdict::Granted(grant)) => resumed.push((room.clone(), grant)),
            Some(_) => {}
            None => by_membership.push(room.clone()),
        }
    }
    match access::by_membership(state, &claims, &by_membership).await {
        Ok(verdicts) => {
            for (room, verdict) in by_membership.into_iter().zip(verdicts) {
                if let Verdict::Granted(grant) = verdict {
                    resumed.push((room, grant));
                }
            }
        }
        Err(problem) => tracing::error!(%problem, "memberships could not be read"),
    }
    let mut rooms = Vec::with_capacity(resumed.len());
    for (room, grant) in resumed {
        let subscription = Subscription::open(state, &room).await;
        rooms.push((room, grant, subscription));
    }
    Resumed(rooms)
}

/// The client is back, and the gateway has put it into these rooms. It gets its place again also where others have taken
/// all there are meanwhile.
pub(crate) async fn enter(state: &AppState, session: &InboxSession, resumed: Resumed) {
    let _turn = session.rooms.turn().await;
    for (room, grant, subscription) in resumed.0 {
        let entered = state.rooms.enter(session, &room, usize::MAX);
        if entered.is_ok() {
            show(state, session, &room);
            session.rooms.put(room, grant, subscription);
        }
    }
}
