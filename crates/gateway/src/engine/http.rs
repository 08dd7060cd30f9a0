//! Every HTTP request for the gateway: who may come in, and where it goes.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use tidings_protocol::engineio::ErrorCode;

use crate::clock::unix_ms;
use crate::gateway::{Gateway, Inner, Permit};
use crate::handshake::{Admission, Handshake, Rejection};
use crate::id::Id;
use crate::query;

use super::session::Session;
use super::takeover::Takeover;
use super::upgrade::Claim;
use super::{plain, polling, upgrade, websocket};

/// The body of the gateway's answers.
pub type Body = Full<Bytes>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Polling,
    WebSocket,
}

impl Gateway {
    /// Whether a request with this path is the gateway's: it is under the configured path, or is that path
    /// without its last slash.
    pub fn serves(&self, path: &str) -> bool {
        let own = &*self.0.path;
        let plain = self.0.plain.is_some() && self.0.config.plain_path.as_deref() == Some(path);
        plain || path.starts_with(own) || Some(path) == own.strip_suffix('/')
    }

    /// As [`Gateway::serves`], for a whole request: an upgrade to WebSocket on `/` is the gateway's too if
    /// it serves plain WebSockets.
    pub fn serves_request(&self, parts: &Parts) -> bool {
        self.serves(parts.uri.path()) || self.0.is_plain(parts)
    }

    /// Answers a request for which [`Gateway::serves_request`] is true, and says who takes over the connection after the
    /// answer. Dropping the future means that the client has gone.
    pub(crate) async fn handle<B>(
        &self,
        request: Request<B>,
        peer: SocketAddr,
    ) -> (Response<Body>, Option<Takeover>)
    where
        B: hyper::body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.0.ensure_started();
        let (mut parts, body) = request.into_parts();
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let plain = self.0.is_plain(&parts);
        let sid = parts
            .uri
            .query()
            .and_then(|query| query::param(query, "sid"))
            .filter(|sid| !plain && !sid.is_empty())
            .map(std::borrow::Cow::into_owned);
        let mut admission = match self.0.guard.check(&parts, peer, sid.is_none()) {
            Ok(admission) => admission,
            Err(rejection) => {
                self.0.metrics.refused(rejection.status.as_u16());
                return (rejected(rejection), None);
            }
        };
        let cors = admission.cors.take();
        let mut asked = Asked { gateway: &self.0, parts: &parts, upgrade, takeover: None };
        let mut response = match sid {
            _ if parts.method == Method::OPTIONS => empty(StatusCode::NO_CONTENT),
            Some(sid) => asked.resume(&sid, body).await,
            None if plain => asked.open_plain(admission),
            None => asked.open(admission),
        };
        response.headers_mut().extend(cors.unwrap_or_default());
        (response, asked.takeover)
    }
}

struct Asked<'a> {
    gateway: &'a Arc<Inner>,
    parts: &'a Parts,
    upgrade: Option<OnUpgrade>,
    takeover: Option<Takeover>,
}

