//! The audit log: who did or tried what.

use std::{collections::BTreeMap, net::IpAddr, str::FromStr};

use axum::{Json, extract::State};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_core::{
    api_key::Scope,
    audit::{Actor, AuditEntry, AuditFilter, AuditId, DEFAULT_PAGE, MAX_PAGE},
    time::Timestamp,
};
use utoipa::{IntoParams, ToSchema};

use super::{caller::Server, extract::Query, problem::Problem};
use crate::state::AppState;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Such as `token.refused`.
    event: Option<String>,
    /// Whom it is about: who did it, or to whom it was done.
    user: Option<String>,
    ip: Option<String>,
    room: Option<String>,
    /// Entries made at this instant (RFC 3339) or later.
    since: Option<String>,
    /// Entries made before this instant.
    until: Option<String>,
    /// Entries on a page, 1 to 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    id: uuid::Uuid,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// When it happened last.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
    /// How often the same happened within a minute.
    count: u64,
    #[schema(example = "room.refused")]
    event: String,
    actor: EntryActor,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    /// Whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    /// What it was done to: an API key, a notification, a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    detail: BTreeMap<String, String>,
}

/// Who did it.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryActor {
    /// user, api_key, anonymous, operator, system or erased.
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

impl From<&Actor> for EntryActor {
    fn from(actor: &Actor) -> Self {
        Self { kind: actor.kind().to_owned(), id: actor.id().map(str::to_owned) }
    }
}

impl From<AuditEntry> for Entry {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id.0,
            at: entry.at,
            last_at: entry.last_at,
            count: entry.count,
            event: entry.event.as_str().to_owned(),
            actor: (&entry.actor).into(),
            ip: entry.ip.map(|ip| ip.to_string()),
            user: entry.user.map(|user| user.to_string()),
            room: entry.room.map(|room| room.to_string()),
            target: entry.target,
            detail: entry.detail,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Entries {
    entries: Vec<Entry>,
    pagination: EntriesPage,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntriesPage {
    limit: usize,
    /// For the next page; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
    has_more: bool,
}

/// Entries of the audit log, newest first.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(ListQuery), security(("apiKey" = [])),
    responses((status = 200, body = Entries), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(
    State(state): State<AppState>,
    server: Server,
    Query(query): Query<ListQuery>,
) -> Result<Json<Entries>, Problem> {
    server.require(Scope::AuditRead)?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(bad_parameter("limit", "must be between 1 and 100"));
    }
    let before = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let mut entries = state.store.audit(filter(&query)?, before, limit + 1).await?;
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next_cursor = entries.last().filter(|_| has_more).map(|entry| encode_cursor(entry.id));
    Ok(Json(Entries {
        entries: entries.into_iter().map(Entry::from).collect(),
        pagination: EntriesPage { limit, next_cursor, has_more },
    }))
}

fn filter(query: &ListQuery) -> Result<AuditFilter, Problem> {
    let instant = "must be an RFC 3339 instant such as 2026-11-21T09:30:00Z";
    let id = "must be an id";
    let filter = AuditFilter {
        event: parse("event", &query.event, "must be the name of an event, such as token.refused")?,
        user: parse("user", &query.user, id)?,
        ip: parse("ip", &query.ip, "must be an IP address")?.map(|ip: IpAddr| ip.to_canonical()),
        room: parse("room", &query.room, id)?,
        since: parse("since", &query.since, instant)?,
        until: parse("until", &query.until, instant)?,
    };
    match (filter.since, filter.until) {
        (Some(since), Some(until)) if since >= until => {
            Err(bad_parameter("until", "must be after since"))
        }
        _ => Ok(filter),
    }
}

fn parse<T: FromStr>(name: &str, text: &Option<String>, must: &str) -> Result<Option<T>, Problem> {
    text.as_deref().map(|text| text.parse().map_err(|_| bad_parameter(name, must))).transpose()
}

fn bad_parameter(name: &str, detail: &str) -> Problem {
    Problem::field(StatusCode::BAD_REQUEST, name, "BAD_PARAMETER", detail)
}

/// Cursors are opaque to clients, so that what is in them may change.
fn encode_cursor(id: AuditId) -> String {
    URL_SAFE_NO_PAD.encode(format!("a{id}"))
}

fn decode_cursor(cursor: &str) -> Result<AuditId, Problem> {
    let id = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        text.strip_prefix('a')?.parse().ok().map(AuditId)
    };
    id().ok_or_else(|| bad_parameter("cursor", "is not one of ours"))
}
