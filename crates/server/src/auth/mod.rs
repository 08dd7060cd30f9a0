//! Who is there: users by JSON Web Token (RFC 7519), servers by API key.

mod jwks;
mod jwt;
mod keys;

use serde::{Deserialize, Serialize};
use tidings_core::{ids::UserId, time::Timestamp};

pub use jwt::{TokenVerifier, sign};
pub use keys::{KeyConfig, check as check_key};

/// Longest token, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;
/// Most entries in each list of claims, and the longest entry, in bytes.
const MAX_ENTRIES: usize = 1_000;
const MAX_ENTRY: usize = 256;

/// What a token says about its bearer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub sub: UserId,
    /// Seconds since the epoch.
    pub exp: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
    /// Globs of rooms that the bearer may join.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<String>,
}

impl Claims {
    /// A plain user, without any rights beyond the own inbox.
    pub fn user(sub: UserId, exp: u64) -> Self {
        let none = Vec::new;
        Self { sub, exp, roles: none(), groups: none(), permissions: none(), rooms: none() }
    }

    pub fn expires_at(&self) -> Timestamp {
        let ms = i64::try_from(self.exp).unwrap_or(i64::MAX).saturating_mul(1_000);
        Timestamp::from_millis(ms)
    }

    /// Lists long enough to cost memory on every connection are refused.
    fn is_bounded(&self) -> bool {
        [&self.roles, &self.groups, &self.permissions, &self.rooms].iter().all(|list| {
            list.len() <= MAX_ENTRIES && list.iter().all(|entry| entry.len() <= MAX_ENTRY)
        })
    }
}

/// Why a token is not accepted. The text is what a client may know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("Authentication failed")]
    Missing,
    #[error("Token expired")]
    Expired,
    /// With the reason, for the log only.
    #[error("Authentication failed")]
    Invalid(String),
    /// Its key cannot be had right now.
    #[error("Authentication is not available")]
    Unavailable,
}

impl TokenError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired => "TOKEN_EXPIRED",
            Self::Missing | Self::Invalid(_) => "AUTH_FAILED",
            Self::Unavailable => "AUTH_UNAVAILABLE",
        }
    }

    /// For the security log: what exactly was wrong.
    pub fn reason(&self) -> &str {
        match self {
            Self::Missing => "no token",
            Self::Expired => "expired",
            Self::Invalid(reason) => reason,
            Self::Unavailable => "no keys",
        }
    }
}
