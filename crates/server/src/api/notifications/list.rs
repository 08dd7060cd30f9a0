//! What is in the caller's inbox.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tidings_core::{
    ids::{NotificationId, Rev},
    inbox::{DEFAULT_PAGE, MAX_PAGE, PageQuery, SYNC_PAGE, Sync},
    notification::Notification,
    time::Timestamp,
};
use utoipa::IntoParams;

use super::schema;
use crate::{
    api::{
        caller::User,
        extract::{Path, Query},
        problem::Problem,
    },
    security,
    state::AppState,
};

/// Furthest that numbered pages lead; cursors have no end.
const MAX_OFFSET: usize = 10_000;

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ListQuery {
    /// Notifications on a page, 1 to 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// Numbered pages from 1, instead of `cursor`.
    page: Option<u32>,
    #[serde(default)]
    unread_only: bool,
    /// The archived ones, instead of the others.
    #[serde(default)]
    archived: bool,
    r#type: Option<String>,
    tenant: Option<String>,
}

/// The notifications of the caller, newest first.
#[utoipa::path(
    get, path = "/notifications", tag = "notifications", params(ListQuery),
    security(("userToken" = [])),
    responses((status = 200, body = schema::List), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn list(
    State(state): State<AppState>,
    user: User,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<schema::List>, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(bad_parameter("limit", "must be between 1 and 100"));
    }
    let page_query = PageQuery {
        user: user.claims.sub,
        limit,
        before: query.cursor.as_deref().map(decode_cursor).transpose()?,
        page: check_page(&query, limit)?,
        unread_only: query.unread_only,
        archived: query.archived,
        kind: query.r#type,
        tenant: query.tenant,
    };
    let page = state.store.page(page_query).await?;
    let next_cursor = match (page.has_more, page.notifications.last()) {
        (true, Some(last)) => Some(encode_cursor(last.item.seq)),
        _ => None,
    };
    Ok(axum::Json(schema::List {
        notifications: page.notifications,
        pagination: schema::Pagination {
            limit,
            page: query.page,
            total: page.total,
            next_cursor,
            has_more: page.has_more,
        },
    }))
}

fn check_page(query: &ListQuery, limit: usize) -> Result<Option<u32>, Problem> {
    let Some(page) = query.page else { return Ok(None) };
    if query.cursor.is_some() {
        return Err(bad_parameter("page", "and cursor exclude each other"));
    }
    let offset = (page as usize).saturating_sub(1).saturating_mul(limit);
    if page == 0 || offset > MAX_OFFSET {
        return Err(bad_parameter(
            "page",
            "must be between 1 and 10000 notifications deep; use cursor",
        ));
    }
    Ok(Some(page))
}

fn bad_parameter(name: &str, detail: &str) -> Problem {
    Problem::field(StatusCode::BAD_REQUEST, name, "BAD_PARAMETER", detail)
}

/// Cursors are opaque to clients, so that what is in them may change.
fn encode_cursor(seq: Rev) -> String {
    URL_SAFE_NO_PAD.encode(format!("s{}", seq.0))
}

fn decode_cursor(cursor: &str) -> Result<Rev, Problem> {
    let seq = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        text.strip_prefix('s')?.parse().ok().map(Rev)
    };
    seq().ok_or_else(|| bad_parameter("cursor", "is not one of ours"))
}

/// How much is unread. Has an `ETag`: ask with `If-None-Match`.
#[utoipa::path(
    get, path = "/notifications/unread-count", tag = "notifications", security(("userToken" = [])),
    responses((status = 200, body = schema::UnreadCount), (status = 304, description = "Nothing changed"), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn unread_count(
    State(state): State<AppState>,
    user: User,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let inbox = state.store.state(user.id()).await?;
    let etag = format!("\"{}-{}\"", inbox.rev, inbox.unread);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*")
    });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let count = schema::UnreadCount { unread: inbox.unread, rev: inbox.rev.0 };
        axum::Json(count).into_response()
    };
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct SyncQuery {
    /// The `rev` (or an ISO date) up to which the caller knows everything.
    since: String,
}

/// What changed in the caller's inbox since a rev.
#[utoipa::path(
    get, path = "/notifications/sync", tag = "notifications", params(SyncQuery), security(("userToken" = [])),
    responses((status = 200, body = schema::SyncAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn sync(
    State(state): State<AppState>,
    user: User,
    Query(query): Query<SyncQuery>,
) -> Result<axum::Json<Sync>, Problem> {
    let since = match (query.since.parse::<u64>(), query.since.parse::<Timestamp>()) {
        (Ok(rev), _) => Rev(rev),
        (_, Ok(at)) => state.store.rev_at(user.id(), at).await?,
        _ => return Err(bad_parameter("since", "must be a rev (a number) or an ISO date")),
    };
    Ok(axum::Json(state.store.sync(user.id(), since, SYNC_PAGE).await?))
}

/// One notification of the caller.
#[utoipa::path(
    get, path = "/notifications/{id}", tag = "notifications", params(("id" = Uuid, Path)), security(("userToken" = [])),
    responses((status = 200, body = schema::Notification), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub(in crate::api) async fn one(
    State(state): State<AppState>,
    user: User,
    Path(id): Path<String>,
) -> Result<axum::Json<Notification>, Problem> {
    let id = parse_id(&id)?;
    match state.store.notification(user.id(), id).await? {
        Some(notification) => Ok(axum::Json(notification)),
        None => Err(missing(&state, &user, id).await?),
    }
}

/// There is no such notification, and whether there is one elsewhere is not for the caller to
/// know; but it is for the log.
pub(super) async fn missing(
    state: &AppState,
    user: &User,
    id: NotificationId,
) -> Result<Problem, Problem> {
    if state.store.exists(id).await? {
        security::foreign_notification(&state.audit, user.id(), id, user.ip);
    }
    Ok(no_such_notification())
}

pub(super) fn no_such_notification() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is no such notification")
}

pub(super) fn parse_id(id: &str) -> Result<NotificationId, Problem> {
    id.parse().map_err(|_| {
        Problem::field(StatusCode::BAD_REQUEST, "id", "BAD_ID", "must be the id of a notification")
    })
}
