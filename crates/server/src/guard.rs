//! The door: which host, origin and address a request may have, before anything else is done
//! with it. The same rules for the API and the gateway.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use parking_lot::Mutex;
use tidings_gateway::{Admission, Guard, Rejection};

use crate::{
    address_limits::{Slot, TooMany},
    audit::Audit,
    auth::{Claims, TokenError},
    client_address::{Network, client_ip},
    config::Config,
    inbox::Arrival,
    lifecycle::Phase,
    security,
    state::AppState,
};

/// Who may call, from where.
pub struct Door {
    trusted: Vec<Network>,
    origins: Vec<String>,
    hosts: Vec<String>,
    dev: bool,
    audit: Arc<Audit>,
}

/// Why a request is turned away at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Host,
    Origin,
}

impl Door {
    pub fn new(config: &Config, audit: Arc<Audit>) -> Self {
        let trusted = config.http.trusted_proxies.iter();
        Self {
            trusted: trusted.filter_map(|proxy| Network::parse(proxy).ok()).collect(),
            origins: config.http.origins.clone(),
            hosts: config.http.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            dev: config.dev,
            audit,
        }
    }

    pub fn client_ip(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        client_ip(peer, headers, &self.trusted)
    }

    /// Checks `Host` and `Origin`. On success gives the headers that let a browser on another
    /// origin read the answer, if it is one that we know.
    pub fn check(&self, headers: &HeaderMap, ip: IpAddr) -> Result<Option<HeaderMap>, Refusal> {
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        if !self.knows_host(host) {
            security::host_refused(&self.audit, host, ip);
            return Err(Refusal::Host);
        }
        // Clients that are no browser send none. There is no cookie that a browser could be
        // made to send along, but a page of another site has no business here either.
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(None) };
        let text = origin.to_str().unwrap_or_default();
        if is_same_origin(text, host) {
            return Ok(None);
        }
        if !self.origins.iter().any(|known| known == text) {
            security::origin_refused(&self.audit, text, ip);
            return Err(Refusal::Origin);
        }
        Ok(Some(cors_headers(origin)))
    }

    /// A name that leads here by a trick (DNS rebinding) is not ours. In `--dev` only names of
    /// this machine are, otherwise those configured, if any are.
    fn knows_host(&self, host: &str) -> bool {
        let name = host_name(host).to_ascii_lowercase();
        if self.hosts.contains(&name) {
            return true;
        }
        if self.dev {
            let ip: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
            return name == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
        }
        self.hosts.is_empty()
    }
}

/// The host without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_same_origin(origin: &str, host: &str) -> bool {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
}

/// CORS (Fetch standard). No credentials: nothing here is authenticated by a cookie.
fn cors_headers(origin: &HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("ETag, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, X-Request-Id, Idempotency-Replayed"),
    );
    headers
}

/// What a preflight request is told beside [`cors_headers`].
pub fn preflight_headers(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-API-Key, X-Request-Id",
        ),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}

/// What the guard found out about a handshake. Lives as long as the connection.
pub struct Admitted {
    /// The token of the `Authorization` header.
    pub token: Option<String>,
    /// What else was found out before the session began, for whoever opens it.
    pub arrival: Mutex<Option<Box<Arrival>>>,
    /// Given back when the session ends.
    slot: Option<Slot>,
}

impl Admitted {
    /// For a request that has proven already who it is from.
    pub fn proven(arrival: Arrival, slot: Option<Slot>) -> Self {
        Self { token: None, arrival: Mutex::new(Some(Box::new(arrival))), slot }
    }

    /// Whether it need not be kept.
    fn is_empty(&self) -> bool {
        self.token.is_none() && self.arrival.lock().is_none() && self.slot.is_none()
    }
}

/// The gateway's guard.
pub struct GatewayGuard {
    state: AppState,
    door: Arc<Door>,
}

impl GatewayGuard {
    pub fn new(state: AppState, door: Arc<Door>) -> Self {
        Self { state, door }
    }

