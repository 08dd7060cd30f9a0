//! Whether those who are in may stay.

use tidings_core::{
    ports::StoreError,
    room::{Grant, Refusal, RoomName, Verdict},
};

use super::{
    access,
    events::Left,
    join::{expel, own_room},
    joined::is_asked,
    lens::room_of_viewer,
};
use crate::{inbox::InboxSession, state::AppState};

/// Which of a connection's rooms are decided about again, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    /// The membership of this one was taken away.
    Lost(&'a RoomName),
    /// The token was renewed: all.
    Renewed,
    /// Time has passed: those joined because the store or the application said so.
    Asked,
}

/// Decides again, and takes the connection out of what it may not keep. With the store or the
/// application away, what nobody said was lost is kept until they answer.
pub(crate) async fn decide_again(
    state: &AppState,
    session: &InboxSession,
    which: Which<'_>,
) -> Result<(), StoreError> {
    let _turn = session.rooms.turn().await;
    let claims = session.claims();
    let mut undecided = Vec::new();
    for (room, grant) in session.rooms.all() {
        let concerned = match which {
            Which::Lost(lost) => room == *lost,
            // What a server wanted it alone takes back.
            _ if grant == Grant::Server => false,
            Which::Renewed => true,
            Which::Asked => is_asked(grant),
        };
        let Some(kind) = state.room_kinds.get(room.kind()).filter(|_| concerned) else { continue };
        match access::without_asking(&room, kind, &claims) {
            Some(Verdict::Granted(grant)) => session.rooms.ground(&room, grant),
            Some(_) => expel(state, session, &room, Left::Token),
            None => undecided.push((room, grant)),
        }
    }
    if matches!(which, Which::Renewed) {
        see_again(state, session);
    }
    let rooms: Vec<RoomName> = undecided.iter().map(|(room, _)| room.clone()).collect();
    let answer = access::by_asking(state, &claims, &rooms).await;
    for (n, (room, before)) in undecided.into_iter().enumerate() {
        let verdicts = answer.as_ref().map(|decisions| decisions.get(n).map(|d| d.verdict));
        let keeps = match (verdicts, which) {
            (Ok(Some(Verdict::Granted(grant))), _) => Some(grant),
            (_, Which::Lost(_)) => None,
            (Ok(Some(Verdict::Refused(Refusal::ApplicationDown))), _) => {
                Some(before).filter(|before| *before == Grant::Application)
            }
            (Ok(_), _) => None,
            (Err(_), _) => Some(before).filter(|before| is_asked(*before)),
        };
        match (keeps, before) {
            (Some(grant), _) => session.rooms.ground(&room, grant),
            (None, Grant::Membership) => expel(state, session, &room, Left::Membership),
            (None, Grant::Application) => expel(state, session, &room, Left::Application),
            (None, _) => expel(state, session, &room, Left::Token),
        }
    }
    answer.map(|_| ())
}

/// Roles have changed, and with them what may be seen.
fn see_again(state: &AppState, session: &InboxSession) {
    let viewer = state.rooms.viewers.of(&session.claims().rights.roles);
    let before = session.rooms.see_as(viewer.clone());
    if before == viewer {
        return;
    }
    let joined = session.rooms.all().into_iter().map(|(room, _)| room.to_string());
    for room in joined.chain([own_room(&session.user)]) {
        if let Some(before) = &before {
            session.socket.leave(&room_of_viewer(&room, before));
        }
        if let Some(viewer) = &viewer {
            session.socket.join(&room_of_viewer(&room, viewer));
        }
    }
}
