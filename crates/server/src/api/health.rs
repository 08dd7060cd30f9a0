//! For operators and load balancers.

use std::time::{Duration, Instant};

use axum::{Json, extract::State, response::IntoResponse};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::{lifecycle::Phase, state::AppState};

/// Shares of the connection limit from which a node is degraded, and unhealthy.
const DEGRADED: f64 = 0.8;
const UNHEALTHY: f64 = 0.95;
/// How long a node that has just started waits for the others.
const JOINING: Duration = Duration::from_secs(10);
/// From then on the way through Redis takes too long.
const LATE: Duration = Duration::from_millis(10);

/// The process is there and answers.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// New clients are welcome.
pub(super) async fn ready(State(state): State<AppState>) -> (StatusCode, Json<Value>) {
    let phase = state.lifecycle.phase();
    let store = state.store.ping().await;
    // With a spool it does without: turning clients away would help nobody, another node has the same database.
    // So it is with Redis: what other nodes say comes by the store, a little later. Only who has just
    // started and has never heard them waits for a moment.
    let ready = phase == Phase::Ready && (store.is_ok() || spools(&state)) && !is_joining(&state);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": match ready {
            true if store.is_ok() && state.bus.health().connected => "ready",
            true => "degraded",
            false => "not ready",
        },
        "draining": phase != Phase::Ready,
        "store": up(store.is_ok()),
        "redis": redis(&state),
    });
    (status, Json(body))
}

/// Whether it started just now and does not hear the others yet.
fn is_joining(state: &AppState) -> bool {
    let age = state.clock.now().since(state.started_at);
    state.redis.is_some() && age < JOINING && !state.missed.has_joined()
}

fn up(is_up: bool) -> &'static str {
    if is_up { "up" } else { "down" }
}

/// Whether what is sent now is accepted also without the store.
fn spools(state: &AppState) -> bool {
    let spool = state.spool.as_ref().filter(|_| !state.config.spool.require_store);
    spool.is_some_and(|spool| !spool.level().full)
}

fn spool(state: &AppState) -> Value {
    let Some(spool) = &state.spool else { return json!({ "status": "off" }) };
    let level = spool.level();
    let status = match () {
        () if level.full => "full",
        () if level.records > 0 => "waiting",
        () => "empty",
    };
    json!({ "status": status, "records": level.records, "bytes": level.bytes })
}

/// How the way to the other nodes is.
fn redis(state: &AppState) -> Value {
    if state.redis.is_none() {
        return json!({ "status": "not configured" });
    }
    let health = state.bus.health();
    let lag = health.lag.map(|lag| lag.as_secs_f64() * 1000.0);
    json!({ "status": up(health.connected), "lagMs": lag })
}

/// Whether other nodes are not heard, or late.
fn is_far(state: &AppState) -> bool {
    let health = state.bus.health();
    !health.connected || health.lag.is_some_and(|lag| lag > LATE)
}

/// The state of everything.
pub(super) async fn health(State(state): State<AppState>) -> (StatusCode, Json<Value>) {
    let started = Instant::now();
    let store = state.store.ping().await.is_ok();
    let writes = !state.breakers.writes_open();
    let impaired = !(store && writes);
    let waiting = state.spool.as_ref().is_some_and(|spool| !spool.is_empty());
    let store_ms = started.elapsed().as_secs_f64() * 1000.0;
    let connections = state.metrics.active_connections().max(0);
    let limit = state.config.limits.connections;
    let share = connections as f64 / limit.max(1) as f64;
    let draining = state.lifecycle.phase() != Phase::Ready;
    let status = match () {
        () if share >= UNHEALTHY => "unhealthy",
        () if impaired && !spools(&state) => "unhealthy",
        () if impaired || waiting || draining || is_far(&state) => "degraded",
        () if share >= DEGRADED => "degraded",
        () => "healthy",
    };
    let kind = state.config.place().map_or("unknown", |place| place.kind());
    let now = state.clock.now();
    let body = json!({
        "status": status,
        "timestamp": now,
        "uptime": now.since(state.started_at).as_secs(),
        "version": env!("CARGO_PKG_VERSION"),
        "nodeId": state.node_id,
        "connections": connections,
        "websocket": { "connections": connections, "limit": limit, "draining": draining },
        "store": { "kind": kind, "status": up(store), "writes": up(store && writes), "latencyMs": store_ms },
        "spool": spool(&state),
        "redis": redis(&state),
    });
    let code = if status == "unhealthy" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(body))
}

pub(super) async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, text)], state.metrics.render())
}

/// How many are connected, in short.
pub(super) async fn websocket_metrics(State(state): State<AppState>) -> Json<Value> {
    let connections = state.metrics.active_connections().max(0);
    Json(json!({
        "serverId": state.node_id,
        "connections": connections,
        "totalConnections": connections,
        "serverCount": 1,
        "uptime": state.clock.now().since(state.started_at).as_secs(),
    }))
}
