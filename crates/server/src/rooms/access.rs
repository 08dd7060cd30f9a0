//! Who may join: the domain decides, the store is asked where it matters.

use tidings_core::{
    ids::RoomId,
    ports::StoreError,
    room::{AccessClaims, Refusal, RoomKind, RoomName, Verdict, decide},
};

use crate::{auth::Claims, state::AppState};

/// What rule and token say; `None`: a membership would matter.
pub(super) fn without_store(room: &RoomName, kind: &RoomKind, claims: &Claims) -> Option<Verdict> {
    match decide(room, kind, access(claims), false) {
        Verdict::Refused(Refusal::NotMember) | Verdict::Ask => None,
        verdict => Some(verdict),
    }
}

/// Decides about rooms where a membership matters, in their order.
pub(super) async fn by_membership(
    state: &AppState,
    claims: &Claims,
    rooms: &[RoomName],
) -> Result<Vec<Verdict>, StoreError> {
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<RoomId> = rooms.iter().map(|room| room.id().clone()).collect();
    let held = state.store.memberships(&claims.sub, &ids).await?;
    let verdict = |room: &RoomName| match state.room_kinds.get(room.kind()) {
        Some(kind) => decide(room, kind, access(claims), held.contains(room.id())),
        None => Verdict::Refused(Refusal::NotMember),
    };
    Ok(rooms.iter().map(verdict).collect())
}

fn access(claims: &Claims) -> AccessClaims<'_> {
    AccessClaims {
        user: &claims.sub,
        roles: &claims.roles,
        groups: &claims.groups,
        rooms: &claims.rooms,
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
    let verdict = match without_store(room, kind, claims) {
        Some(verdict) => Some(verdict),
        None => by_membership(state, claims, std::slice::from_ref(room)).await?.pop(),
    };
    Ok(match verdict {
        Some(Verdict::Granted(_)) => Ok(()),
        Some(Verdict::Refused(why)) => Err(why),
        Some(Verdict::Ask) | None => Err(Refusal::NotMember),
    })
}