impl Asked<'_> {
    fn carrier(&self) -> Option<Carrier> {
        match &*query::param(self.parts.uri.query()?, "transport")? {
            "polling" => Some(Carrier::Polling),
            "websocket" => Some(Carrier::WebSocket),
            _ => None,
        }
    }

    /// A request without a session: it opens one. The checks come in the order of the reference server.
    fn open(&mut self, admission: Admission) -> Response<Body> {
        let Some(carrier) = self.carrier() else {
            return self.refuse(ErrorCode::UnknownTransport);
        };
        if self.parts.method != Method::GET {
            return self.refuse(ErrorCode::BadHandshakeMethod);
        }
        let version = self.parts.uri.query().and_then(|query| query::param(query, "EIO"));
        if version.as_deref() != Some("4") {
            return self.refuse(ErrorCode::UnsupportedProtocolVersion);
        }
        let Some(permit) = self.gateway.admit() else {
            return self.full();
        };
        match carrier {
            Carrier::Polling => polling::open(permit, self.handshake(admission)),
            Carrier::WebSocket => self.open_websocket(permit, admission),
        }
        .unwrap_or_else(|| self.full())
    }

    fn open_websocket(&mut self, permit: Permit, admission: Admission) -> Option<Response<Body>> {
        let accepted = match websocket::accept(self.parts) {
            Ok(accepted) => accepted,
            Err(refusal) => return Some(refusal.response()),
        };
        let Some(upgrade) = self.upgrade.take() else {
            return Some(error(ErrorCode::BadRequest));
        };
        let handshake = self.handshake(admission);
        let open = |carried| websocket::open(permit, handshake, carried);
        self.takeover = Some(Takeover::new(upgrade, open));
        Some(accepted)
    }

    fn open_plain(&mut self, admission: Admission) -> Response<Body> {
        let accepted = match plain::answer(self.parts) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                let response = refusal.response();
                self.gateway.metrics.refused(response.status().as_u16());
                return response;
            }
        };
        let Some(upgrade) = self.upgrade.take() else {
            return error(ErrorCode::BadRequest);
        };
        let Some(permit) = self.gateway.admit() else {
            return self.full();
        };
        let handshake = self.handshake(admission);
        let open = |carried| plain::open(permit, handshake, carried);
        self.takeover = Some(Takeover::new(upgrade, open));
        accepted
    }

    /// A request of a session that exists.
    async fn resume<B>(&mut self, sid: &str, body: B) -> Response<Body>
    where
        B: hyper::body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(carrier) = self.carrier() else {
            return self.refuse(ErrorCode::UnknownTransport);
        };
        let Some(session) = Id::parse(sid).and_then(|id| self.gateway.sessions.get(&id)) else {
            return self.refuse(ErrorCode::UnknownSession);
        };
        match (carrier, &self.parts.method) {
            (Carrier::WebSocket, _) => self.upgrade(session),
            (Carrier::Polling, &Method::GET) => polling::poll(&session).await,
            (Carrier::Polling, &Method::POST) => polling::post(&session, self.parts, body).await,
            _ => error(ErrorCode::BadRequest),
        }
    }

    fn upgrade(&mut self, session: Arc<Session>) -> Response<Body> {
        match (websocket::accept(self.parts), self.upgrade.take()) {
            (Ok(accepted), Some(stream)) => {
                let claim = Claim::take(&session);
                let start = |carried| upgrade::start(session, claim, carried);
                self.takeover = Some(Takeover::new(stream, start));
                accepted
            }
            (Ok(_), None) => error(ErrorCode::BadRequest),
            (Err(refusal), _) => refusal.response(),
        }
    }

    fn handshake(&self, admission: Admission) -> Handshake {
        let kept = &self.gateway.config.kept_headers;
        Handshake::new(self.parts, admission, kept, &self.gateway.path, unix_ms())
    }

    fn refuse(&self, code: ErrorCode) -> Response<Body> {
        self.gateway.metrics.refused(400);
        error(code)
    }

    fn full(&self) -> Response<Body> {
        self.gateway.metrics.refused(503);
        let body = r#"{"code":"CAPACITY","message":"Server at capacity"}"#;
        let mut response =
            answer(StatusCode::SERVICE_UNAVAILABLE, JSON, Bytes::from_static(body.as_bytes()));
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        response
    }
}

/// The answer to a poll or a POST.
pub(super) fn text(body: impl Into<Bytes>) -> Response<Body> {
    answer(StatusCode::OK, TEXT, body.into())
}

pub(super) fn error(code: ErrorCode) -> Response<Body> {
    answer(StatusCode::BAD_REQUEST, JSON, Bytes::from_static(code.json().as_bytes()))
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

pub(super) fn answer(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

fn rejected(rejection: Rejection) -> Response<Body> {
    let mut response = answer(rejection.status, rejection.content_type, rejection.body.into());
    response.headers_mut().extend(rejection.headers);
    response
}
