//! Parts of a message by their names.

use rmpv::Value;

use super::{MAX_ID, MAX_ROOMS, Malformed, Result};

pub(super) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let entries = value.as_map()?;
    let found = entries.iter().find(|(key, _)| key.as_str() == Some(name));
    found.map(|(_, value)| value).filter(|value| !value.is_nil())
}

/// The id of a server or a request.
pub(super) fn id(value: &Value, name: &'static str) -> Result<Option<String>> {
    let Some(value) = field(value, name) else { return Ok(None) };
    let text = value.as_str().filter(|text| (1..=MAX_ID).contains(&text.len()));
    // Answers go to a channel that ends with it.
    let text = text.filter(|text| !text.chars().any(|c| c.is_control() || c == '#'));
    text.map(|text| Some(text.to_owned())).ok_or(Malformed::Shape(name))
}

/// A list of rooms; without it there are none. To JavaScript a number is as good a name as its text.
pub(super) fn rooms(value: &Value, name: &'static str) -> Result<Vec<String>> {
    let Some(value) = field(value, name) else { return Ok(Vec::new()) };
    let values = value.as_array().ok_or(Malformed::Shape(name))?;
    if values.len() > MAX_ROOMS {
        return Err(Malformed::TooMany("rooms"));
    }
    values.iter().map(|value| text(value).ok_or(Malformed::Shape(name))).collect()
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.as_str().map(str::to_owned),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn is_set(value: &Value, name: &str) -> bool {
    field(value, name).is_some_and(|value| value.as_bool() == Some(true))
}
