//! The door in front of the API: host, origin, client address, CORS.

use std::net::IpAddr;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use tidings_gateway::PeerAddr;

use super::problem::Problem;
use crate::guard::{Door, Refusal, preflight_headers};

/// Where a request really comes from, as far as trusted proxies tell.
#[derive(Debug, Clone, Copy)]
pub struct ClientIp(pub IpAddr);

/// Lets a request in, to be answered, or not.
pub(super) async fn check<F: Future<Output = Response>>(
    door: &Door,
    mut request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let peer = request.extensions().get::<PeerAddr>().map(|peer| peer.0);
    let peer = peer.unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
    let ip = door.client_ip(peer, request.headers());
    request.extensions_mut().insert(ClientIp(ip));
    let cors = match door.check(request.headers(), ip) {
        Ok(cors) => cors,
        Err(refusal) => return refused(refusal).into_response(),
    };
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match (preflight, &cors) {
        (true, Some(_)) => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            preflight_headers(response.headers_mut());
            response
        }
        _ => answer(request).await,
    };
    let headers = response.headers_mut();
    if let Some(cors) = cors {
        headers.extend(cors);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Answers are about one user each: nothing between here and there may keep them.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Host => Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "HOST_UNKNOWN",
            "This server is not called by that name",
        ),
        Refusal::Origin => Problem::new(
            StatusCode::FORBIDDEN,
            "ORIGIN_REFUSED",
            "Pages of this origin may not call; see http.origins",
        ),
    }
}
