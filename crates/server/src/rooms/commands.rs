//! What a client may ask about rooms.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tidings_core::ids::MAX_ID_LEN;

use super::{
    join::{self, RoomError},
    message,
};
use crate::{
    inbox::{
        InboxSession,
        commands::{Answer, CommandError, parse},
    },
    state::AppState,
};

/// Carries out a command about rooms; `None`: it is none.
pub(crate) async fn run(
    state: &AppState,
    session: &InboxSession,
    name: &str,
    arg: Option<&RawValue>,
) -> Option<Answer> {
    Some(match name {
        "room:join" | "subscribe" => enter(state, session, rooms(arg)).await,
        "room:leave" | "unsubscribe" => exit(state, session, rooms(arg)).await,
        "subscribe:thread" => enter(state, session, thread(arg)).await,
        "unsubscribe:thread" => exit(state, session, thread(arg)).await,
        "room:message" => message::send(state, session, arg).await,
        _ => return None,
    })
}

/// Most rooms in one command: the answer, an entry for each, has to find room in a send buffer.
const MAX_ROOMS: usize = 1_000;

type Names = Result<Vec<String>, CommandError>;

async fn enter(state: &AppState, session: &InboxSession, names: Names) -> Answer {
    let names = names?;
    let outcomes = join::join(state, session, &names).await;
    Ok(answer(&names, &outcomes))
}

async fn exit(state: &AppState, session: &InboxSession, names: Names) -> Answer {
    let names = names?;
    let outcomes = join::leave(state, session, &names).await;
    Ok(answer(&names, &outcomes))
}

/// One entry for each room, in their order; `error` is the first one's.
fn answer(names: &[String], outcomes: &[Result<(), RoomError>]) -> Value {
    let mut first = None;
    let mut rooms = Vec::with_capacity(names.len());
    for (name, outcome) in names.iter().zip(outcomes) {
        let name: String = name.chars().take(MAX_ID_LEN).collect();
        rooms.push(match outcome {
            Ok(()) => json!({ "room": name, "ok": true }),
            Err(problem) => {
                let (code, message) = (problem.code(), problem.to_string());
                first.get_or_insert_with(
                    || json!({ "code": code, "message": message, "room": name }),
                );
                let error = json!({ "code": code, "message": message });
                json!({ "room": name, "ok": false, "error": error })
            }
        });
    }
    match first {
        None => json!({ "ok": true, "rooms": rooms }),
        Some(error) => json!({ "ok": false, "rooms": rooms, "error": error }),
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a room, a list of rooms, {room} or {rooms}")]
enum Rooms {
    One(String),
    Several(Vec<String>),
    Named(NamedRooms),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedRooms {
    room: Option<String>,
    #[serde(default)]
    rooms: Vec<String>,
}

fn rooms(arg: Option<&RawValue>) -> Names {
    let rooms = match parse::<Rooms>(arg)? {
        Rooms::One(room) => vec![room],
        Rooms::Several(rooms) => rooms,
        Rooms::Named(NamedRooms { room, rooms }) => room.into_iter().chain(rooms).collect(),
    };
    match rooms.len() {
        0 => Err(CommandError::new("INVALID", "room: is missing")),
        1..=MAX_ROOMS => Ok(rooms),
        _ => {
            let message = format!("rooms: at most {MAX_ROOMS} at once; nothing was done");
            Err(CommandError::new("TOO_MANY_ROOMS", message))
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be the id of a thread, {id} or {threadId}")]
enum Thread {
    Bare(String),
    Named(NamedThread),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedThread {
    #[serde(alias = "threadId")]
    id: String,
}

fn thread(arg: Option<&RawValue>) -> Names {
    let (Thread::Bare(id) | Thread::Named(NamedThread { id })) = parse(arg)?;
    Ok(vec![format!("thread:{id}")])
}
