//! `/rooms`: the application keeps members, looks who is there and speaks.

pub(super) mod events;
pub(super) mod members;
pub(super) mod one;

use http::StatusCode;
use tidings_core::room::{RoomKind, RoomName};

use super::problem::Problem;
use crate::state::AppState;

/// A room that may be, and its kind.
pub(super) fn room<'a>(
    state: &'a AppState,
    name: &str,
    pointer: &str,
) -> Result<(RoomName, &'a RoomKind), Problem> {
    let bad = |code, detail: String| {
        Problem::field(StatusCode::UNPROCESSABLE_ENTITY, pointer, code, detail)
    };
    let room = RoomName::parse(name).map_err(|problem| bad("BAD_ROOM", problem.to_string()))?;
    match state.room_kinds.get(room.kind()) {
        Some(kind) => Ok((room, kind)),
        None => Err(bad("UNKNOWN_KIND", "is of no kind that is built in or configured".into())),
    }
}
