//! Errors of the API: `application/problem+json` (RFC 9457).

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tidings_core::{
    ports::StoreError,
    problem::{FieldError, FieldErrors},
};
use utoipa::ToSchema;

use crate::{guarded_store::LEFT_ALONE, spool::SpoolError};

/// A field of the request that is wrong.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BadField {
    /// JSON pointer (RFC 6901) into the body, or the name of a query parameter.
    #[schema(example = "/message")]
    pub pointer: String,
    #[schema(example = "EMPTY")]
    pub code: String,
    pub detail: String,
}

impl From<&FieldError> for BadField {
    fn from(error: &FieldError) -> Self {
        Self {
            pointer: error.pointer.clone(),
            code: error.code.to_owned(),
            detail: error.detail.to_string(),
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Problem(#[schema(inline)] Box<Body>);

/// `type` and `code` are stable; `title` and `detail` are for people.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[schema(example = "urn:tidings:problem:invalid")]
    r#type: String,
    title: String,
    /// The HTTP status.
    status: u16,
    detail: String,
    #[schema(example = "INVALID")]
    code: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<BadField>,
    /// Seconds after which the request may be sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Body {
            r#type: format!("urn:tidings:problem:{}", code.to_ascii_lowercase().replace('_', "-")),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            errors: Vec::new(),
            retry_after: None,
        }))
    }

    /// Well-formed, but some fields are wrong.
    pub fn invalid(errors: &FieldErrors) -> Self {
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID", "Some fields are not valid");
        problem.0.errors = errors.as_slice().iter().map(BadField::from).collect();
        if let [only] = problem.0.errors.as_slice() {
            problem.0.detail = format!("{} {}", only.pointer, only.detail);
        }
        problem
    }

    /// One wrong field.
    pub fn field(
        status: StatusCode,
        pointer: impl Into<String>,
        code: &str,
        detail: impl Into<String>,
    ) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        let mut problem = Self::new(status, "INVALID", format!("{pointer}: {detail}"));
        problem.0.errors.push(BadField { pointer, code: code.to_owned(), detail });
        problem
    }

    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }
}

/// In one line, for people.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)?;
        for field in self.0.errors.iter().filter(|_| self.0.errors.len() > 1) {
            write!(f, "; {} {}", field.pointer, field.detail)?;
        }
        Ok(())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::IdempotencyMismatch => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "IDEMPOTENCY_MISMATCH",
                "This Idempotency-Key was used for a different request",
            ),
            StoreError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "BUSY",
                "Too much is waiting to be stored; nothing was done",
            )
            .with_retry_after(1),
            StoreError::Unavailable(reason) => {
                // Said once when it began; nobody asks it meanwhile.
                if reason != LEFT_ALONE {
                    tracing::error!(reason, "the store is not available");
                }
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "STORE_UNAVAILABLE",
                    "The store is not available",
                )
                .with_retry_after(5)
            }
            StoreError::Internal(reason) => {
                tracing::error!(reason, "the store failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "INTERNAL",
                    "Something went wrong on our side; the request id leads to the log",
                )
            }
        }
    }
}

impl From<SpoolError> for Problem {
    fn from(error: SpoolError) -> Self {
        let detail = match error {
            SpoolError::Full => "The database is away, and as much waits for it as may",
            SpoolError::Failed(_) => "The database is away, and the disk takes nothing",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SPOOL_FULL", detail).with_retry_after(5)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.0.retry_after;
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
