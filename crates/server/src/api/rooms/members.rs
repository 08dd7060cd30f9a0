//! The members of a room: who may join, and who gets what is sent to it.

use std::sync::Arc;

use axum::{Json as AxumJson, extract::State};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_core::{
    api_key::Scope,
    ids::UserId,
    ports::NewMembers,
    room::{RoomName, RoomSignal, Rule},
    signal::NodeSignal,
};
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::{
        caller::Server,
        extract::{Json, Path, Query},
        problem::Problem,
    },
    state::AppState,
};

/// Most users in one request, and on one page.
const MAX_USERS: usize = 1_000;
const DEFAULT_PAGE: usize = 100;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Users {
    #[schema(min_items = 1, max_items = 1000)]
    users: Vec<String>,
}

/// How many users became members.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Added {
    #[schema(value_type = String)]
    room: RoomName,
    /// Without those who were members before.
    added: u64,
}

/// How many users were members until now.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Removed {
    #[schema(value_type = String)]
    room: RoomName,
    removed: usize,
}

/// Makes a user a member.
#[utoipa::path(
    put, path = "/rooms/{room}/members/{user}", tag = "rooms",
    params(("room" = String, Path), ("user" = String, Path)), security(("apiKey" = [])),
    responses((status = 200, body = Added), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn put_one(
    State(state): State<AppState>,
    server: Server,
    Path((room, user)): Path<(String, String)>,
) -> Result<AxumJson<Added>, Problem> {
    add(&state, &server, &room, vec![user_id(&user, "user")?]).await
}

/// Makes users members, all or none.
#[utoipa::path(
    post, path = "/rooms/{room}/members", tag = "rooms", params(("room" = String, Path)),
    security(("apiKey" = [])), request_body = Users,
    responses((status = 200, body = Added), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn add_many(
    State(state): State<AppState>,
    server: Server,
    Path(room): Path<String>,
    Json(body): Json<Users>,
) -> Result<AxumJson<Added>, Problem> {
    add(&state, &server, &room, user_ids(&body)?).await
}

/// Takes a membership away. The user's connections leave the room at once, unless something
/// else lets them in.
#[utoipa::path(
    delete, path = "/rooms/{room}/members/{user}", tag = "rooms",
    params(("room" = String, Path), ("user" = String, Path)), security(("apiKey" = [])),
    responses((status = 200, body = Removed), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn delete_one(
    State(state): State<AppState>,
    server: Server,
    Path((room, user)): Path<(String, String)>,
) -> Result<AxumJson<Removed>, Problem> {
    remove(&state, &server, &room, vec![user_id(&user, "user")?]).await
}

/// Takes memberships away.
#[utoipa::path(
    delete, path = "/rooms/{room}/members", tag = "rooms", params(("room" = String, Path)),
    security(("apiKey" = [])), request_body = Users,
    responses((status = 200, body = Removed), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn delete_many(
    State(state): State<AppState>,
    server: Server,
    Path(room): Path<String>,
    Json(body): Json<Users>,
) -> Result<AxumJson<Removed>, Problem> {
    remove(&state, &server, &room, user_ids(&body)?).await
}

async fn add(
    state: &AppState,
    server: &Server,
    room: &str,
    users: Vec<UserId>,
) -> Result<AxumJson<Added>, Problem> {
    server.require(Scope::RoomsWrite)?;
    let (room, kind) = super::room(state, room, "room")?;
    if matches!(kind.rule, Rule::Own | Rule::Role(_)) {
        let detail = "is of a kind that has no members";
        return Err(Problem::field(StatusCode::UNPROCESSABLE_ENTITY, "room", "NO_MEMBERS", detail));
    }
    match state.store.add_members(room.id(), &users, kind.max_members).await? {
        NewMembers::Added(added) => {
            audit(server, "members.added", &room, &users);
            Ok(AxumJson(Added { room, added }))
        }
        NewMembers::Full { members } => {
            let most = kind.max_members;
            let detail =
                format!("The room has {members} members of at most {most}; none was added");
            Err(Problem::new(StatusCode::CONFLICT, "ROOM_FULL", detail))
        }
    }
}

async fn remove(
    state: &AppState,
    server: &Server,
    room: &str,
    users: Vec<UserId>,
) -> Result<AxumJson<Removed>, Problem> {
    server.require(Scope::RoomsWrite)?;
    let (room, kind) = super::room(state, room, "room")?;
    let removed = state.store.remove_members(room.id(), &users).await?.len();
    audit(server, "members.removed", &room, &users);
    if kind.ask_application {
        let signal = NodeSignal::AskAgain { room: room.clone(), users: users.clone() };
        if let Err(problem) = state.bus.publish_to_nodes(&Arc::new(signal)).await {
            tracing::warn!(%problem, %room, "the application is asked again when its answers end");
        }
    }
    // Of all that were named: a request sent again makes good what the bus lost the first time.
    let signal = Arc::new(RoomSignal::MembershipLost { room: room.clone(), users });
    if let Err(problem) = state.bus.publish_room(&signal).await {
        tracing::warn!(%problem, %room, "lost memberships are noticed within a minute");
    }
    Ok(AxumJson(Removed { room, removed }))
}

/// With the user, or as many of them as find room.
fn audit(server: &Server, event: &'static str, room: &RoomName, users: &[UserId]) {
    let happening = server.does(event).room(room.id());
    server.did(match users {
        [user] => happening.about(user),
        _ => {
            let first: Vec<_> = users.iter().take(16).map(UserId::as_str).collect();
            happening.with("number", users.len()).with("users", first.join(" "))
        }
    });
}

fn user_ids(body: &Users) -> Result<Vec<UserId>, Problem> {
    if !(1..=MAX_USERS).contains(&body.users.len()) {
        let detail = "must hold 1 to 1000 users";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::field(status, "/users", "BAD_LENGTH", detail));
    }
    let ids = body.users.iter().enumerate();
    ids.map(|(n, user)| user_id(user, &format!("/users/{n}"))).collect()
}

pub(super) fn user_id(text: &str, pointer: &str) -> Result<UserId, Problem> {
    UserId::new(text).map_err(|problem| {
        Problem::field(StatusCode::UNPROCESSABLE_ENTITY, pointer, "BAD_ID", problem.to_string())
    })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PageQuery {
    /// Users on a page, 1 to 1,000.
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Members {
    #[schema(value_type = Vec<String>)]
    members: Vec<UserId>,
    pagination: MembersPage,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct MembersPage {
    limit: usize,
    /// For the next page; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
    has_more: bool,
}

/// The members of a room, by id.
#[utoipa::path(
    get, path = "/rooms/{room}/members", tag = "rooms", params(("room" = String, Path), PageQuery),
    security(("apiKey" = [])),
    responses((status = 200, body = Members), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn list(
    State(state): State<AppState>,
    server: Server,
    Path(room): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<AxumJson<Members>, Problem> {
    server.require(Scope::RoomsRead)?;
    let (room, _) = super::room(&state, &room, "room")?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_USERS).contains(&limit) {
        return Err(bad_parameter("limit", "must be between 1 and 1000"));
    }
    let after = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let mut members = state.store.members(room.id(), after.as_ref(), limit + 1).await?;
    let has_more = members.len() > limit;
    members.truncate(limit);
    let next_cursor = members.last().filter(|_| has_more).map(encode_cursor);
    Ok(AxumJson(Members { members, pagination: MembersPage { limit, next_cursor, has_more } }))
}

fn bad_parameter(name: &str, detail: &str) -> Problem {
    Problem::field(StatusCode::BAD_REQUEST, name, "BAD_PARAMETER", detail)
}

/// Cursors are opaque to clients, so that what is in them may change.
fn encode_cursor(user: &UserId) -> String {
    URL_SAFE_NO_PAD.encode(format!("m{user}"))
}

fn decode_cursor(cursor: &str) -> Result<UserId, Problem> {
    let user = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        UserId::new(text.strip_prefix('m')?).ok()
    };
    user().ok_or_else(|| bad_parameter("cursor", "is not one of ours"))
}
