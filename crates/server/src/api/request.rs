//! What surrounds each request: its id, its line in the log, its metrics, its limits.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::extract::too_large;
use crate::{limiter::Bucket, state::AppState};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    /// The id of the request that this task answers.
    static CURRENT_ID: String;
}

/// The id of the request that is being answered, for the log.
pub(crate) fn current_id() -> Option<String> {
    CURRENT_ID.try_with(Clone::clone).ok()
}

/// Gives every request an id (or takes the caller's, if it is a sane one), and records it.
pub(super) async fn observe(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|r| r.as_str().to_owned());
    let quota = Quota::default();
    request.extensions_mut().insert(quota.clone());
    let mut response = CURRENT_ID.scope(id.clone(), next.run(request)).await;
    let took = started.elapsed();
    let status = response.status().as_u16();
    let label = route.as_deref().unwrap_or("other");
    state.metrics.request(method.as_str(), label, status, took);
    let quiet = path.starts_with("/health") || path == "/metrics";
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if quiet {
        tracing::debug!(event = "request", %method, path, status, took_ms, request_id = id);
    } else {
        tracing::info!(event = "request", %method, path, status, took_ms, request_id = id);
    }
    if let Some(bucket) = quota.0.get() {
        rate_headers(response.headers_mut(), state.request_limits.limit(), bucket.remaining());
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

/// The bucket that a request is counted in; set when its caller is known.
#[derive(Clone, Default)]
pub(super) struct Quota(pub(super) Arc<OnceLock<Arc<Bucket>>>);

fn rate_headers(headers: &mut HeaderMap, limit: u32, remaining: u64) {
    headers.insert("ratelimit-limit", HeaderValue::from(limit));
    headers.insert("ratelimit-remaining", HeaderValue::from(remaining));
    let reset = 60u64.saturating_sub(remaining.saturating_mul(60) / u64::from(limit.max(1)));
    headers.insert("ratelimit-reset", HeaderValue::from(reset));
}

/// Refuses bodies that say they are too large, and stops reading those that do not say.
pub(super) async fn limit_body(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let most = state.config.limits.request_body;
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return too_large().into_response();
    }
    DefaultBodyLimit::max(most).apply(&mut request);
    next.run(request).await
}
