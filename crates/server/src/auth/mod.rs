//! Who is there: users by JSON Web Token (RFC 7519), servers by API key.

mod introspection;
mod jwks;
mod jwt;
mod keys;
mod known_keys;
mod revocations;
mod tickets;

use std::{ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};
use tidings_core::{
    ids::UserId,
    revocation::{MAX_JTI, TokenHash},
    time::Timestamp,
};

pub use jwt::{TokenVerifier, sign};
pub use keys::{KeyConfig, check as check_key};
pub use known_keys::KnownKeys;
pub use revocations::Revocations;
pub use tickets::Tickets;

use crate::secret::random_hex;

/// Longest token, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;
/// Most entries in each list of claims, and the longest entry, in bytes.
const MAX_ENTRIES: usize = 1_000;
const MAX_ENTRY: usize = 256;

/// What a token says about its bearer. Each connection keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Payload", into = "Payload")]
pub struct Claims {
    pub sub: UserId,
    /// Seconds since the epoch.
    pub exp: u64,
    /// When it was issued, in seconds since the epoch.
    pub iat: Option<u64>,
    pub jti: Option<Box<str>>,
    /// Of the token that says so.
    pub hash: TokenHash,
    pub rights: Rights,
}

/// What a token grants beyond the own inbox. Most grant nothing: then it takes a pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(Option<Arc<Granted>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granted {
    pub roles: Vec<String>,
    pub groups: Vec<String>,
    pub permissions: Vec<String>,
    /// Globs of rooms that the bearer may join.
    pub rooms: Vec<String>,
}

/// Claims as they stand in a token.
#[derive(Serialize, Deserialize)]
struct Payload {
    sub: UserId,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "seconds")]
    iat: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "short_text")]
    jti: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    permissions: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rooms: Vec<String>,
}

impl From<Payload> for Claims {
    fn from(said: Payload) -> Self {
        let Payload { sub, exp, iat, jti, roles, groups, permissions, rooms } = said;
        let rights = Granted { roles, groups, permissions, rooms }.into();
        Self { iat, jti, rights, ..Self::user(sub, exp) }
    }
}

impl From<Claims> for Payload {
    fn from(claims: Claims) -> Self {
        let Granted { roles, groups, permissions, rooms } = Granted::clone(&claims.rights);
        let Claims { sub, exp, iat, jti, .. } = claims;
        Self { sub, exp, iat, jti, roles, groups, permissions, rooms }
    }
}

impl Deref for Rights {
    type Target = Granted;

    fn deref(&self) -> &Granted {
        static NONE: Granted = Granted::none();
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl From<Granted> for Rights {
    fn from(granted: Granted) -> Self {
        Self((granted != Granted::none()).then(|| Arc::new(granted)))
    }
}

impl Granted {
    const fn none() -> Self {
        Self { roles: Vec::new(), groups: Vec::new(), permissions: Vec::new(), rooms: Vec::new() }
    }

    /// Lists long enough to cost memory on every connection are refused.
    fn is_bounded(&self) -> bool {
        [&self.roles, &self.groups, &self.permissions, &self.rooms].iter().all(|list| {
            list.len() <= MAX_ENTRIES && list.iter().all(|entry| entry.len() <= MAX_ENTRY)
        })
    }
}

impl Claims {
    /// A plain user, without any rights beyond the own inbox.
    pub fn user(sub: UserId, exp: u64) -> Self {
        let (hash, rights) = (TokenHash::default(), Rights::default());
        Self { sub, exp, iat: None, jti: None, hash, rights }
    }

    /// For a token of our own: when it is issued, and a name that no other has.
    #[must_use]
    pub fn issued(mut self, now: Timestamp) -> Self {
        self.iat = u64::try_from(now.as_millis() / 1_000).ok();
        self.jti = Some(random_hex::<16>().into());
        self
    }

    pub fn expires_at(&self) -> Timestamp {
        let ms = i64::try_from(self.exp).unwrap_or(i64::MAX).saturating_mul(1_000);
        Timestamp::from_millis(ms)
    }
}

/// Seconds since the epoch, which may have a fraction (RFC 7519 §2). What is no time tells
/// nothing, as if it were not there.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    // Fractions are cut off, and what is below zero is long ago.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let floor = |seconds: f64| seconds.floor() as u64;
    Ok(value.as_u64().or_else(|| value.as_f64().map(floor)))
}

/// A `jti` that is no text, or too long, names nothing.
fn short_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<str>>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_str().filter(|text| text.len() <= MAX_JTI).map(Into::into))
}

/// Why a token is not accepted. The text is what a client may know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("Authentication failed")]
    Missing,
    #[error("Token expired")]
    Expired,
    /// It was taken back before its end.
    #[error("Token revoked")]
    Revoked,
    /// With the reason, for the log only.
    #[error("Authentication failed")]
    Invalid(String),
    #[error("The ticket was used, has expired, or never was")]
    Ticket,
    /// Its key cannot be had right now.
    #[error("Authentication is not available")]
    Unavailable,
}

impl TokenError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired => "TOKEN_EXPIRED",
            Self::Revoked => "TOKEN_REVOKED",
            Self::Missing | Self::Invalid(_) => "AUTH_FAILED",
            Self::Ticket => "TICKET_INVALID",
            Self::Unavailable => "AUTH_UNAVAILABLE",
        }
    }

    /// For the security log: what exactly was wrong.
    pub fn reason(&self) -> &str {
        match self {
            Self::Missing => "no token",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Invalid(reason) => reason,
            Self::Ticket => "ticket used, expired or unknown",
            Self::Unavailable => "no keys",
        }
    }
}
