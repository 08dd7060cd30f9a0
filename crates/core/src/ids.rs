//! Identifiers. Those that come from outside are checked once, here, and never again.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Longest id that an application may choose, in characters (they are all ASCII).
pub const MAX_ID_LEN: usize = 128;

/// Why a string is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("must not be empty")]
    Empty,
    #[error("must have at most {MAX_ID_LEN} characters")]
    TooLong,
    #[error("may hold only letters, digits and . _ : @ -")]
    BadCharacter,
}

/// Checks the alphabet of application-chosen ids: 1–128 characters of `[A-Za-z0-9._:@-]`.
pub fn check_id(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > MAX_ID_LEN {
        return Err(InvalidId::TooLong);
    }
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'@' | b'-');
    if text.bytes().all(allowed) { Ok(()) } else { Err(InvalidId::BadCharacter) }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and makes it an id.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                check_id(text.as_ref())?;
                Ok(Self(Arc::from(text.as_ref())))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Self::new(&text).map_err(de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A user of the application: the `sub` of a token, the recipient of a notification.
    UserId
);
text_id!(
    /// A device of one user, named by the application (`auth.device`).
    DeviceId
);
text_id!(
    /// An entity of the application that a notification is about, for example `post-1`.
    EntityId
);
text_id!(
    /// A node of the cluster: one running server.
    NodeId
);
text_id!(
    /// A room: `kind:id`, for example `post:42`.
    RoomId
);

/// The id of a notification: a UUIDv7, one for all recipients of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotificationId(pub Uuid);

impl NotificationId {
    /// A UUIDv7 (RFC 9562 §5.7) of this instant.
    pub fn new_v7(now: crate::time::Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::str::FromStr for NotificationId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// A value of a user's inbox counter. Contiguous from 1; 0 means "before the first change".
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Rev(pub u64);

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_1_to_128_characters_of_the_alphabet() {
        assert!(UserId::new("alice.B_1:x@y-z").is_ok());
        assert_eq!(UserId::new("").unwrap_err(), InvalidId::Empty);
        assert_eq!(UserId::new("a".repeat(129)).unwrap_err(), InvalidId::TooLong);
        assert!(UserId::new("a".repeat(128)).is_ok());
        for bad in ["a b", "a/b", "ä", "a\n", "<a>"] {
            assert_eq!(UserId::new(bad).unwrap_err(), InvalidId::BadCharacter);
        }
    }
}
