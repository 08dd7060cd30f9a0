//! The audit log: who did or tried what, from where. Refusals, expulsions, what applications and
//! operators change, announcements.

use std::{borrow::Cow, collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ids::{RoomId, UserId},
    time::Timestamp,
};

/// Entries on a page, unless asked otherwise, and at most.
pub const DEFAULT_PAGE: usize = 20;
pub const MAX_PAGE: usize = 100;

/// Longest text in an entry, in characters. Some of it is a stranger's.
pub const MAX_TEXT: usize = 128;
/// All details of an entry together, in bytes.
const MAX_DETAIL: usize = 1_024;

/// The id of an entry: a UUIDv7 of its instant, so that ids are in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuditId(pub Uuid);

impl AuditId {
    pub fn new_v7(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// No entry of this instant, or of a later one, has a smaller id.
    pub fn first_of(at: Timestamp) -> Self {
        Self::new_v7(at, [0; 10])
    }
}

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum Actor {
    User(UserId),
    /// By the key's public id.
    ApiKey(String),
    /// Nobody who could prove who they are.
    Anonymous,
    /// Whoever has the command line.
    Operator,
    /// The server by itself.
    System,
    /// A user of whom everything was erased.
    Erased,
}

impl Actor {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::ApiKey(_) => "api_key",
            Self::Anonymous => "anonymous",
            Self::Operator => "operator",
            Self::System => "system",
            Self::Erased => "erased",
        }
    }

    pub fn id(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(user.as_str()),
            Self::ApiKey(id) => Some(id),
            Self::Anonymous | Self::Operator | Self::System | Self::Erased => None,
        }
    }

    /// The reverse of [`kind`](Self::kind) and [`id`](Self::id).
    pub fn from_parts(kind: &str, id: Option<&str>) -> Result<Self, String> {
        match (kind, id) {
            ("user", Some(id)) => UserId::new(id).map(Self::User).map_err(|e| e.to_string()),
            ("api_key", Some(id)) => Ok(Self::ApiKey(id.to_owned())),
            ("anonymous", None) => Ok(Self::Anonymous),
            ("operator", None) => Ok(Self::Operator),
            ("system", None) => Ok(Self::System),
            ("erased", None) => Ok(Self::Erased),
            _ => Err(format!("{kind:?} is no kind of actor")),
        }
    }
}

/// The name of an event, such as `token.refused`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct EventName(Cow<'static, str>);

impl EventName {
    pub const fn of(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventName {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_lowercase() || matches!(b, b'.' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err("must be the name of an event, such as token.refused")
        }
    }
}

impl<'de> Deserialize<'de> for EventName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What happened: an entry that has no id and no time yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Happening {
    pub event: EventName,
    pub actor: Actor,
    pub ip: Option<IpAddr>,
    /// The user whom it is about: who did it, or to whom it was done.
    pub user: Option<UserId>,
    pub room: Option<RoomId>,
    /// What it was done to: an API key, a notification, a token.
    pub target: Option<String>,
    pub detail: BTreeMap<String, String>,
}

impl Happening {
    pub fn new(event: &'static str, actor: Actor) -> Self {
        let user = match &actor {
            Actor::User(user) => Some(user.clone()),
            _ => None,
        };
        Self {
            event: EventName::of(event),
            actor,
            ip: None,
            user,
            room: None,
            target: None,
            detail: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn from(mut self, ip: IpAddr) -> Self {
        self.ip = Some(ip.to_canonical());
        self
    }

    #[must_use]
    pub fn about(mut self, user: &UserId) -> Self {
        self.user = Some(user.clone());
        self
    }

    #[must_use]
    pub fn room(mut self, room: &RoomId) -> Self {
        self.room = Some(room.clone());
        self
    }

    #[must_use]
    pub fn target(mut self, target: impl fmt::Display) -> Self {
        self.target = Some(clip(&target.to_string()).to_owned());
        self
    }

    /// A detail, cut where it is too long. One that finds no room any more is left out.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        let value = clip(&value);
        let used: usize = self.detail.iter().map(|(name, value)| name.len() + value.len()).sum();
        if used + name.len() + value.len() <= MAX_DETAIL {
            self.detail.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    /// The entry, as something that happened now for the first time.
    pub fn entry(self, id: AuditId, at: Timestamp) -> AuditEntry {
        let Self { event, actor, ip, user, room, target, detail } = self;
        AuditEntry { id, at, last_at: at, count: 1, event, actor, ip, user, room, target, detail }
    }
}

/// The first [`MAX_TEXT`] characters.
pub fn clip(text: &str) -> &str {
    text.char_indices().nth(MAX_TEXT).map_or(text, |(at, _)| text.split_at(at).0)
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub id: AuditId,
    pub at: Timestamp,
    /// With a `count` above 1: when it happened last.
    pub last_at: Timestamp,
    /// How often the same happened within a short time.
    pub count: u64,
    pub event: EventName,
    pub actor: Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    pub detail: BTreeMap<String, String>,
}

/// Which entries; all that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AuditFilter {
    pub event: Option<EventName>,
    pub user: Option<UserId>,
    pub ip: Option<IpAddr>,
    pub room: Option<RoomId>,
    pub since: Option<Timestamp>,
    /// Entries before this.
    pub until: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_is_cut() {
        let long = "ä".repeat(9_000);
        let happening = Happening::new("token.refused", Actor::Anonymous)
            .with("reason", &long)
            .with("again", &long)
            .target(&long);
        assert_eq!(happening.detail["reason"].chars().count(), MAX_TEXT);
        assert_eq!(happening.target.as_deref().map(|t| t.chars().count()), Some(MAX_TEXT));
    }

    #[test]
    fn all_details_together_are_bounded() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let happening =
            names.into_iter().fold(Happening::new("x", Actor::System), |happening, name| {
                happening.with(name, "日".repeat(MAX_TEXT))
            });
        assert_eq!(happening.detail.len(), 2, "each has 385 bytes");
    }

    #[test]
    fn ids_are_in_the_order_of_time() {
        let (one, two) = (Timestamp::from_millis(1_000), Timestamp::from_millis(1_001));
        let last_of_one = AuditId::new_v7(one, [255; 10]);
        assert!(AuditId::first_of(one) <= AuditId::new_v7(one, [0; 10]));
        assert!(last_of_one < AuditId::first_of(two));
    }

    #[test]
    fn an_actor_is_its_kind_and_its_id() {
        let alice = UserId::new("alice").unwrap();
        for actor in [Actor::User(alice), Actor::ApiKey("key_1".into()), Actor::Operator] {
            assert_eq!(Actor::from_parts(actor.kind(), actor.id()), Ok(actor));
        }
        assert!(Actor::from_parts("user", None).is_err());
    }
}
