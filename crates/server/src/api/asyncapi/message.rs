//! One message, and its forms on the transports.

use serde_json::{Map, Value, json};

use super::{
    Transport,
    schemas::{Schemas, list, object},
};

/// An event of the server's or a command of a client's.
pub(super) struct Message {
    pub(super) name: String,
    pub(super) summary: String,
    /// A schema of its argument.
    payload: Value,
    /// The `type` that plain clients know it by, if it is another.
    plain_name: Option<&'static str>,
    /// Where plain clients find the argument, if its fields do not stand beside `type`.
    key: Option<&'static str>,
    /// What can follow in a room that remembers.
    position: bool,
    only: Option<Transport>,
    /// An argument, as Socket.IO clients send it.
    example: Option<Value>,
}

impl Message {
    pub(super) fn new(name: &str, summary: &str, payload: Value) -> Self {
        Self {
            name: name.to_owned(),
            summary: summary.to_owned(),
            payload,
            plain_name: None,
            key: None,
            position: false,
            only: None,
            example: None,
        }
    }

    pub(super) fn named_plainly(self, name: &'static str) -> Self {
        Self { plain_name: Some(name), ..self }
    }

    pub(super) fn under_key(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Said in rooms, some of which remember.
    pub(super) fn in_rooms(self) -> Self {
        Self { position: true, ..self }
    }

    pub(super) fn only(self, transport: Transport) -> Self {
        Self { only: Some(transport), ..self }
    }

    pub(super) fn example(self, example: Value) -> Self {
        Self { example: Some(example), ..self }
    }

    pub(super) fn is_on(&self, transport: Transport) -> bool {
        self.only.is_none_or(|only| only == transport)
    }

    /// Its name with nothing but what AsyncAPI allows in the names of components.
    pub(super) fn id(&self) -> String {
        self.name.replace(':', ".").replace('*', "any")
    }

    fn describe(&self, name: &str, payload: Value, example: Option<Value>) -> Value {
        let mut described = json!({
            "name": name, "title": name, "summary": self.summary, "payload": payload,
        });
        if let (Some(example), Some(object)) = (example, described.as_object_mut()) {
            object.insert("examples".to_owned(), json!([{ "payload": example }]));
        }
        described
    }

    /// The event's first argument.
    pub(super) fn of_socketio(&self) -> Value {
        let mut described = self.describe(&self.name, self.payload.clone(), self.example.clone());
        if self.position {
            let note =
                "In a room that remembers, a second argument is its position {room, epoch, offset}";
            described["description"] = note.into();
        }
        described
    }

    /// An object with a `type`; that of a command may have a `requestId`.
    pub(super) fn of_plain(&self, schemas: &Schemas, is_command: bool) -> Value {
        let name = self.plain_name.unwrap_or(&self.name);
        let kind = json!({ "const": name });
        let mut forms = vec![match self.key {
            Some(key) => object([("type", kind.clone()), (key, self.payload.clone())]),
            None => beside(&[("type", &kind)], &self.payload, schemas),
        }];
        if is_command {
            forms = vec![beside(&[("requestId?", &json!({}))], &forms[0], schemas)];
        }
        if self.position {
            let arg =
                json!({ "anyOf": [self.payload, { "$ref": "#/components/schemas/Position" }] });
            forms.push(object([("type", kind), ("args", list(&arg))]));
        }
        let payload = if forms.len() == 1 { forms.remove(0) } else { json!({ "anyOf": forms }) };
        let example = self.example.as_ref().and_then(|example| plain_example(name, example));
        self.describe(name, payload, example)
    }

    /// `ack`, with the id of the request.
    pub(super) fn of_plain_answer(&self, schemas: &Schemas) -> Value {
        let more = [("type", &json!({ "const": "ack" })), ("requestId", &json!({}))];
        self.describe("ack", beside(&more, &self.payload, schemas), None)
    }
}

/// The object that a schema describes, with more properties beside its own.
fn beside(more: &[(&str, &Value)], schema: &Value, schemas: &Schemas) -> Value {
    let schema = schemas.resolve(schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        // Plain clients say and hear objects only; what needs no argument is one without fields.
        let is_object = |choice: &&Value| {
            matches!(schemas.resolve(choice)["type"].as_str(), Some("object" | "null"))
        };
        let objects = choices.iter().filter(is_object);
        let choices: Vec<_> = objects.map(|choice| beside(more, choice, schemas)).collect();
        return json!({ "anyOf": choices });
    }
    let known = schema["type"] == "null" || schema["properties"].is_object();
    let mut properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, schema) in more {
        let is_required = !name.ends_with('?');
        let name = name.trim_end_matches('?');
        properties.insert(name.to_owned(), (*schema).clone());
        required.extend(is_required.then(|| name.into()));
    }
    if !known {
        // The argument's own fields may be any.
        return json!({ "type": "object", "required": required });
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

/// What a plain client says, if the argument is an object or nothing.
fn plain_example(name: &str, example: &Value) -> Option<Value> {
    let mut fields = match example {
        Value::Object(fields) => fields.clone(),
        Value::Null => Map::new(),
        _ => return None,
    };
    fields.insert("type".to_owned(), name.into());
    Some(fields.into())
}
