//! Joining and leaving.

use std::sync::Arc;

use tidings_core::{
    ids::UserId,
    room::{Grant, InvalidRoom, Refusal, RoomKind, RoomName, Verdict},
};

use super::{
    access,
    events::{self, Left},
    subscription::Subscription,
};
use crate::{auth::Claims, inbox::InboxSession, security, state::AppState};

/// Why a room was not joined or left. The text is for the client's author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RoomError {
    #[error("the name of a room {0}")]
    Invalid(InvalidRoom),
    #[error("there is no such kind of room")]
    UnknownKind,
    #[error("{0}")]
    Forbidden(Refusal),
    #[error("you are always in your own room")]
    Own,
    #[error("the room is full")]
    Full,
    #[error("a connection may be in no more rooms")]
    TooMany,
    #[error("it cannot be told now whether you may join; try again")]
    Unavailable,
}

impl RoomError {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_ROOM",
            Self::UnknownKind => "UNKNOWN_KIND",
            Self::Forbidden(Refusal::ApplicationDown) | Self::Unavailable => "UNAVAILABLE",
            Self::Forbidden(_) | Self::Own => "FORBIDDEN",
            Self::Full => "ROOM_FULL",
            Self::TooMany => "TOO_MANY_ROOMS",
        }
    }
}

/// A connection begins: it is in its user's own room.
pub(crate) async fn open(state: &AppState, session: &InboxSession) {
    state.presence.connect(session, state.clock.now());
    if let Ok(own) = RoomName::of_user(&session.user) {
        session.rooms.own(Some(Subscription::open(state, &own).await));
    }
    // Also that of a user whose name is too long for a room: it can be left out by it.
    session.socket.join(&own_room(&session.user));
}

/// The room that all connections of a user are in, from their beginning to their end.
pub(crate) fn own_room(user: &UserId) -> String {
    format!("user:{user}")
}

pub(super) fn is_own(session: &InboxSession, room: &RoomName) -> bool {
    room.kind() == "user" && room.local() == session.user.as_str()
}

/// A connection has ended, and the gateway took its socket out of all rooms.
pub(crate) fn close(state: &AppState, session: &InboxSession) {
    // It may be back in a moment: for presence it is in its rooms until then.
    state.presence.disconnect(session, state.clock.now());
    for (room, _) in session.rooms.all() {
        give_back(state, session, &room);
    }
    session.rooms.own(None);
}

/// Joins rooms; one outcome for each, in order.
pub(super) async fn join(
    state: &AppState,
    session: &InboxSession,
    names: &[String],
) -> Vec<Result<(), RoomError>> {
    let _turn = session.rooms.turn().await;
    let claims = session.claims();
    let most = state.config.limits.rooms_per_connection;
    let mut outcomes = Vec::with_capacity(names.len());
    // The places in `outcomes` of rooms whose members the store knows.
    let mut undecided = Vec::new();
    for (n, name) in names.iter().enumerate() {
        // Nobody is in more rooms than that: so many questions are enough too.
        if n >= most {
            outcomes.push(Err(RoomError::TooMany));
            continue;
        }
        match look(state, session, &claims, name) {
            Look::Done(outcome) => outcomes.push(outcome),
            Look::Granted(room, kind, grant) => {
                let subscription = Subscription::open(state, &room).await;
                outcomes.push(enter(state, session, room, kind, grant, subscription));
            }
            Look::Undecided(room, kind) => {
                // First the bus, then the store: a loss in between is heard of.
                let subscription = Subscription::open(state, &room).await;
                undecided.push((n, room, kind, subscription));
                outcomes.push(Err(RoomError::Unavailable));
            }
        }
    }
    let rooms: Vec<RoomName> = undecided.iter().map(|(_, room, ..)| room.clone()).collect();
    let verdicts = match access::by_membership(state, &claims, &rooms).await {
        Ok(verdicts) => verdicts.into_iter().map(Some).collect(),
        Err(problem) => {
            tracing::error!(%problem, "memberships could not be read");
            vec![None; rooms.len()]
        }
    };
    for ((n, room, kind, subscription), verdict) in undecided.into_iter().zip(verdicts) {
        let outcome = match verdict {
            Some(Verdict::Granted(grant)) => enter(state, session, room, kind, grant, subscription),
            refused => Err(refused.map_or(RoomError::Unavailable, refusal)),
        };
        if let Some(place) = outcomes.get_mut(n) {
            *place = outcome;
        }
    }
    for (name, outcome) in names.iter().zip(&outcomes) {
        if let Err(RoomError::Forbidden(why)) = outcome {
            let ip = session.socket.handshake().client_ip;
            security::room_refused(&state.audit, &session.user, name, &why.to_string(), ip);
        }
    }
    outcomes
}

