//! Schemas that several messages share; those of the HTTP API are the same there.

use serde_json::{Map, Value, json};

/// Of the description of the HTTP API.
const SHARED: [&str; 4] = ["Notification", "Actor", "Action", "PresenceEntry"];

/// An object; a name that ends in `?` may be missing.
pub(super) fn object<const N: usize>(properties: [(&str, Value); N]) -> Value {
    let required: Vec<&str> =
        properties.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let properties: Map<String, Value> = properties
        .iter()
        .map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema.clone()))
        .collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(super) fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// Anything that JSON can say.
pub(super) fn anything() -> Value {
    json!({})
}

pub(super) fn nothing() -> Value {
    json!({ "type": "null" })
}

pub(super) fn one_of<const N: usize>(values: [&str; N]) -> Value {
    json!({ "type": "string", "enum": Vec::from(values) })
}

pub(super) fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

pub(super) fn any_of<const N: usize>(choices: [Value; N]) -> Value {
    json!({ "anyOf": Vec::from(choices) })
}

pub(super) fn shared(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn maybe_time() -> Value {
    json!({ "type": ["string", "null"], "format": "date-time" })
}

fn own() -> [(&'static str, Value); 5] {
    [
        ("Error", error(false)),
        ("Position", object([("room?", text()), ("epoch", anything()), ("offset", number())])),
        ("RoomOutcome", room_outcome()),
        (
            "ItemState",
            object([
                ("id", uuid()),
                ("seq", number()),
                ("rev", number()),
                ("read", boolean()),
                ("deliveredAt", maybe_time()),
                ("seenAt", maybe_time()),
                ("readAt", maybe_time()),
                ("archivedAt", maybe_time()),
                ("provisional?", boolean()),
                ("actor?", shared("Actor")),
            ]),
        ),
        ("OwnPresence", own_presence()),
    ]
}

fn room_outcome() -> Value {
    object([
        ("room", text()),
        ("ok", boolean()),
        ("error?", shared("Error")),
        ("position?", shared("Position")),
        ("recovered?", boolean()),
    ])
}

/// `of_room`: it may name one.
pub(super) fn error(of_room: bool) -> Value {
    let mut schema = object([("code", text()), ("message", text()), ("retryAfter?", number())]);
    if of_room {
        schema["properties"]["room"] = text();
    }
    schema
}

/// As a user's other devices see it.
fn own_presence() -> Value {
    object([
        ("userId", text()),
        ("status", one_of(["online", "away", "busy", "offline"])),
        ("invisible", boolean()),
        ("currentFeature?", text()),
        ("role?", text()),
        ("device?", text()),
        ("metadata?", json!({ "type": "object" })),
    ])
}

/// All of them, by name.
fn all() -> Map<String, Value> {
    let openapi = serde_json::to_value(crate::api::document()).unwrap_or_default();
    let described =
        |name: &&str| ((*name).to_owned(), openapi["components"]["schemas"][*name].clone());
    let own = own().into_iter().map(|(name, schema)| (name.to_owned(), schema));
    let mut all: Map<_, _> = SHARED.iter().map(described).chain(own).collect();
    let new = all.get("Notification").map(new_notification).unwrap_or_default();
    all.insert("NewNotification".to_owned(), new);
    all
}

/// A notification that has come: one that is provisional has no place in the inbox.
fn new_notification(notification: &Value) -> Value {
    let mut new = notification.clone();
    new["properties"]["provisional"] = boolean();
    if let Some(required) = new["required"].as_array_mut() {
        required.retain(|name| name != "seq" && name != "rev");
    }
    new
}

/// The schemas of a document while it is made.
pub(super) struct Schemas(pub(super) Map<String, Value>);

impl Schemas {
    pub(super) fn new() -> Self {
        Self(all())
    }

    /// The schema that a reference leads to, or the schema itself.
    pub(super) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        name.and_then(|name| self.0.get(name)).unwrap_or(schema)
    }
}
