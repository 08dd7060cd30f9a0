//! What surrounds each request: its id, its line in the log, its metrics, its limits.

use std::{cell::Cell, sync::Arc, time::Instant};

use axum::{
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{door, extract::too_large};
use crate::{guard::Door, state::AppState};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    /// The request that this task answers.
    static CURRENT: Current;
}

struct Current {
    id: String,
    /// How many requests the caller has left; set when the caller is known.
    left: Cell<Option<u64>>,
}

/// Gives the id of the request that is being answered, if there is one, to the log.
pub(crate) fn with_current_id(log: impl FnOnce(&str)) {
    // Fails outside of requests.
    let _ = CURRENT.try_with(|current| log(&current.id));
}

/// Shows the caller in the answer's headers how many requests it has left.
pub(super) fn show_left(left: u64) {
    // Fails outside of requests.
    let _ = CURRENT.try_with(|current| current.left.set(Some(left)));
}

#[derive(Clone)]
pub(super) struct Around {
    pub(super) state: AppState,
    pub(super) door: Arc<Door>,
}

/// One layer for all of it: each costs every request a copy of what is below.
pub(super) async fn surround(
    State(around): State<Around>,
    request: Request,
    next: Next,
) -> Response {
    let Around { state, door } = &around;
    let limited = |request| limit_body(state, request, next);
    observe(state, request, |request| door::check(door, request, limited)).await
}

/// Gives every request an id (or takes the caller's, if it is a sane one), and records it.
async fn observe<F: Future<Output = Response>>(
    state: &AppState,
    request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let current = Current { id: id.clone(), left: Cell::default() };
    let answered = async {
        let response = answer(request).await;
        (response, CURRENT.with(|current| current.left.get()))
    };
    let (mut response, left) = CURRENT.scope(current, answered).await;
    let took = started.elapsed();
    let status = response.status().as_u16();
    let label = route.as_ref().map_or("other", MatchedPath::as_str);
    state.metrics.request(method.as_str(), label, status, took);
    let quiet = path.starts_with("/health") || path == "/metrics";
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if quiet {
        tracing::debug!(event = "request", %method, path, status, took_ms, request_id = id);
    } else {
        tracing::info!(event = "request", %method, path, status, took_ms, request_id = id);
    }
    if let Some(left) = left {
        rate_headers(response.headers_mut(), state.request_limits.limit(), left);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if tidings_core::ids::check_id(id).is_ok() => id.to_owned(),
        // No secret: it need not cost a system call.
        _ => format!("{:016x}", rand::random::<u64>()),
    }
}

fn rate_headers(headers: &mut HeaderMap, limit: u32, remaining: u64) {
    headers.insert("ratelimit-limit", HeaderValue::from(limit));
    headers.insert("ratelimit-remaining", HeaderValue::from(remaining));
    let reset = 60u64.saturating_sub(remaining.saturating_mul(60) / u64::from(limit.max(1)));
    headers.insert("ratelimit-reset", HeaderValue::from(reset));
}

/// Refuses bodies that say they are too large, and stops reading those that do not say.
async fn limit_body(state: &AppState, mut request: Request, next: Next) -> Response {
    let most = state.config.limits.request_body;
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return too_large().into_response();
    }
    DefaultBodyLimit::max(most).apply(&mut request);
    next.run(request).await
}
