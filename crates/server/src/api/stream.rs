//! Server-sent events (WHATWG HTML §9.2), for clients that have nothing but HTTP.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::request::Parts,
    response::{IntoResponse as _, Response},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use tidings_core::{
    ids::{DeviceId, Rev},
    time::Timestamp,
};
use tidings_gateway::{Admission, EventStream};
use utoipa::IntoParams;

use super::{
    caller::{client_ip, refused, user},
    extract::Query,
    method_not_allowed,
    problem::Problem,
};
use crate::{
    auth::{Claims, TokenError},
    guard::{Admitted, bearer},
    inbox::{Arrival, Since},
    lifecycle::Phase,
    state::AppState,
};

/// What a browser says when it comes back (WHATWG HTML §9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies (nginx) are not to hold anything back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Most rooms that one request can name.
const MAX_ROOMS: usize = 128;

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamQuery {
    /// A user's token, for clients that can send no header.
    token: Option<String>,
    /// A ticket of `POST /stream-tickets`, good once.
    ticket: Option<String>,
    /// The `rev` (or an ISO date) up to which the client knows everything. `Last-Event-ID` is newer.
    since: Option<String>,
    /// As the header, for clients that cannot send it.
    last_event_id: Option<String>,
    /// The client's name for itself; its place is kept under it.
    #[param(value_type = Option<String>)]
    device: Option<DeviceId>,
    /// Rooms to join, with commas between them, at most 128.
    rooms: Option<String>,
}

/// Opens a stream of events: the inbox, and what happens in rooms.
#[utoipa::path(
    get, path = "/stream", tag = "stream", security(("userToken" = []), ()),
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received")),
    responses(
        (status = 200, description = "Events; see the AsyncAPI description", content_type = "text/event-stream", body = String),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn open(
    State(state): State<AppState>,
    Query(query): Query<StreamQuery>,
    parts: Parts,
) -> Result<Response, Problem> {
    if parts.method == Method::HEAD {
        // It would be a connection without an end.
        return Ok(method_not_allowed().await.into_response());
    }
    if state.lifecycle.phase() >= Phase::Draining {
        return Err(busy("The server is restarting"));
    }
    let ip = client_ip(&parts);
    let slot = state.addresses.take(ip).map_err(|refused| {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT", refused.message)
            .with_retry_after(refused.retry_after)
    })?;
    let (after, since) = (after(&parts, &query)?, since(&query)?);
    let rooms = rooms(query.rooms.as_deref())?;
    let claims = authenticate(&state, &parts, &query, ip).await?;
    let arrival = Arrival::of(claims).since(since).after(after).device(query.device).rooms(rooms);
    let mut admission = Admission::new(ip);
    admission.extension = Some(Arc::new(Admitted::proven(arrival, slot)));
    let gateway = state.rooms.gateway();
    let stream = gateway.and_then(|gateway| gateway.open_stream(&parts, admission));
    stream.map(answer).ok_or_else(|| busy("Server at capacity"))
}

fn answer(stream: EventStream) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    (headers, Body::new(stream)).into_response()
}

fn busy(message: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "CAPACITY", message).with_retry_after(5)
}

async fn authenticate(
    state: &AppState,
    parts: &Parts,
    query: &StreamQuery,
    ip: IpAddr,
) -> Result<Claims, Problem> {
    let now = state.clock.now();
    let token = bearer(&parts.headers).or_else(|| query.token.clone());
    let claims = match (token, &query.ticket) {
        (None, Some(ticket)) => {
            state.tickets.redeem(ticket, now).map_err(|problem| refused(state, &problem, ip))?
        }
        (token, _) => user(state, token.as_deref().unwrap_or_default(), ip).await?.claims,
    };
    if claims.expires_at() <= now {
        // Within the leeway, but then it would end again at once.
        return Err(refused(state, &TokenError::Expired, ip));
    }
    Ok(claims)
}

/// The last event that the client has received, if it comes back.
fn after(parts: &Parts, query: &StreamQuery) -> Result<Option<Rev>, Problem> {
    let header = parts.headers.get(LAST_EVENT_ID).map(HeaderValue::to_str).transpose();
    let header = header.map_err(|_| bad("Last-Event-ID", "must be a rev (a number)"))?;
    let given = header.or(query.last_event_id.as_deref()).filter(|id| !id.is_empty());
    let rev = given.map(|id| id.parse::<u64>().map(Rev)).transpose();
    rev.map_err(|_| bad("Last-Event-ID", "must be a rev (a number)"))
}

fn since(query: &StreamQuery) -> Result<Option<Since>, Problem> {
    let Some(since) = &query.since else { return Ok(None) };
    match (since.parse::<u64>(), since.parse::<Timestamp>()) {
        (Ok(rev), _) => Ok(Some(Since::Rev(Rev(rev)))),
        (_, Ok(at)) => Ok(Some(Since::Date(at))),
        _ => Err(bad("since", "must be a rev (a number) or an ISO date")),
    }
}

fn rooms(list: Option<&str>) -> Result<Vec<String>, Problem> {
    let names = list.unwrap_or_default().split(',').filter(|name| !name.is_empty());
    let names: Vec<String> = names.take(MAX_ROOMS + 1).map(str::to_owned).collect();
    match names.len() > MAX_ROOMS {
        true => Err(bad("rooms", "at most 128")),
        false => Ok(names),
    }
}

fn bad(parameter: &str, detail: &str) -> Problem {
    Problem::field(StatusCode::BAD_REQUEST, parameter, "BAD_PARAMETER", detail)
}
