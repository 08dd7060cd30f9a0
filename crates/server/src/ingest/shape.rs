//! What is written in a message, as the API would be told it.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use super::Target;

type Fields = BTreeMap<String, Box<RawValue>>;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The body of `POST notifications`.
    Notification(Vec<u8>),
    /// The body of `POST rooms/{room}/events`.
    Event { room: String, body: Vec<u8> },
}

/// `id` is that in the channel's name.
pub(super) fn read(target: &Target, id: Option<&str>, payload: &[u8]) -> Result<Shape, String> {
    let fields: Fields = serde_json::from_slice(payload)
        .map_err(|problem| format!("payload: must be a JSON object: {problem}"))?;
    match target {
        Target::Stated => Ok(Shape::Notification(payload.to_vec())),
        Target::User => {
            let id = id.ok_or("its channel has no id")?;
            let recipient = raw(&Value::from(id));
            notification(fields, recipient, Some(id))
        }
        Target::All => notification(fields, raw(&serde_json::json!({ "all": true })), None),
        Target::Room(room) => event(fields, room.as_ref().map(|room| room.as_str())),
    }
}

/// For the recipient that the channel tells. A backend may write `{user_id, type, payload, timestamp}` instead.
fn notification(
    mut fields: Fields,
    to: Box<RawValue>,
    user: Option<&str>,
) -> Result<Shape, String> {
    for name in ["to", "user_id", "userId"] {
        let Some(stated) = fields.remove(name) else { continue };
        if user.is_none_or(|user| text(&stated).as_deref() != Some(user)) {
            return Err(format!("/{name}: the channel tells for whom it is"));
        }
    }
    if !fields.contains_key("message")
        && let Some(payload) = fields.remove("payload")
    {
        fields.remove("timestamp");
        let words: Value = serde_json::from_str(payload.get())
            .map_err(|problem| format!("/payload: {problem}"))?;
        let said = |pointer: &str| words.pointer(pointer).and_then(Value::as_str).map(Value::from);
        let message =
            said("/message").or_else(|| said("/error/message")).or_else(|| said("/title"));
        let message = message.ok_or("/message: is missing, and /payload/message too")?;
        if let Some(title) = said("/title") {
            fields.entry("title".into()).or_insert_with(|| raw(&title));
        }
        fields.insert("message".into(), raw(&message));
        fields.entry("data".into()).or_insert(payload);
    }
    fields.insert("to".into(), to);
    Ok(Shape::Notification(written(&fields)))
}

fn event(mut fields: Fields, room: Option<&str>) -> Result<Shape, String> {
    let stated = fields.remove("room").as_deref().and_then(text);
    let room = match (room, stated) {
        (None, Some(stated)) => stated,
        (None, None) => return Err("/room: is missing".into()),
        (Some(room), stated) if stated.as_deref().is_none_or(|stated| stated == room) => {
            room.to_owned()
        }
        (Some(_), _) => return Err("/room: the channel tells where it is said".into()),
    };
    Ok(Shape::Event { room, body: written(&fields) })
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn raw(value: &Value) -> Box<RawValue> {
    // A value is JSON.
    RawValue::from_string(value.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn written(fields: &Fields) -> Vec<u8> {
    // Texts into memory: cannot fail.
    serde_json::to_vec(fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(payload: &str) -> Result<Value, String> {
        match read(&Target::User, Some("alice"), payload.as_bytes())? {
            Shape::Notification(body) => Ok(serde_json::from_slice(&body).unwrap()),
            Shape::Event { .. } => panic!(),
        }
    }

    #[test]
    fn a_channel_tells_the_recipient() {
        let body = user(r#"{"type":"like","message":"m","data":{"n":12345678901234567890123}}"#);
        let body = body.unwrap().to_string();
        assert!(body.contains(r#""to":"alice""#) && body.contains("1.2345"), "{body}");
        assert!(user(r#"{"to":"alice","type":"like","message":"m"}"#).is_ok());
        assert!(user(r#"{"to":"bob","type":"like","message":"m"}"#).is_err());
        assert!(user(r#"{"to":{"all":true},"type":"like","message":"m"}"#).is_err());
        assert!(user(r#"{"user_id":"bob","type":"like","message":"m"}"#).is_err());
        assert!(user("[]").is_err() && user("{").is_err());
    }

    #[test]
    fn what_backends_publish_already_is_understood() {
        let body = user(
            r#"{"user_id":"alice","type":"error_docs","timestamp":"2026-11-21T00:00:00Z",
            "payload":{"error":{"code":"E1","message":"It broke"},"suggestions":[]}}"#,
        );
        let data = serde_json::json!({"error":{"code":"E1","message":"It broke"},"suggestions":[]});
        let expected =
            serde_json::json!({"to":"alice","type":"error_docs","message":"It broke","data":data});
        assert_eq!(body.unwrap(), expected);
        assert!(user(r#"{"type":"alert","payload":{"n":1}}"#).unwrap_err().contains("/message"));
    }

    #[test]
    fn everybody_and_rooms() {
        let all = read(&Target::All, None, br#"{"type":"system","message":"m"}"#).unwrap();
        assert_eq!(
            all,
            Shape::Notification(br#"{"message":"m","to":{"all":true},"type":"system"}"#.to_vec())
        );
        let event =
            |target: &str, payload: &str| read(&target.parse().unwrap(), None, payload.as_bytes());
        let expected =
            Shape::Event { room: "task:1".into(), body: br#"{"type":"task:update"}"#.to_vec() };
        assert_eq!(event("room", r#"{"room":"task:1","type":"task:update"}"#).unwrap(), expected);
        assert_eq!(event("room:task:1", r#"{"type":"task:update"}"#).unwrap(), expected);
        assert!(event("room:task:1", r#"{"room":"task:2","type":"task:update"}"#).is_err());
        assert!(event("room", r#"{"type":"task:update"}"#).is_err());
        assert!("rooms".parse::<Target>().is_err() && "room:x".parse::<Target>().is_err());
    }
}