    /// Only for the request that opens a session.
    fn check_handshake(&self, request: &Parts, ip: IpAddr) -> Result<Admitted, Rejection> {
        if self.state.lifecycle.phase() >= Phase::Draining {
            return Err(busy("The server is restarting", 5));
        }
        let slot = self.state.addresses.take(ip).map_err(too_many)?;
        let token = bearer(&request.headers);
        if let Some(claims) = self.check_ticket(request, token.is_some(), ip)? {
            return Ok(Admitted::proven(Arrival::of(claims), slot));
        }
        self.check_token(request, token.as_deref(), ip)?;
        Ok(Admitted { token, arrival: Mutex::default(), slot })
    }

    /// Takes the ticket of a plain WebSocket that has no token.
    fn check_ticket(
        &self,
        request: &Parts,
        has_token: bool,
        ip: IpAddr,
    ) -> Result<Option<Claims>, Rejection> {
        let query = request.uri.query().filter(|query| !has_token && query_token(query).is_none());
        let Some(ticket) = query.and_then(|query| parameter(query, "ticket")) else {
            return Ok(None);
        };
        if request.uri.path().starts_with(&self.state.config.gateway.path) {
            return Ok(None);
        }
        match self.state.tickets.redeem(&ticket, self.state.clock.now()) {
            Ok(claims) => Ok(Some(claims)),
            Err(problem) => {
                security::token_refused(&self.state.audit, "handshake", &problem, ip);
                Err(unauthorized(&problem))
            }
        }
    }

    /// A token in the header or the query that cannot be right is refused here, with 401. One
    /// in CONNECT comes later.
    fn check_token(
        &self,
        request: &Parts,
        header: Option<&str>,
        ip: IpAddr,
    ) -> Result<(), Rejection> {
        let query = request.uri.query().and_then(query_token);
        let Some(token) = header.or(query.as_deref()) else { return Ok(()) };
        match self.state.tokens.verify_locally(token) {
            Some(Err(problem)) => {
                security::token_refused(&self.state.audit, "handshake", &problem, ip);
                Err(unauthorized(&problem))
            }
            // Good, or only the key set's server can tell.
            _ => Ok(()),
        }
    }
}

impl Guard for GatewayGuard {
    fn check(
        &self,
        request: &Parts,
        peer: SocketAddr,
        handshake: bool,
    ) -> Result<Admission, Rejection> {
        let ip = self.door.client_ip(peer, &request.headers);
        let mut cors = self.door.check(&request.headers, ip).map_err(|_| forbidden())?;
        if request.method == Method::OPTIONS
            && let Some(headers) = &mut cors
        {
            preflight_headers(headers);
        }
        let mut admission = Admission::new(ip);
        admission.cors = cors;
        if handshake && request.method != Method::OPTIONS {
            let admitted = self.check_handshake(request, ip)?;
            admission.extension = (!admitted.is_empty()).then(|| Arc::new(admitted) as _);
        }
        Ok(admission)
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1).
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// `?token=…`, for clients that cannot set headers.
fn query_token(query: &str) -> Option<String> {
    parameter(query, "token")
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(given, _)| given == name).map(|(_, value)| value.into_owned())
}

fn rejection(status: StatusCode, message: &str, code: &str) -> Rejection {
    let body = serde_json::json!({ "code": code, "message": message });
    Rejection::json(status, body.to_string())
}

/// Engine.IO's own form: its clients know code 4.
fn forbidden() -> Rejection {
    Rejection::json(StatusCode::FORBIDDEN, r#"{"code":4,"message":"Forbidden"}"#)
}

fn unauthorized(problem: &TokenError) -> Rejection {
    let mut rejection = rejection(StatusCode::UNAUTHORIZED, &problem.to_string(), problem.code());
    rejection.headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    rejection
}

fn too_many(refused: TooMany) -> Rejection {
    let refusal = rejection(StatusCode::TOO_MANY_REQUESTS, refused.message, "RATE_LIMIT");
    with_retry(refusal, refused.retry_after)
}

fn busy(message: &str, retry_after: u64) -> Rejection {
    with_retry(rejection(StatusCode::SERVICE_UNAVAILABLE, message, "CAPACITY"), retry_after)
}

fn with_retry(mut rejection: Rejection, seconds: u64) -> Rejection {
    rejection.headers.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
    rejection
}
