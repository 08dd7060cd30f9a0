//! API keys: how an application's server proves who it is, and what it may do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::time::Timestamp;

/// What an API key begins with, so that scanners and people recognise one.
pub const PREFIX: &str = "tdk_";

/// A right that a key carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Send notifications.
    #[serde(rename = "notifications:write")]
    NotificationsWrite,
    /// Look at notifications, announcements and their progress.
    #[serde(rename = "notifications:read")]
    NotificationsRead,
    /// Say who users are.
    #[serde(rename = "users:write")]
    UsersWrite,
    /// Issue user tokens.
    #[serde(rename = "tokens:write")]
    TokensWrite,
    /// Keep the members of rooms, and speak in rooms.
    #[serde(rename = "rooms:write")]
    RoomsWrite,
    /// Look at rooms and their members.
    #[serde(rename = "rooms:read")]
    RoomsRead,
    /// Look at the audit log.
    #[serde(rename = "audit:read")]
    AuditRead,
    /// Look at who is here.
    #[serde(rename = "presence:read")]
    PresenceRead,
    /// Look at who is and was connected from where.
    #[serde(rename = "connections:read")]
    ConnectionsRead,
    /// Sign devices out.
    #[serde(rename = "connections:write")]
    ConnectionsWrite,
}

impl Scope {
    pub const ALL: [Self; 10] = [
        Self::NotificationsWrite,
        Self::NotificationsRead,
        Self::UsersWrite,
        Self::TokensWrite,
        Self::RoomsWrite,
        Self::RoomsRead,
        Self::AuditRead,
        Self::PresenceRead,
        Self::ConnectionsRead,
        Self::ConnectionsWrite,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotificationsWrite => "notifications:write",
            Self::NotificationsRead => "notifications:read",
            Self::UsersWrite => "users:write",
            Self::TokensWrite => "tokens:write",
            Self::RoomsWrite => "rooms:write",
            Self::RoomsRead => "rooms:read",
            Self::AuditRead => "audit:read",
            Self::PresenceRead => "presence:read",
            Self::ConnectionsRead => "connections:read",
            Self::ConnectionsWrite => "connections:write",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|scope| scope.as_str()).collect();
            format!("{text:?} is not a scope; there are {}", known.join(", "))
        })
    }
}

/// A key as it is stored: never the key itself, only its hash. Keys are random, so one round
/// of SHA-256 is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Short and public: names the key in lists and logs.
    pub id: String,
    pub name: String,
    pub hash: [u8; 32],
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// The text of a key made of random bytes.
pub fn format_key(random: [u8; 24]) -> String {
    use std::fmt::Write as _;
    random.iter().fold(String::from(PREFIX), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    })
}

pub fn hash_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}
