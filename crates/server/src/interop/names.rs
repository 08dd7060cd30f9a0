//! What the others call things, and what we do.

use serde_json::value::RawValue;
use tidings_bus::socketio::Event;
use tidings_core::room::{InvalidEventName, RoomName, check_event_name};

use super::{Interop, metrics::Outcome};
use crate::state::AppState;

/// Names that every client gives a meaning of its own: it takes one of them for an attack and ends the connection.
const NEVER: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
/// Longest name of a room that is not one of ours, in bytes.
const MAX_ROOM: usize = 256;
/// Characters of the hash that a room of the gateway for a part of one of ours ends with.
const HASH: usize = 24;

/// Whether clients may get an event from there.
pub(super) fn admit(state: &AppState, interop: &Interop, event: &Event) -> Result<(), Outcome> {
    match check_event_name(&event.name) {
        Ok(()) => check_type(state, event),
        Err(InvalidEventName::Reserved)
            if interop.config.own_events && !NEVER.contains(&event.name.as_str()) =>
        {
            Ok(())
        }
        Err(_) => Err(Outcome::Reserved),
    }
}

/// Where types are declared, they are for everybody who sends events.
fn check_type(state: &AppState, event: &Event) -> Result<(), Outcome> {
    if state.config.events.is_empty() {
        return Ok(());
    }
    let data = match event.args.as_slice() {
        [] => RawValue::NULL.to_owned(),
        [data] => RawValue::from_string(data.clone()).map_err(|_| Outcome::Malformed)?,
        _ => return Err(Outcome::Undeclared),
    };
    match state.event_types.check(&event.name, &data) {
        Ok(audiences) if audiences.is_empty() => Ok(()),
        Ok(_) | Err(_) => Err(Outcome::Undeclared),
    }
}

/// Whether a name is that of a room of the gateway which holds those of one of our rooms who see alike: nobody outside needs to
/// know it, and who is put into it sees what others may.
pub(super) fn is_inner(room: &str) -> bool {
    let Some((outer, hash)) = room.rsplit_once(['#', '?']) else { return false };
    let is_hash = hash.len() == HASH && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash && RoomName::parse(outer).is_ok()
}

/// What a room is to us.
pub(super) enum Room {
    Ours(RoomName),
    /// A room of the gateway alone.
    Foreign,
    /// None that a socket can be put into.
    Never,
}

pub(super) fn room(state: &AppState, name: &str) -> Room {
    match RoomName::parse(name) {
        // A user's room is the user's own.
        Ok(room) if room.kind() == "user" => Room::Never,
        Ok(room) if state.room_kinds.get(room.kind()).is_some() => Room::Ours(room),
        _ if name.is_empty() || name.len() > MAX_ROOM || is_inner(name) => Room::Never,
        _ => Room::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_for_a_part_of_a_room_are_known_by_their_hash() {
        let hash = "0123456789abcdef01234567";
        assert!(is_inner(&format!("post:1#{hash}")) && is_inner(&format!("user:a?{hash}")));
        for name in ["post:1", "a#b", "post:1#0123", &format!("plain#{hash}"), hash] {
            assert!(!is_inner(name), "{name}");
        }
    }
}
