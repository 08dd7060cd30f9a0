//! Who may join: the domain decides, the store and the application are asked where it matters.

use std::sync::Arc;

use futures_util::future::join_all;
use tidings_core::{
    ids::RoomId,
    ports::StoreError,
    room::{AccessClaims, Refusal, RoomKind, RoomName, Verdict, decide},
};

use super::application::{self, Word};
use crate::{auth::Claims, state::AppState};

/// What was decided about one room.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    /// Never [`Verdict::Ask`].
    pub(super) verdict: Verdict,
    /// What the application says to its refusal.
    pub(super) reason: Option<Arc<str>>,
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, reason: None }
    }
}

/// What rule and token say; `None`: a membership would matter, or what the application says.
pub(super) fn without_asking(room: &RoomName, kind: &RoomKind, claims: &Claims) -> Option<Verdict> {
    match decide(room, kind, access(claims), false) {
        Verdict::Refused(Refusal::NotMember) | Verdict::Ask => None,
        verdict => Some(verdict),
    }
}

/// Decides about rooms where a membership matters, in their order. About those where it does
/// not let in, the application is asked, where it wants to be.
pub(super) async fn by_asking(
    state: &AppState,
    claims: &Claims,
    rooms: &[RoomName],
) -> Result<Vec<Decision>, StoreError> {
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<RoomId> = rooms.iter().map(|room| room.id().clone()).collect();
    let held = &state.store.memberships(&claims.sub, &ids).await?;
    let decisions = rooms.iter().map(|room| async move {
        let Some(kind) = state.room_kinds.get(room.kind()) else {
            return Verdict::Refused(Refusal::NotMember).into();
        };
        match decide(room, kind, access(claims), held.contains(room.id())) {
            Verdict::Ask => by_application(state, claims, room, kind).await,
            verdict => verdict.into(),
        }
    });
    Ok(join_all(decisions).await)
}

async fn by_application(
    state: &AppState,
    claims: &Claims,
    room: &RoomName,
    kind: &RoomKind,
) -> Decision {
    let word = match &state.application {
        Some(application) => application.ask(claims, room).await,
        None => Word::Silent,
    };
    let verdict = application::verdict(&word, kind);
    let reason = if let Word::Refused(reason) = word { reason } else { None };
    Decision { verdict, reason }
}

fn access(claims: &Claims) -> AccessClaims<'_> {
    AccessClaims {
        user: &claims.sub,
        roles: &claims.rights.roles,
        groups: &claims.rights.groups,
        rooms: &claims.rights.rooms,
    }
}

/// Whether somebody may look into a room without being in it: who may join it may.
pub(crate) async fn may_look(
    state: &AppState,
    claims: &Claims,
    room: &RoomName,
) -> Result<Result<(), Refusal>, StoreError> {
    let Some(kind) = state.room_kinds.get(room.kind()) else {
        return Ok(Err(Refusal::NotMember));
    };
    let verdict = match without_asking(room, kind, claims) {
        Some(verdict) => Some(verdict),
        None => {
            let decisions = by_asking(state, claims, std::slice::from_ref(room)).await?;
            decisions.first().map(|decision| decision.verdict)
        }
    };
    Ok(match verdict {
        Some(Verdict::Granted(_)) => Ok(()),
        Some(Verdict::Refused(why)) => Err(why),
        Some(Verdict::Ask) | None => Err(Refusal::NotMember),
    })
}
