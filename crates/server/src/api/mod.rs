//! The HTTP API: `/api/v1`, and the same under `/api`.

mod announcements;
mod asyncapi;
mod audit;
mod caller;
mod connections;
pub mod door;
mod erasures;
mod export;
mod extract;
mod health;
mod in_flight;
mod notifications;
mod openapi;
mod presence;
mod problem;
mod rebalance;
pub(crate) mod request;
mod revocations;
mod rooms;
mod stream;
mod stream_tickets;
mod tokens;
mod users;

use std::sync::Arc;

use axum::{Router, middleware};
use http::StatusCode;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use in_flight::InFlight;
pub(crate) use notifications::send::read as read_notification;
pub use openapi::document;
pub use problem::Problem;
pub(crate) use rooms::events::read as read_room_event;

use crate::{guard::Door, state::AppState};

/// All routes of the API, with their description.
pub(crate) fn described() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::Description::openapi())
        .routes(routes!(
            notifications::send::send,
            notifications::list::list,
            notifications::change::clear
        ))
        .routes(routes!(notifications::list::unread_count))
        .routes(routes!(notifications::list::sync))
        .routes(routes!(notifications::change::read_all_post, notifications::change::read_all_put))
        .routes(routes!(notifications::list::one, notifications::change::delete))
        .routes(routes!(notifications::change::change_patch, notifications::change::change_put))
        .routes(routes!(announcements::one))
        .routes(routes!(audit::list))
        .routes(routes!(users::put, erasures::begin))
        .routes(routes!(erasures::one))
        .routes(routes!(export::export))
        .routes(routes!(tokens::issue))
        .routes(routes!(revocations::user))
        .routes(routes!(revocations::token))
        .routes(routes!(rooms::one::one))
        .routes(routes!(rooms::members::put_one, rooms::members::delete_one))
        .routes(routes!(
            rooms::members::list,
            rooms::members::add_many,
            rooms::members::delete_many
        ))
        .routes(routes!(rooms::events::emit))
        .routes(routes!(presence::get))
        .routes(routes!(connections::list))
        .routes(routes!(connections::delete))
        .routes(routes!(rebalance::begin))
        .routes(routes!(stream::open))
        .routes(routes!(stream_tickets::issue))
}

/// The API and the operators' pages, complete with everything that surrounds them. Who only works
/// has nothing but the latter.
pub fn router(state: &AppState) -> Router {
    let (api, _) = match state.config.role.serves() {
        true => described().split_for_parts(),
        false => OpenApiRouter::new().split_for_parts(),
    };
    let api = api
        .route("/health", axum::routing::get(health::health))
        .route("/health/live", axum::routing::get(health::live))
        .route("/health/ready", axum::routing::get(health::ready))
        .route("/ws/metrics", axum::routing::get(health::websocket_metrics));
    let openapi = axum::routing::get(openapi::serve);
    Router::new()
        .nest("/api/v1", api.clone())
        .nest("/api", api)
        .route("/api/openapi.json", openapi)
        .route("/api/asyncapi.json", asyncapi::page(state))
        .route("/health", axum::routing::get(health::health))
        .route("/health/live", axum::routing::get(health::live))
        .route("/health/ready", axum::routing::get(health::ready))
        .route("/metrics", axum::routing::get(health::metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state.clone())
}

/// The surroundings that every answer has: request id, log line, metrics, door, limits.
pub fn surround(router: Router, state: &AppState, door: Arc<Door>) -> Router {
    let around = request::Around { state: state.clone(), door };
    router
        .layer(tower_http::compression::CompressionLayer::new())
        .layer(middleware::from_fn_with_state(around, request::surround))
}

pub(crate) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is nothing at this address")
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "This address does not know that method",
    )
}