/// What can be told without asking anybody.
enum Look<'a> {
    Done(Result<(), RoomError>),
    Granted(RoomName, &'a RoomKind, Grant),
    Undecided(RoomName, &'a RoomKind),
}

fn look<'a>(state: &'a AppState, session: &InboxSession, claims: &Claims, name: &str) -> Look<'a> {
    let room = match RoomName::parse(name) {
        Ok(room) => room,
        Err(problem) => return Look::Done(Err(RoomError::Invalid(problem))),
    };
    let Some(kind) = state.room_kinds.get(room.kind()) else {
        return Look::Done(Err(RoomError::UnknownKind));
    };
    if is_own(session, &room) || session.rooms.contains(&room) {
        tell(session, &events::joined(&room));
        return Look::Done(Ok(()));
    }
    match access::without_store(&room, kind, claims) {
        Some(Verdict::Granted(grant)) => Look::Granted(room, kind, grant),
        Some(verdict) => Look::Done(Err(refusal(verdict))),
        None => Look::Undecided(room, kind),
    }
}

fn refusal(verdict: Verdict) -> RoomError {
    match verdict {
        Verdict::Refused(why) => RoomError::Forbidden(why),
        // Nobody can be asked.
        Verdict::Ask | Verdict::Granted(_) => RoomError::Forbidden(Refusal::ApplicationDown),
    }
}

/// Puts a connection into a room that it may join and that is subscribed for it.
fn enter(
    state: &AppState,
    session: &InboxSession,
    room: RoomName,
    kind: &RoomKind,
    grant: Grant,
    subscription: Arc<Subscription>,
) -> Result<(), RoomError> {
    if session.rooms.contains(&room) {
        // Named twice in one request.
        return Ok(());
    }
    if session.rooms.len() >= state.config.limits.rooms_per_connection {
        return Err(RoomError::TooMany);
    }
    state.rooms.enter(session, &room, kind.max_members).map_err(|_| RoomError::Full)?;
    tell(session, &events::joined(&room));
    show(state, session, &room);
    session.rooms.put(room, grant, subscription);
    Ok(())
}

/// The others see that the user is there, where that is seen.
pub(super) fn show(state: &AppState, session: &InboxSession, room: &RoomName) {
    if state.room_kinds.shows_presence(room.kind()) {
        state.presence.enter(session, room);
    }
}

/// Leaves rooms, also such that the connection is not in.
pub(super) async fn leave(
    state: &AppState,
    session: &InboxSession,
    names: &[String],
) -> Vec<Result<(), RoomError>> {
    let _turn = session.rooms.turn().await;
    let leave = |name: &String| {
        let room = RoomName::parse(name).map_err(RoomError::Invalid)?;
        if is_own(session, &room) {
            return Err(RoomError::Own);
        }
        take_out(state, session, &room);
        tell(session, &events::left(&room, None));
        Ok(())
    };
    names.iter().map(leave).collect()
}

/// Takes a connection out of a room that it may not be in any more.
pub(super) fn expel(state: &AppState, session: &InboxSession, room: &RoomName, reason: Left) {
    if take_out(state, session, room) {
        security::room_expelled(&state.audit, &session.user, room, reason.as_str());
        tell(session, &events::left(room, Some(reason)));
    }
}

/// Whether it was in the room.
fn take_out(state: &AppState, session: &InboxSession, room: &RoomName) -> bool {
    let was_in = give_back(state, session, room);
    if was_in {
        state.presence.leave(session, room);
    }
    was_in
}

fn give_back(state: &AppState, session: &InboxSession, room: &RoomName) -> bool {
    let was_in = session.rooms.take(room);
    if was_in {
        state.rooms.leave(session, room);
    }
    was_in
}

fn tell(session: &InboxSession, frame: &tidings_gateway::Frame) {
    // Who cannot take it has the answer of the command, or asks again.
    let _ = session.socket.emit(frame);
}
