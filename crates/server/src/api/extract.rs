//! Reads bodies and queries; what is wrong is answered with the name of the field.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use bytes::Bytes;
use http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

/// A query string without parameters that nobody knows.
pub(super) struct Query<T>(pub(super) T);

/// The bytes of a body that says it is JSON.
pub(super) struct JsonBytes(pub(super) Bytes);

/// The bytes of a body, if there is one.
pub(super) struct OptionalBytes(pub(super) Bytes);

/// The parameters in the address.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UNSUPPORTED_MEDIA_TYPE",
                "Send JSON, with Content-Type: application/json",
            ));
        }
        OptionalBytes::from_request(request, state).await.map(|OptionalBytes(bytes)| Self(bytes))
    }
}

impl<S: Send + Sync> FromRequest<S> for OptionalBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| {
            match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => too_large(),
                _ => Problem::new(
                    StatusCode::BAD_REQUEST,
                    "BAD_BODY",
                    "The body did not arrive whole",
                ),
            }
        })
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                let detail = rejection.body_text();
                Err(Problem::new(StatusCode::BAD_REQUEST, "BAD_ADDRESS", detail))
            }
        }
    }
}

pub(super) fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "The body is too large")
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonBytes(bytes) = JsonBytes::from_request(request, state).await?;
        parse(&bytes, "").map(Self)
    }
}

/// Parses a JSON object; an error points to its place, below `at`.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], at: &str) -> Result<T, Problem> {
    if let Err(problem) = std::str::from_utf8(bytes) {
        let detail = format!("The body is not valid UTF-8 (byte {})", problem.valid_up_to());
        return Err(Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", detail));
    }
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        // serde would fill a struct with the entries of an array, by position.
        return Err(Problem::field(
            StatusCode::UNPROCESSABLE_ENTITY,
            at,
            "WRONG_TYPE",
            "must be an object",
        ));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = format!("{at}{}", pointer(error.path()));
        explain(error.into_inner(), &pointer)
    })?;
    json.end().map_err(|error| explain(error, at))?;
    Ok(value)
}

fn explain(error: serde_json::Error, pointer: &str) -> Problem {
    let text = error.to_string();
    if error.is_data() {
        let detail = text.split(" at line ").next().unwrap_or_default();
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return match missing_field(detail) {
            Some(name) => {
                Problem::field(status, format!("{pointer}/{name}"), "MISSING", "is missing")
            }
            None => Problem::field(status, pointer, "WRONG_TYPE", detail),
        };
    }
    Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", format!("The body is not JSON: {text}"))
}

/// The name of the field that serde misses. It tells only in words.
fn missing_field(detail: &str) -> Option<&str> {
    detail.strip_prefix("missing field `")?.strip_suffix('`')
}

/// A path of serde's as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        let deserializer = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(deserializer).map(Self).map_err(|error| {
            let pointer = error.path().to_string();
            let detail = error.into_inner().to_string();
            let pointer = missing_field(&detail).map_or(pointer, str::to_owned);
            Problem::field(StatusCode::BAD_REQUEST, pointer, "BAD_PARAMETER", detail)
        })
    }
}
