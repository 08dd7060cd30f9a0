//! Joining and leaving.

use std::sync::Arc;

use tidings_core::{
    ids::UserId,
    room::{EventFilter, Grant, InvalidRoom, Position, Refusal, RoomKind, RoomName, Verdict},
};

use super::{
    access::{self, Decision},
    events::{self, Left},
    history::{self, Return},
    lens::room_of_filter,
    subscription::Subscription,
};
use crate::{auth::Claims, inbox::InboxSession, security, state::AppState};

/// Why a room was not joined or left. The text is for the client's author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RoomError {
    #[error("the name of a room {0}")]
    Invalid(InvalidRoom),
    #[error("there is no such kind of room")]
    UnknownKind,
    #[error("{0}")]
    Forbidden(Refusal),
    /// With the application's own words.
    #[error("the application does not let you in: {0}")]
    Denied(Arc<str>),
    #[error("you are always in your own room")]
    Own,
    #[error("the room is full")]
    Full,
    #[error("a connection may be in no more rooms")]
    TooMany,
    #[error("others in the room have too many different filters; join without one")]
    TooManyFilters,
    #[error("it cannot be told now whether you may join; try again")]
    Unavailable,
}

impl RoomError {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_ROOM",
            Self::UnknownKind => "UNKNOWN_KIND",
            Self::Forbidden(Refusal::ApplicationDown) | Self::Unavailable => "UNAVAILABLE",
            Self::Forbidden(_) | Self::Denied(_) | Self::Own => "FORBIDDEN",
            Self::Full => "ROOM_FULL",
            Self::TooMany => "TOO_MANY_ROOMS",
            Self::TooManyFilters => "TOO_MANY_FILTERS",
        }
    }
}

/// A connection begins: it is in its user's own room.
pub(crate) async fn open(state: &AppState, session: &InboxSession) {
    if let Ok(own) = RoomName::of_user(&session.user) {
        session.rooms.own(Subscription::open(state, &own, None).await.ok());
    }
    session.rooms.see_as(state.rooms.viewers.of(&session.claims().rights.roles));
    // Also that of a user whose name is too long for a room: it can be left out by it.
    state.rooms.listen(session, &own_room(&session.user), None);
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
    for (room, _) in session.rooms.all() {
        give_back(state, session, &room);
    }
    session.rooms.own(None);
}

/// A room that a client wants to be in.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) name: String,
    /// The events that it wants to hear; `None`: all.
    pub(super) events: Option<EventFilter>,
    /// Up to where it has heard the room, if the room remembers.
    pub(super) since: Option<Position>,
}

/// In the room; how it came back, if the room remembers.
pub(super) type Joined = Option<Return>;

/// Joins rooms; one outcome for each, in order.
pub(super) async fn join(
    state: &AppState,
    session: &InboxSession,
    wishes: &[Wish],
) -> Vec<Result<Joined, RoomError>> {
    let _turn = session.rooms.turn().await;
    let claims = session.claims();
    let most = state.config.limits.rooms_per_connection;
    let mut outcomes = Vec::with_capacity(wishes.len());
    // Rooms about which others know, and their places in `outcomes`.
    let mut undecided = Vec::new();
    for (n, wish) in wishes.iter().enumerate() {
        // Nobody is in more rooms than that: so many questions are enough too.
        if n >= most {
            outcomes.push(Err(RoomError::TooMany));
            continue;
        }
        let outcome = match look(state, session, &claims, &wish.name) {
            Look::Done(outcome) => outcome.map(|()| None),
            Look::Member(room) => again(state, session, room, wish).await,
            Look::Granted(room, kind, grant) => match subscribe(state, &room, wish).await {
                Ok(subscription) => {
                    enter(state, session, Entrance { room, kind, wish, subscription }, grant).await
                }
                Err(problem) => Err(problem),
            },
            // First the bus, then the store: a loss in between is heard of.
            Look::Undecided(room, kind) => match subscribe(state, &room, wish).await {
                Ok(subscription) => {
                    undecided.push((n, Entrance { room, kind, wish, subscription }));
                    Err(RoomError::Unavailable)
                }
                Err(problem) => Err(problem),
            },
        };
        outcomes.push(outcome);
    }
    let rooms: Vec<RoomName> = undecided.iter().map(|(_, at)| at.room.clone()).collect();
    let decisions = match access::by_asking(state, &claims, &rooms).await {
        Ok(decisions) => decisions.into_iter().map(Some).collect(),
        Err(problem) => {
            tracing::error!(%problem, "memberships could not be read");
            vec![None; rooms.len()]
        }
    };
    for ((n, entrance), decision) in undecided.into_iter().zip(decisions) {
        let outcome = match decision {
            Some(Decision { verdict: Verdict::Granted(grant), .. }) => {
                enter(state, session, entrance, grant).await
            }
            Some(Decision { reason: Some(reason), .. }) => Err(RoomError::Denied(reason)),
            Some(refused) => Err(refusal(refused.verdict)),
            None => Err(RoomError::Unavailable),
        };
        if let Some(place) = outcomes.get_mut(n) {
            *place = outcome;
        }
    }
    for (wish, outcome) in wishes.iter().zip(&outcomes) {
        if let Err(refused @ (RoomError::Forbidden(_) | RoomError::Denied(_))) = outcome {
            let (ip, why) = (session.socket.handshake().client_ip, refused.to_string());
            security::room_refused(&state.audit, &session.user, &wish.name, &why, ip);
        }
    }
    outcomes
}

