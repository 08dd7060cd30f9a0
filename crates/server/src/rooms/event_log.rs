//! Live events in the log, for who debugs an application: off unless configured, bounded, and redacted.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use tidings_core::room::RoomEvent;

use crate::limiter::Bucket;

/// Longest data in a line, in bytes.
const MAX_DATA: usize = 1_024;
/// Lines per second; the rest is counted.
const PER_SECOND: u32 = 100;
const REDACTED: &str = "[redacted]";
/// Fields whose names contain one of these are not for a log.
const SECRETS: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "apikey",
    "api_key",
    "credential",
    "session",
];

pub struct EventLog {
    enabled: bool,
    lines: Bucket,
}

impl EventLog {
    pub fn new(enabled: bool) -> Self {
        Self { enabled, lines: Bucket::new(PER_SECOND, Duration::from_secs(1)) }
    }

    pub(super) fn note(&self, event: &RoomEvent) {
        if !self.enabled || self.lines.take().is_err() {
            return;
        }
        let bytes = event.data.get().len();
        let data = redacted(event);
        tracing::info!(
            target: "room_events", event = "room.event", room = %event.room, name = event.name,
            volatile = event.volatile, bytes, data
        );
    }
}

/// The data as they may stand in a log. What only some may see is not for it either.
fn redacted(event: &RoomEvent) -> String {
    let Ok(mut data) = serde_json::from_str::<Value>(event.data.get()) else {
        return String::new();
    };
    if !event.audiences.is_empty() {
        let everybody = event.audiences.iter().filter(|audience| audience.role == "*");
        let fields: BTreeSet<&str> =
            everybody.flat_map(|audience| audience.fields.iter().map(String::as_str)).collect();
        match &mut data {
            Value::Object(object) if !fields.contains("*") => {
                let hidden = object.iter_mut().filter(|(name, _)| !fields.contains(name.as_str()));
                hidden.for_each(|(_, value)| *value = REDACTED.into());
            }
            Value::Object(_) => {}
            other => *other = REDACTED.into(),
        }
    }
    redact(&mut data);
    let text = data.to_string();
    match text.char_indices().find(|(at, _)| *at >= MAX_DATA) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// As deep as JSON is read at all.
fn redact(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let name = name.to_ascii_lowercase();
                if SECRETS.iter().any(|secret| name.contains(secret)) {
                    *value = REDACTED.into();
                } else {
                    redact(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use serde_json::value::RawValue;
    use tidings_core::{
        room::{Audience, Except, RoomName},
        time::Timestamp,
    };

    use super::*;

    fn logged(data: &str, audiences: &[(&str, &[&str])]) -> String {
        let audience = |(role, fields): &(&str, &[&str])| Audience {
            role: (*role).to_owned(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect::<BTreeSet<_>>(),
        };
        redacted(&RoomEvent {
            room: RoomName::parse("task:1").unwrap(),
            name: "task:update".to_owned(),
            data: RawValue::from_string(data.to_owned()).unwrap(),
            audiences: audiences.iter().map(audience).collect::<Arc<_>>(),
            except: Except::default(),
            volatile: false,
            at: Timestamp::EPOCH,
            history: None,
            memory: None,
            position: None,
        })
    }

    #[test]
    fn secrets_and_what_only_some_may_see_stay_out() {
        assert_eq!(
            logged(r#"{"a":1,"Password":"x","in":[{"apiKey":2}]}"#, &[]),
            r#"{"Password":"[redacted]","a":1,"in":[{"apiKey":"[redacted]"}]}"#
        );
        let audiences: [(&str, &[&str]); 2] = [("lead", &["*"]), ("*", &["id"])];
        assert_eq!(logged(r#"{"id":1,"cost":5}"#, &audiences), r#"{"cost":"[redacted]","id":1}"#);
        assert_eq!(logged("[1]", &audiences), r#""[redacted]""#);
        let long = logged(&format!("[\"{}\"]", "é".repeat(5_000)), &[]);
        assert!(long.len() < 1_040 && long.ends_with('…'), "{}", long.len());
    }
}
