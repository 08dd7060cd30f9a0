//! What is wrong with a request: one entry per bad field, each with a pointer to it.

use std::borrow::Cow;

use serde::Serialize;

/// One bad field: a JSON pointer (RFC 6901), a stable code and a sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    pub pointer: String,
    pub code: &'static str,
    pub detail: Cow<'static, str>,
}

/// All bad fields of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors {
    #[serde(skip)]
    at: String,
    errors: Vec<FieldError>,
}

/// A request can be wrong in a thousand places; nobody reads more than these.
const MOST_REPORTED: usize = 20;

impl FieldErrors {
    /// An empty list whose pointers start with `at`.
    pub fn below(at: &str) -> Self {
        Self { at: at.to_owned(), errors: Vec::new() }
    }

    pub fn add(&mut self, pointer: &str, code: &'static str, detail: impl Into<Cow<'static, str>>) {
        if self.errors.len() < MOST_REPORTED {
            let pointer = format!("{}{pointer}", self.at);
            self.errors.push(FieldError { pointer, code, detail: detail.into() });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    pub fn as_slice(&self) -> &[FieldError] {
        &self.errors
    }
}