/// What can be told without asking anybody.
enum Look<'a> {
    Done(Result<(), RoomError>),
    /// It is in the room already.
    Member(RoomName),
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
    if is_own(session, &room) {
        tell(session, &events::joined(&room, None));
        return Look::Done(Ok(()));
    }
    if session.rooms.contains(&room) {
        return Look::Member(room);
    }
    match access::without_asking(&room, kind, claims) {
        Some(Verdict::Granted(grant)) => Look::Granted(room, kind, grant),
        Some(verdict) => Look::Done(Err(refusal(verdict))),
        None => Look::Undecided(room, kind),
    }
}

async fn subscribe(
    state: &AppState,
    room: &RoomName,
    wish: &Wish,
) -> Result<Arc<Subscription>, RoomError> {
    let opened = Subscription::open(state, room, wish.events.clone()).await;
    opened.map_err(|_| RoomError::TooManyFilters)
}

fn refusal(verdict: Verdict) -> RoomError {
    match verdict {
        Verdict::Refused(why) => RoomError::Forbidden(why),
        // The application was asked by now.
        Verdict::Ask | Verdict::Granted(_) => RoomError::Forbidden(Refusal::ApplicationDown),
    }
}

/// A room that a connection may join and that is subscribed for it.
struct Entrance<'a> {
    room: RoomName,
    kind: &'a RoomKind,
    wish: &'a Wish,
    subscription: Arc<Subscription>,
}

async fn enter(
    state: &AppState,
    session: &InboxSession,
    entrance: Entrance<'_>,
    grant: Grant,
) -> Result<Joined, RoomError> {
    let Entrance { room, kind, wish, subscription } = entrance;
    if session.rooms.contains(&room) {
        // Named twice in one request.
        return Ok(None);
    }
    if session.rooms.len() >= state.config.limits.rooms_per_connection {
        return Err(RoomError::TooMany);
    }
    let socket = session.socket.id();
    // On other nodes first: what is taken there is given back if there is no place here.
    let connections = state.rooms.connections_of(&room, &session.user) + 1;
    if state.room_kinds.shows_presence(room.kind()) {
        // Who hides on another node must not be seen here for a moment.
        state.cluster.settled(&session.user).await;
    }
    let seated = state.cluster.seat(&room, &session.user, connections, kind.max_members).await;
    let announced = seated.map_err(|_| RoomError::Full)?.then_some(connections);
    if kind.history.is_some() {
        state.rooms.holds.begin(&room, socket);
    }
    let (events, most) = (wish.events.as_ref(), kind.max_members);
    let since = session.socket.log_position();
    if state.rooms.enter(session, &room, events, most, announced).is_err() {
        state.cluster.touch_seats(&room, &session.user);
        state.rooms.holds.end(&room, socket);
        return Err(RoomError::Full);
    }
    session.rooms.put(room.clone(), grant, (subscription, since));
    let told = |returned: Option<&Return>| tell(session, &events::joined(&room, returned));
    let returned = match kind.history {
        Some(limits) => history::catch_up(state, session, &room, limits, wish.since, told).await,
        None => {
            told(None);
            None
        }
    };
    show(state, session, &room);
    Ok(returned)
}

/// Joins a room that the connection is in: from now on it hears what it asks for now.
async fn again(
    state: &AppState,
    session: &InboxSession,
    room: RoomName,
    wish: &Wish,
) -> Result<Joined, RoomError> {
    let before = session.rooms.filter(&room);
    if before != wish.events {
        let subscription = subscribe(state, &room, wish).await?;
        state.rooms.listen(session, room.as_str(), wish.events.as_ref());
        if let Some(filter) = before {
            session.socket.leave(&room_of_filter(room.as_str(), &filter));
        }
        session.rooms.listen_by(&room, subscription);
    }
    tell(session, &events::joined(&room, None));
    Ok(None)
}

/// Puts a connection into a room because a server of the application says so: no rule is asked, but the bounds hold.
pub(crate) async fn bring(state: &AppState, session: &InboxSession, room: RoomName) {
    let _turn = session.rooms.turn().await;
    let Some(kind) = state.room_kinds.get(room.kind()) else { return };
    if !session.socket.is_connected() || session.rooms.contains(&room) {
        return;
    }
    let wish = Wish { name: room.to_string(), events: None, since: None };
    let Ok(subscription) = subscribe(state, &room, &wish).await else { return };
    let entrance = Entrance { room: room.clone(), kind, wish: &wish, subscription };
    if let Err(problem) = enter(state, session, entrance, Grant::Server).await {
        tracing::info!(%problem, user_id = %session.user, %room, "a server's join was not done");
    }
    // Unlike what a client asks for, this may meet its end, and what ended it may not have seen the room.
    if !session.socket.is_connected() {
        take_out(state, session, &room);
    }
}

/// Takes it out again, whatever it came in by.
pub(crate) async fn send_out(state: &AppState, session: &InboxSession, room: &RoomName) {
    let _turn = session.rooms.turn().await;
    if take_out(state, session, room) {
        tell(session, &events::left(room, Some(Left::Server)));
    }
}

/// The others see that the user is there, where that is seen.
pub(super) fn show(state: &AppState, session: &InboxSession, room: &RoomName) {
    if state.room_kinds.shows_presence(room.kind()) {
        state.presence.enter(session, room, state.clock.now());
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
    let Some(subscription) = session.rooms.take(room) else { return false };
    state.rooms.leave(session, room, subscription.filter());
    true
}

fn tell(session: &InboxSession, frame: &tidings_gateway::Frame) {
    // Who cannot take it has the answer of the command, or asks again.
    let _ = session.socket.emit(frame);
}
