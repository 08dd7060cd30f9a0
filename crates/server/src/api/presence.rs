//! `/presence`: who is here, of a room or of users that are named.

use axum::{Json as AxumJson, extract::State};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_core::{api_key::Scope, ids::UserId, presence::Entry, room::RoomName, time::Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::{caller::Caller, extract::Query, problem::Problem};
use crate::{cluster, rooms, security, state::AppState};

/// Most users in one question, and on one page.
const MAX_USERS: usize = 1_000;
const DEFAULT_PAGE: usize = 100;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PresenceQuery {
    /// A room: everybody who is here of it.
    #[param(example = "post:42")]
    room: Option<String>,
    /// Instead: ids of users with commas between, at most 1,000.
    #[param(example = "alice,bob")]
    users: Option<String>,
    /// Users on a page of a room, 1 to 1,000.
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Who is here now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Presence {
    /// The room that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    room: Option<RoomName>,
    /// Users who are online: of the room, or of those who were named.
    online: usize,
    /// The room is told counts instead of everybody's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    large: Option<bool>,
    /// Of a room those who are here, by id; else those who were named, in their order.
    #[schema(value_type = Vec<PresenceEntry>)]
    users: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<PresencePage>,
}

/// What others may know of a user.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its description is used")]
pub(super) struct PresenceEntry {
    user_id: String,
    #[schema(example = "online", pattern = "^(online|away|busy|offline)$")]
    status: String,
    current_feature: Option<String>,
    role: Option<String>,
    /// The kind of device, such as `web`.
    device: Option<String>,
    /// Since when the user is here without a break.
    #[schema(format = DateTime)]
    connected_at: Option<String>,
    /// Of one who is offline: when others last saw the user here, if ever.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PresencePage {
    limit: usize,
    /// For the next page; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
    has_more: bool,
}

/// Who is here, of a room (`room`) or of users that are named (`users`). A key needs the scope
/// `presence:read`; a user may ask about a room that is open to the user, and about itself.
/// Invisible users look offline to everybody.
#[utoipa::path(
    get, path = "/presence", tag = "presence", params(PresenceQuery),
    security(("apiKey" = []), ("userToken" = [])),
    responses(
        (status = 200, body = Presence),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PresenceQuery>,
) -> Result<AxumJson<Presence>, Problem> {
    if let Caller::Server(server) = &caller {
        server.require(Scope::PresenceRead)?;
    }
    match (&query.room, &query.users) {
        (Some(room), None) => of_room(&state, &caller, room, &query).await,
        (None, Some(users)) => {
            if query.limit.is_some() || query.cursor.is_some() {
                let name = if query.limit.is_some() { "limit" } else { "cursor" };
                return Err(bad_parameter(name, "is for a room; users are answered all at once"));
            }
            of_users(&state, &caller, users).await
        }
        (Some(_), Some(_)) => Err(bad_parameter("users", "ask about a room or users, not both")),
        (None, None) => Err(bad_parameter("room", "say which room, or which users")),
    }
    .map(AxumJson)
}

async fn of_room(
    state: &AppState,
    caller: &Caller,
    name: &str,
    query: &PresenceQuery,
) -> Result<Presence, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_USERS).contains(&limit) {
        return Err(bad_parameter("limit", "must be between 1 and 1000"));
    }
    let after = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let (room, _) = super::rooms::room(state, name, "room")?;
    if !state.room_kinds.shows_presence(room.kind()) || room.kind() == "user" {
        let detail = "is of a kind that shows no presence";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::field(status, "room", "NO_PRESENCE", detail));
    }
    if let Caller::User(user) = caller
        && let Err(why) = rooms::may_look(state, &user.claims, &room).await?
    {
        security::room_refused(&state.audit, user.id(), name, &why.to_string(), user.ip);
        return Err(Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN", why.to_string()));
    }
    let view = cluster::room_view(state, &room, after.as_ref(), limit).await;
    let last = view.users.last().filter(|_| view.has_more);
    let next_cursor = last.map(|entry| encode_cursor(&entry.user_id));
    Ok(Presence {
        room: Some(room),
        online: view.online,
        large: Some(view.large),
        users: view.users,
        pagination: Some(PresencePage { limit, next_cursor, has_more: view.has_more }),
    })
}

async fn of_users(state: &AppState, caller: &Caller, users: &str) -> Result<Presence, Problem> {
    let names: Vec<&str> = users.split(',').take(MAX_USERS + 1).collect();
    if names.len() > MAX_USERS {
        return Err(bad_parameter("users", "must name at most 1000"));
    }
    let id = |name: &&str| {
        UserId::new(name).map_err(|problem| bad_parameter("users", &problem.to_string()))
    };
    let ids = names.iter().map(id).collect::<Result<Vec<_>, _>>()?;
    if let Caller::User(user) = caller
        && ids.iter().any(|id| id != user.id())
    {
        let detail = "A user may ask about itself, or about a room";
        return Err(Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN", detail));
    }
    let mut users = cluster::users(state, &ids).await;
    add_last_seen(state, &mut users).await?;
    let online = users.iter().filter(|entry| entry.connected_at.is_some()).count();
    Ok(Presence { room: None, online, large: None, users, pagination: None })
}

/// Of those who are not here, the store knows when they were.
async fn add_last_seen(state: &AppState, users: &mut [Entry]) -> Result<(), Problem> {
    let unknown = |entry: &&Entry| entry.connected_at.is_none() && entry.last_seen.is_none();
    let unknown: Vec<UserId> =
        users.iter().filter(unknown).map(|entry| entry.user_id.clone()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let seen: std::collections::HashMap<UserId, Timestamp> =
        state.store.last_seen(&unknown).await?.into_iter().collect();
    for entry in users.iter_mut().filter(|entry| entry.connected_at.is_none()) {
        entry.last_seen = entry.last_seen.or_else(|| seen.get(&entry.user_id).copied());
    }
    Ok(())
}

fn bad_parameter(name: &str, detail: &str) -> Problem {
    Problem::field(StatusCode::BAD_REQUEST, name, "BAD_PARAMETER", detail)
}

/// Cursors are opaque to clients, so that what is in them may change.
fn encode_cursor(user: &UserId) -> String {
    URL_SAFE_NO_PAD.encode(format!("p{user}"))
}

fn decode_cursor(cursor: &str) -> Result<UserId, Problem> {
    let user = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        UserId::new(text.strip_prefix('p')?).ok()
    };
    user().ok_or_else(|| bad_parameter("cursor", "is not one of ours"))
}
