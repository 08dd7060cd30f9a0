//! Random identifiers: Engine.IO session ids and Socket.IO socket ids.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;

/// 128 random bits as 22 URL-safe characters, kept inline: a connection has two of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; Id::LEN]);

impl Id {
    pub(crate) const LEN: usize = 22;

    pub(crate) fn random() -> Self {
        let mut bits = [0; 16];
        rand::rng().fill_bytes(&mut bits);
        let mut text = [b'-'; Self::LEN];
        // 16 bytes are always 22 characters without padding, so this cannot fall short.
        let written = URL_SAFE_NO_PAD.encode_slice(bits, &mut text);
        debug_assert_eq!(written, Ok(Self::LEN));
        Self(text)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.as_bytes().try_into().ok().map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Ids are bearer secrets (whoever knows an Engine.IO sid can read its messages), so logs show only a hint.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", &self.as_str().get(..4).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_url_safe_and_differ() {
        let (a, b) = (Id::random(), Id::random());
        assert_ne!(a, b);
        assert!(a.as_str().chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        assert_eq!(Id::parse(a.as_str()), Some(a));
        assert_eq!(Id::parse("short"), None);
        assert!(format!("{a:?}").len() < 10, "the secret is not printed");
    }
}
