//! The first HTTP request of a session, and who decides whether it may come in.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::query;

/// That of a client which has no more to say.
static USUAL_QUERY: LazyLock<Arc<str>> = LazyLock::new(|| "EIO=4&transport=websocket".into());

/// What is remembered of the first HTTP request of an Engine.IO session.
pub struct Handshake {
    /// Those of [`Config::kept_headers`](crate::Config::kept_headers) that it had.
    pub headers: Headers,
    /// The raw query string. It may hold a token: never log it.
    pub query: Arc<str>,
    pub path: Arc<str>,
    /// As the [`Guard`] found it, behind trusted proxies too.
    pub client_ip: IpAddr,
    /// Milliseconds since the Unix epoch.
    pub issued_ms: u64,
    /// What the [`Guard`] found out about the request, such as who it authenticates.
    pub extension: Option<Arc<dyn Any + Send + Sync>>,
}

impl Handshake {
    pub(crate) fn new(
        parts: &Parts,
        admission: Admission,
        kept: &[HeaderName],
        path: &Arc<str>,
        issued_ms: u64,
    ) -> Self {
        let path = match parts.uri.path() {
            same if same == &**path => path.clone(),
            other => other.into(),
        };
        Self {
            headers: copy_headers(&parts.headers, kept),
            query: match parts.uri.query().unwrap_or_default() {
                usual if usual == &**USUAL_QUERY => USUAL_QUERY.clone(),
                other => other.into(),
            },
            path,
            client_ip: admission.client_ip,
            issued_ms,
            extension: admission.extension,
        }
    }

    /// The decoded value of a query parameter; the first one if it is given twice.
    pub fn query_param(&self, name: &str) -> Option<String> {
        query::param(&self.query, name).map(Cow::into_owned)
    }

    /// The value of a kept header, if it is text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A [`HeaderMap`] that takes a pointer while it is empty: most connections have none to keep.
#[derive(Default)]
pub struct Headers(Option<Box<HeaderMap>>);

impl Deref for Headers {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        self.0.as_deref().unwrap_or(&NONE)
    }
}

/// Copies the values, which otherwise are slices of the connection's whole read buffer and would keep it.
fn copy_headers(headers: &HeaderMap, kept: &[HeaderName]) -> Headers {
    let count = kept.iter().filter(|name| headers.contains_key(*name)).count();
    if count == 0 {
        return Headers::default();
    }
    let mut copied = HeaderMap::with_capacity(count);
    for name in kept {
        for value in headers.get_all(name) {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                copied.append(name.clone(), value);
            }
        }
    }
    Headers(Some(Box::new(copied)))
}

/// Leaves out the query and the headers: they carry secrets.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("path", &self.path)
            .field("client_ip", &self.client_ip)
            .finish_non_exhaustive()
    }
}

/// Asked about every HTTP request under the gateway's path before anything else is done with it:
/// `Host`, `Origin`, the client's address and its limits, draining, a token in a header.
pub trait Guard: Send + Sync + 'static {
    /// `handshake` says that the request would open a session (it names none).
    fn check(
        &self,
        request: &Parts,
        peer: SocketAddr,
        handshake: bool,
    ) -> Result<Admission, Rejection>;
}

/// A request may go on.
pub struct Admission {
    pub client_ip: IpAddr,
    /// Kept as [`Handshake::extension`].
    pub extension: Option<Arc<dyn Any + Send + Sync>>,
    /// Headers for every answer to this request, such as those of CORS.
    pub cors: Option<HeaderMap>,
}

impl Admission {
    pub fn new(client_ip: IpAddr) -> Self {
        Self { client_ip, extension: None, cors: None }
    }
}

/// A request is answered at once.
#[derive(Debug, Clone)]
pub struct Rejection {
    pub status: StatusCode,
    pub content_type: HeaderValue,
    pub body: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Rejection {
    pub fn json(status: StatusCode, body: impl Into<String>) -> Self {
        let content_type = HeaderValue::from_static("application/json");
        Self { status, content_type, body: body.into(), headers: Vec::new() }
    }
}

/// Lets everybody in; the default.
pub(crate) struct Open;

impl Guard for Open {
    fn check(&self, _: &Parts, peer: SocketAddr, _: bool) -> Result<Admission, Rejection> {
        Ok(Admission::new(peer.ip()))
    }
}
