//! `/connections`: who is and was connected from where, and signing a device out.

use axum::{Json, extract::State};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_core::{
    api_key::Scope,
    audit::{Actor, Happening},
    connection::{Connection, ConnectionFilter, ConnectionId, DEFAULT_PAGE, MAX_PAGE},
    ids::UserId,
    revocation::{Revocation, Revoked, TokenHash},
    time::Timestamp,
};
use utoipa::{IntoParams, ToSchema};

use super::{
    caller::Caller,
    extract::{Path, Query},
    problem::Problem,
    revocations,
};
use crate::state::AppState;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Whose; with a user's token always the own.
    user: Option<String>,
    /// `true`: those that are open; `false`: those that have ended.
    active: Option<bool>,
    /// Connections on a page, 1 to 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionEntry {
    id: uuid::Uuid,
    user_id: String,
    socket_id: String,
    node_id: String,
    /// socket.io, websocket or sse.
    #[schema(example = "socket.io", pattern = "^(socket\\.io|websocket|sse)$")]
    client: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    connected_at: Timestamp,
    /// When its node last said that it holds it.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    disconnected_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ping timeout")]
    reason: Option<String>,
    /// To a user: it stands on the token of this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<bool>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ConnectionList {
    connections: Vec<ConnectionEntry>,
    pagination: ConnectionPage,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionPage {
    limit: usize,
    /// For the next page; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
    has_more: bool,
}

/// Connections, the latest first: a user's own, or with the scope `connections:read` anybody's.
/// They are written down a moment after they happen.
#[utoipa::path(
    get, path = "/connections", tag = "connections", params(ListQuery), security(("apiKey" = []), ("userToken" = [])),
    responses((status = 200, body = ConnectionList), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<ConnectionList>, Problem> {
    let asked = query.user.as_deref().map(UserId::new).transpose();
    let asked = asked.map_err(|problem| bad_parameter("user", &problem.to_string()))?;
    let (user, token) = match &caller {
        Caller::Server(server) => {
            server.require(Scope::ConnectionsRead)?;
            (asked, None)
        }
        Caller::User(user) if asked.as_ref().is_none_or(|asked| asked == user.id()) => {
            (Some(user.id().clone()), Some(user.claims.hash))
        }
        Caller::User(_) => {
            let detail = "A user may ask about the own connections only";
            return Err(Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN", detail));
        }
    };
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(bad_parameter("limit", "must be between 1 and 100"));
    }
    let before = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let filter = ConnectionFilter { user, active: query.active };
    let mut found = state.store.connections(filter, before, limit + 1).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| has_more).map(|last| encode_cursor(last.id));
    Ok(Json(ConnectionList {
        connections: found.into_iter().map(|one| entry(one, token)).collect(),
        pagination: ConnectionPage { limit, next_cursor, has_more },
    }))
}

/// Signs a device out: the token that the connection stands on is taken back, and every
/// connection with it is closed and told not to come back.
#[utoipa::path(
    delete, path = "/connections/{id}", tag = "connections", params(("id" = uuid::Uuid, Path)),
    security(("apiKey" = []), ("userToken" = [])),
    responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<ConnectionId>,
) -> Result<StatusCode, Problem> {
    if let Caller::Server(server) = &caller {
        server.require(Scope::ConnectionsWrite)?;
    }
    let found = state.store.connection(id).await?;
    let connection = found.filter(|found| match &caller {
        Caller::Server(_) => true,
        // That another user has such a connection is nobody's business.
        Caller::User(user) => found.user == *user.id(),
    });
    let Some(connection) = connection else {
        let detail = "There is no such connection";
        return Err(Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail));
    };
    let now = state.clock.now();
    let ends_at = connection.ground.ends_at.plus(state.config.auth.leeway);
    if ends_at > now {
        let revoked = Revoked::Token { hash: connection.ground.token };
        revocations::revoke(&state, Revocation { revoked, ends_at }, now).await?;
    }
    let event = "connection.signed_out";
    match &caller {
        Caller::Server(server) => {
            server.did_once(server.does(event).about(&connection.user).target(id));
        }
        Caller::User(user) => {
            let happening = Happening::new(event, Actor::User(user.id().clone()));
            state.audit.record_often(happening.from(user.ip).target(id));
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn entry(connection: Connection, token: Option<TokenHash>) -> ConnectionEntry {
    ConnectionEntry {
        id: connection.id.0,
        user_id: connection.user.to_string(),
        socket_id: connection.socket_id,
        node_id: connection.node,
        client: connection.client.as_str(),
        device: connection.device.map(|device| device.to_string()),
        ip: connection.ip.to_string(),
        user_agent: connection.user_agent,
        connected_at: connection.connected_at,
        seen_at: connection.seen_at,
        disconnected_at: connection.disconnected_at,
        reason: connection.reason,
        current: token.map(|token| token == connection.ground.token),
    }
}

fn bad_parameter(name: &str, detail: &str) -> Problem {
    Problem::field(StatusCode::BAD_REQUEST, name, "BAD_PARAMETER", detail)
}

/// Cursors are opaque to clients, so that what is in them may change.
fn encode_cursor(id: ConnectionId) -> String {
    URL_SAFE_NO_PAD.encode(format!("c{id}"))
}

fn decode_cursor(cursor: &str) -> Result<ConnectionId, Problem> {
    let id = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        text.strip_prefix('c')?.parse().ok()
    };
    id().ok_or_else(|| bad_parameter("cursor", "is not one of ours"))
}
