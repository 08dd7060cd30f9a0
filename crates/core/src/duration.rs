//! Durations as people write them in a configuration: `500ms`, `25s`, `1h 30m`, `90d`.
//!
//! For `#[serde(with = …)]`. A day has 24 hours here, and a week seven days.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use serde::{Deserialize as _, Deserializer, de::Error as _};

pub use jiff::fmt::serde::unsigned_duration::friendly::compact::required::serialize;

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    parse(&text).map_err(D::Error::custom)
}

fn parse(text: &str) -> Result<Duration, jiff::Error> {
    let span: Span = text.parse()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours())?.try_into()
}

/// The same for an `Option`.
pub mod optional {
    use super::{Deserializer, Duration};

    pub use jiff::fmt::serde::unsigned_duration::friendly::compact::optional::serialize;

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_24_hours() {
        for (text, seconds) in [("90d", 90 * 86_400), ("1w", 7 * 86_400), ("1h 30m", 5_400)] {
            assert_eq!(parse(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        assert_eq!(parse("500ms").unwrap(), Duration::from_millis(500));
        for wrong in ["", "5", "-5s", "1mo", "1y", "soon"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
