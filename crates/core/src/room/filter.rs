//! Which events of a room a client wants to hear.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::MAX_EVENT_NAME;

/// Most names in one filter.
pub const MAX_NAMES: usize = 16;

/// Names of events, each whole or ending in `*`: `task:update`, `comment:*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<String>", into = "BTreeSet<String>")]
pub struct EventFilter(BTreeSet<String>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    #[error("must name 1 to {MAX_NAMES} events")]
    Length,
    #[error("each must have 1 to {MAX_EVENT_NAME} characters, a * only at the end")]
    Name,
}

impl TryFrom<BTreeSet<String>> for EventFilter {
    type Error = InvalidFilter;

    fn try_from(names: BTreeSet<String>) -> Result<Self, InvalidFilter> {
        if !(1..=MAX_NAMES).contains(&names.len()) {
            return Err(InvalidFilter::Length);
        }
        let fine = |name: &String| {
            (1..=MAX_EVENT_NAME).contains(&name.len())
                && !name.chars().any(char::is_control)
                && name.find('*').is_none_or(|at| at + 1 == name.len())
        };
        if names.iter().all(fine) { Ok(Self(names)) } else { Err(InvalidFilter::Name) }
    }
}

impl From<EventFilter> for BTreeSet<String> {
    fn from(filter: EventFilter) -> Self {
        filter.0
    }
}

impl EventFilter {
    pub fn matches(&self, event: &str) -> bool {
        self.0.iter().any(|name| match name.strip_suffix('*') {
            Some(start) => event.starts_with(start),
            None => event == name,
        })
    }

    /// The same text for the same filter, and for no other.
    pub fn key(&self) -> String {
        // Names have no control characters.
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(names: &[&str]) -> Result<EventFilter, InvalidFilter> {
        names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>().try_into()
    }

    #[test]
    fn names_match_whole_or_by_their_beginning() {
        let filter = filter(&["task:update", "comment:*"]).unwrap();
        for (event, heard) in [
            ("task:update", true),
            ("task:updated", false),
            ("comment:added", true),
            ("comment:", true),
            ("comment", false),
        ] {
            assert_eq!(filter.matches(event), heard, "{event}");
        }
    }

    #[test]
    fn filters_are_bounded() {
        assert_eq!(filter(&[]), Err(InvalidFilter::Length));
        let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(filter(&many), Err(InvalidFilter::Length));
        for bad in ["", "a*b", "**", "a\nb", &"x".repeat(65)] {
            assert_eq!(filter(&[bad]), Err(InvalidFilter::Name), "{bad}");
        }
        assert!(filter(&["*"]).unwrap().matches("anything"));
    }
}
