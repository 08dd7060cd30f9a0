//! What a client may say of its presence.

use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tidings_core::{
    presence::{InvalidUpdate, Status, Update},
    room::RoomName,
};

use super::tell::publish;
use crate::{
    inbox::{
        InboxSession,
        commands::{Answer, CommandError, parse},
    },
    state::AppState,
};

/// Most bytes of an update; everything that one may hold fits.
const MAX_UPDATE: usize = 8 * 1024;

/// Carries out a command about presence; `None`: it is none.
pub(crate) async fn run(
    state: &AppState,
    session: &InboxSession,
    name: &str,
    arg: Option<&RawValue>,
) -> Option<Answer> {
    Some(match name {
        "presence:update" | "presence-update" | "status:change" => update(state, session, arg),
        "typing:start" => typing(state, session, arg, true).await,
        "typing:stop" => typing(state, session, arg, false).await,
        _ => return None,
    })
}

/// Typing has a bucket of its own.
pub(crate) fn is_typing(name: &str) -> bool {
    matches!(name, "typing:start" | "typing:stop")
}

fn update(state: &AppState, session: &InboxSession, arg: Option<&RawValue>) -> Answer {
    let update = read(arg)?;
    let own = state.presence.update(session, update, state.clock.now());
    Ok(match own {
        Some(own) => json!({ "ok": true, "status": own.status, "invisible": own.invisible }),
        None => json!({ "ok": true }),
    })
}

/// A bare status, or an object.
pub(crate) fn read(arg: Option<&RawValue>) -> Result<Update, CommandError> {
    let update = parsed(arg)?;
    update.check().map_err(invalid)?;
    Ok(update)
}

fn parsed(arg: Option<&RawValue>) -> Result<Update, CommandError> {
    let text = arg.map_or("null", RawValue::get);
    if text.len() > MAX_UPDATE {
        let field = largest_field(text);
        let message = format!("{field}: is too large; an update has at most {MAX_UPDATE} bytes");
        return Err(CommandError::new("PAYLOAD_TOO_LARGE", message));
    }
    if text.starts_with('{') {
        return parse(arg);
    }
    if !text.starts_with('"') {
        return Err(CommandError::new("INVALID", "must be a status or an object"));
    }
    let status: Status = parse(arg).map_err(|problem| {
        CommandError::new("INVALID", format!("status: {}", problem.message()))
    })?;
    Ok(Update::of_status(status))
}

/// The name of the field that takes the most room, without reading what it holds.
fn largest_field(text: &str) -> String {
    let fields: Result<std::collections::BTreeMap<String, &RawValue>, _> =
        serde_json::from_str(text);
    let largest = fields.ok().and_then(|fields| {
        fields.into_iter().max_by_key(|(_, value)| value.get().len()).map(|(name, _)| name)
    });
    largest.unwrap_or_else(|| "status".to_owned()).chars().take(32).collect()
}

fn invalid(problem: InvalidUpdate) -> CommandError {
    let code = if problem.too_large { "PAYLOAD_TOO_LARGE" } else { "INVALID" };
    CommandError::new(code, problem.to_string())
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a room or {room}")]
enum Where {
    Bare(String),
    Named(Named),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    room: String,
}

async fn typing(
    state: &AppState,
    session: &InboxSession,
    arg: Option<&RawValue>,
    starts: bool,
) -> Answer {
    let (Where::Bare(room) | Where::Named(Named { room })) = parse(arg)?;
    let room = RoomName::parse(&room)
        .map_err(|problem| CommandError::new("INVALID_ROOM", format!("room: {problem}")))?;
    if !session.rooms.contains(&room) {
        return Err(CommandError::new("NOT_IN_ROOM", "You are not in this room"));
    }
    if !state.room_kinds.shows_presence(room.kind()) {
        return Err(CommandError::new("FORBIDDEN", "Rooms of this kind show no presence"));
    }
    let Some(device) = session.presence.device() else { return Ok(json!({ "ok": true })) };
    let now = state.clock.now();
    if !starts {
        if state.presence.typists.lock().stop(device, &room) {
            publish(state, &room, &session.user, false, now).await;
        }
        return Ok(json!({ "ok": true }));
    }
    let is_shown = {
        let board = state.presence.board.lock();
        // Typing would give away who hides; and to thousands it would only be noise.
        board.is_visible(&session.user) && !board.is_large(&room)
    };
    if !is_shown {
        return Ok(json!({ "ok": true, "shown": false }));
    }
    let first = state.presence.typists.lock().start(&session.user, device, &room, now);
    let first =
        first.map_err(|problem| CommandError::new("TOO_MANY_ROOMS", problem.to_string()))?;
    if first {
        publish(state, &room, &session.user, true, now).await;
    }
    Ok(json!({ "ok": true, "shown": true, "expiresAt": now.plus(state.config.presence.typing) }))
}
