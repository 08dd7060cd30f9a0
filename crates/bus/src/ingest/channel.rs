//! The names of channels, with a place for an id.

/// A channel, or all that differ in the id at their end: `user:{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelPattern {
    start: String,
    has_id: bool,
}

/// Why a text is not the name of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 128 visible characters without * ? [ ] \\, and {{id}} only at its end")]
pub struct InvalidChannel;

const ID: &str = "{id}";

impl ChannelPattern {
    pub fn parse(text: &str) -> Result<Self, InvalidChannel> {
        let (start, has_id) = match text.strip_suffix(ID) {
            Some(start) => (start, true),
            None => (text, false),
        };
        let fine = (1..=128).contains(&start.len())
            && start.bytes().all(|b| b.is_ascii_graphic() && !b"*?[]\\{}^".contains(&b));
        if fine { Ok(Self { start: start.to_owned(), has_id }) } else { Err(InvalidChannel) }
    }

    /// As Redis writes it, if there are many.
    pub fn glob(&self) -> Option<String> {
        self.has_id.then(|| format!("{}*", self.start))
    }

    pub fn start(&self) -> &str {
        &self.start
    }

    /// Whether a channel is one of these; with the id in its name.
    pub fn matches<'a>(&self, channel: &'a str) -> Option<Option<&'a str>> {
        let id = channel.strip_prefix(&self.start)?;
        match self.has_id {
            true => (!id.is_empty()).then_some(Some(id)),
            false => id.is_empty().then_some(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_stand_at_the_end() {
        let user = ChannelPattern::parse("user:{id}").unwrap();
        assert_eq!(user.glob().as_deref(), Some("user:*"));
        assert_eq!(user.matches("user:alice"), Some(Some("alice")));
        assert_eq!(user.matches("user:"), None);
        assert_eq!(user.matches("channels:user:alice"), None);
        let all = ChannelPattern::parse("channels:broadcast").unwrap();
        assert_eq!((all.glob(), all.start()), (None, "channels:broadcast"));
        assert_eq!(all.matches("channels:broadcast"), Some(None));
        assert_eq!(all.matches("channels:broadcast2"), None);
        for bad in ["", "{id}", "a*", "a{id}b", "a b", "{id}:a"] {
            assert_eq!(ChannelPattern::parse(bad), Err(InvalidChannel), "{bad}");
        }
    }
}
