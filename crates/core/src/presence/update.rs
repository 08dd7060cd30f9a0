//! What a client may say about its presence, and how much of it.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Card, Details, Status};

/// Longest `currentFeature`, in characters.
const MAX_FEATURE: usize = 128;
/// Longest `role` and `device`, in characters.
const MAX_LABEL: usize = 32;
/// Most bytes of `metadata`.
const MAX_METADATA: usize = 1_024;

/// A change of one device's presence: what is left out stays, and null takes a field away.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Update {
    pub status: Option<Status>,
    /// Others see the user offline, whatever the devices say.
    pub invisible: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    current_feature: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    role: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    device: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    metadata: Option<Option<Box<RawValue>>>,
}

/// Why a change cannot be taken: the field, and what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidUpdate {
    pub field: &'static str,
    pub problem: String,
    /// It is only too much of it.
    pub too_large: bool,
}

/// Tells null from a field that is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

impl Update {
    pub fn of_status(status: Status) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    pub fn check(&self) -> Result<(), InvalidUpdate> {
        check_text("currentFeature", &self.current_feature, MAX_FEATURE)?;
        check_text("role", &self.role, MAX_LABEL)?;
        check_text("device", &self.device, MAX_LABEL)?;
        let Some(Some(metadata)) = &self.metadata else { return Ok(()) };
        let problem = |problem: String, too_large| {
            Err(InvalidUpdate { field: "metadata", problem, too_large })
        };
        if metadata.get().len() > MAX_METADATA {
            return problem(format!("must have at most {MAX_METADATA} bytes"), true);
        }
        if !metadata.get().starts_with('{') {
            return problem("must be an object".to_owned(), false);
        }
        Ok(())
    }

    /// Puts what was given in the place of what was there.
    #[must_use]
    pub fn apply(self, card: &Card) -> Card {
        let mut details = Details::clone(&card.details);
        let status = self.status.unwrap_or(card.status);
        let invisible = self.invisible.unwrap_or(card.invisible);
        self.fill(&mut details);
        Card { status, invisible, details: std::sync::Arc::new(details) }
    }

    fn fill(self, details: &mut Details) {
        let put = |place: &mut Option<String>, given: Option<Option<String>>| {
            if let Some(value) = given {
                *place = value;
            }
        };
        put(&mut details.current_feature, self.current_feature);
        put(&mut details.role, self.role);
        put(&mut details.device, self.device);
        if let Some(metadata) = self.metadata {
            details.metadata = metadata;
        }
    }
}

fn check_text(
    field: &'static str,
    given: &Option<Option<String>>,
    most: usize,
) -> Result<(), InvalidUpdate> {
    let Some(Some(text)) = given else { return Ok(()) };
    let problem = |problem: String, too_large| Err(InvalidUpdate { field, problem, too_large });
    if text.chars().nth(most).is_some() {
        return problem(format!("must have at most {most} characters"), true);
    }
    if text.chars().any(char::is_control) {
        return problem("must not have control characters".to_owned(), false);
    }
    Ok(())
}
