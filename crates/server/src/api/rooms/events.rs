//! The application speaks in a room.

use axum::{Json as AxumJson, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidings_core::{
    api_key::Scope,
    problem::FieldErrors,
    room::{Except, InvalidEventName, RoomEvent, RoomName, check_event_name},
};
use utoipa::ToSchema;

use super::members::user_id;
use crate::{
    api::{
        caller::Server,
        extract::{Json, Path, parse},
        problem::Problem,
    },
    rooms::{TypeError, publish},
    state::AppState,
};

/// Most that one event may leave out.
const MAX_EXCEPT: usize = 100;
/// Longest id of a socket, in bytes; ours are shorter.
const MAX_SOCKET_ID: usize = 64;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewEvent {
    /// The name that clients listen to; `notification…`, `connect…` and the like are taken.
    #[schema(example = "task:update", max_length = 64)]
    r#type: String,
    /// Its one argument.
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
    /// A user's id, a list of them, or `{users?, sockets?}`: who does not get it.
    #[schema(value_type = Option<Object>)]
    except: Option<LeftOut>,
    /// Leave out clients that are behind, instead of having it wait for them.
    #[serde(default)]
    #[schema(required = false)]
    volatile: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a user's id, a list of them or {users, sockets}")]
enum LeftOut {
    User(String),
    Users(Vec<String>),
    Named(Named),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    sockets: Vec<String>,
}

/// It is on its way to everybody who is in the room.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Emitted {
    #[schema(value_type = String)]
    room: RoomName,
    r#type: String,
}

/// Sends an event to everybody who is in a room now. It is not stored: for what must not be
/// missed there are notifications.
#[utoipa::path(
    post, path = "/rooms/{room}/events", tag = "rooms", params(("room" = String, Path)),
    security(("apiKey" = [])), request_body = NewEvent,
    responses(
        (status = 202, body = Emitted),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn emit(
    State(state): State<AppState>,
    server: Server,
    Path(room): Path<String>,
    Json(body): Json<NewEvent>,
) -> Result<(StatusCode, AxumJson<Emitted>), Problem> {
    server.require(Scope::RoomsWrite)?;
    let (room, _) = super::room(&state, &room, "room")?;
    let event = check(&state, room.clone(), body)?;
    let r#type = event.name.clone();
    publish(&state, event).await.map_err(|problem| {
        tracing::warn!(%problem, %room, "an event was not published");
        // Nothing that invites to say it again: those who heard it would hear it twice.
        let detail = "The event may have reached the connections of one node only";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "BUS_UNAVAILABLE", detail)
    })?;
    Ok((StatusCode::ACCEPTED, AxumJson(Emitted { room, r#type })))
}

/// Makes an event of a room of what was written, wherever that was.
pub(crate) fn read(state: &AppState, room: &str, body: &[u8]) -> Result<RoomEvent, Problem> {
    let (room, _) = super::room(state, room, "/room")?;
    check(state, room, parse(body, "")?)
}

fn check(state: &AppState, room: RoomName, body: NewEvent) -> Result<RoomEvent, Problem> {
    let NewEvent { r#type: name, data, except, volatile } = body;
    check_event_name(&name).map_err(|problem| {
        let code = match problem {
            InvalidEventName::Length => "BAD_LENGTH",
            InvalidEventName::Reserved => "RESERVED",
        };
        bad("/type", code, problem.to_string())
    })?;
    let data = data.unwrap_or_else(|| RawValue::NULL.to_owned());
    let most = state.config.limits.event_data;
    if data.get().len() > most {
        return Err(bad("/data", "TOO_LONG", format!("must have at most {most} bytes")));
    }
    let audiences = state.event_types.check(&name, &data).map_err(wrong_type)?;
    let except = except.map(check_except).transpose()?.unwrap_or_default();
    let at = state.clock.now();
    Ok(RoomEvent {
        room,
        name,
        data,
        audiences,
        except,
        volatile,
        at,
        history: None,
        memory: None,
        position: None,
    })
}

fn wrong_type(problem: TypeError) -> Problem {
    match problem {
        TypeError::Undeclared => {
            bad("/type", "UNKNOWN_TYPE", "is not declared in the configuration".into())
        }
        TypeError::Invalid(errors) => {
            let mut fields = FieldErrors::default();
            for (pointer, detail) in errors {
                fields.add(&format!("/data{pointer}"), "SCHEMA", detail);
            }
            Problem::invalid(&fields)
        }
    }
}

fn check_except(left_out: LeftOut) -> Result<Except, Problem> {
    let (users, sockets, at) = match left_out {
        LeftOut::User(user) => (vec![user], Vec::new(), "/except"),
        LeftOut::Users(users) => (users, Vec::new(), "/except"),
        LeftOut::Named(Named { users, sockets }) => (users, sockets, "/except/users"),
    };
    if users.len() + sockets.len() > MAX_EXCEPT {
        return Err(bad("/except", "BAD_LENGTH", format!("must name at most {MAX_EXCEPT}")));
    }
    // Only ids: the name of a room would leave out everybody in it.
    let is_id = |id: &String| {
        id.len() <= MAX_SOCKET_ID
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if !sockets.iter().all(is_id) {
        return Err(bad("/except/sockets", "BAD_ID", "must be ids of sockets".into()));
    }
    let users: Result<_, _> = users.iter().map(|user| user_id(user, at)).collect();
    Ok(Except { users: users?, sockets })
}

fn bad(pointer: &str, code: &str, detail: String) -> Problem {
    Problem::field(StatusCode::UNPROCESSABLE_ENTITY, pointer, code, detail)
}
