//! What a client may ask about rooms.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tidings_core::{
    ids::MAX_ID_LEN,
    room::{EventFilter, Position},
};

use super::{
    join::{self, Joined, RoomError, Wish},
    message,
};
use crate::{
    inbox::{
        InboxSession,
        commands::{Answer, CommandError, parse},
        events::event,
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

type Wishes = Result<Vec<Wish>, CommandError>;

async fn enter(state: &AppState, session: &InboxSession, wishes: Wishes) -> Answer {
    let wishes = wishes?;
    let outcomes = join::join(state, session, &wishes).await;
    let names = wishes.iter().map(|wish| wish.name.as_str());
    Ok(answer(names.zip(outcomes)))
}

/// Joins rooms that a client named with its first request; what is refused comes as an event.
pub(crate) async fn enter_all(state: &AppState, session: &InboxSession, names: &[String]) {
    let wish = |name: &String| Wish { name: name.clone(), events: None, since: None };
    let wishes: Vec<Wish> = names.iter().map(wish).collect();
    let outcomes = join::join(state, session, &wishes).await;
    for (name, outcome) in names.iter().zip(&outcomes) {
        if let Err(problem) = outcome {
            // Who cannot take it has lost more than this.
            let _ = session.socket.emit(&event("error", &refused(name, problem)));
        }
    }
}

/// What is said of a room that was not joined.
fn refused(name: &str, problem: &RoomError) -> Value {
    let name: String = name.chars().take(MAX_ID_LEN).collect();
    json!({ "code": problem.code(), "message": problem.to_string(), "room": name })
}

/// What is wished for beside the names is of no matter here.
async fn exit(state: &AppState, session: &InboxSession, wishes: Wishes) -> Answer {
    let names: Vec<String> = wishes?.into_iter().map(|wish| wish.name).collect();
    let outcomes = join::leave(state, session, &names).await;
    let outcomes = outcomes.into_iter().map(|outcome| outcome.map(|()| None));
    Ok(answer(names.iter().map(String::as_str).zip(outcomes)))
}

/// One entry for each room, in their order; `error` is the first one's.
fn answer<'a>(outcomes: impl Iterator<Item = (&'a str, Result<Joined, RoomError>)>) -> Value {
    let mut first = None;
    let mut rooms = Vec::new();
    for (name, outcome) in outcomes {
        let name: String = name.chars().take(MAX_ID_LEN).collect();
        rooms.push(match outcome {
            Ok(returned) => {
                let mut entry = json!({ "room": name, "ok": true });
                let returned = returned.and_then(|returned| serde_json::to_value(returned).ok());
                if let (Some(entry), Some(Value::Object(returned))) =
                    (entry.as_object_mut(), returned)
                {
                    entry.extend(returned);
                }
                entry
            }
            Err(problem) => {
                let (code, message) = (problem.code(), problem.to_string());
                first.get_or_insert_with(|| refused(&name, &problem));
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedRooms {
    room: Option<String>,
    #[serde(default)]
    rooms: Vec<String>,
    /// The events to hear, in each of them.
    events: Option<EventFilter>,
    /// Up to where `room` was heard.
    since: Option<Position>,
}

fn rooms(arg: Option<&RawValue>) -> Wishes {
    let wish = |name| Wish { name, events: None, since: None };
    // Tried as one of several shapes, an object would not tell which of its fields is wrong.
    let is_object = arg.is_some_and(|arg| arg.get().trim_start().starts_with('{'));
    let rooms: Vec<Wish> = if is_object {
        let NamedRooms { room, rooms, events, since } = parse(arg)?;
        let first = room.into_iter().map(|name| (name, since));
        let all = first.chain(rooms.into_iter().map(|name| (name, None)));
        all.map(|(name, since)| Wish { name, events: events.clone(), since }).collect()
    } else {
        match parse::<Rooms>(arg)? {
            Rooms::One(room) => vec![wish(room)],
            Rooms::Several(rooms) => rooms.into_iter().map(wish).collect(),
        }
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

fn thread(arg: Option<&RawValue>) -> Wishes {
    let (Thread::Bare(id) | Thread::Named(NamedThread { id })) = parse(arg)?;
    Ok(vec![Wish { name: format!("thread:{id}"), events: None, since: None }])
}
