//! What the server tells.

use serde_json::Value;

use super::{
    Transport,
    message::Message,
    presence,
    schemas::{
        any_of, anything, boolean, error, list, nothing, number, object, one_of, shared, text,
        time, uuid,
    },
};
use crate::state::AppState;

pub(super) const STREAM: &str = "Server-sent events. `event` is the `type` of the object in `data`. An `id` is a rev: who has the event has everything of the inbox up to there.";

/// All events, with those that the configuration declares.
pub(super) fn all(state: &AppState) -> Vec<Message> {
    let mut all = inbox();
    all.extend(rooms());
    all.extend(presence::events());
    all.extend(connection());
    all.extend(declared(state));
    all
}

fn inbox() -> Vec<Message> {
    let pending = object([
        ("notifications", list(&shared("Notification"))),
        ("removed", list(&uuid())),
        ("readUpTo", number()),
        ("unread", number()),
        ("to", number()),
        ("hasMore", boolean()),
        ("reset", boolean()),
    ]);
    let updated = object([
        ("rev?", number()),
        ("unread?", number()),
        ("items?", list(&shared("ItemState"))),
        ("removed?", list(&uuid())),
        ("readUpTo?", number()),
        ("clearedUpTo?", number()),
        ("id?", uuid()),
        ("replacedBy?", any_of([uuid(), nothing()])),
    ]);
    vec![
        Message::new(
            "notifications:pending",
            "What a client did not know: after `connected`, and whenever something was missed",
            pending,
        ),
        Message::new("notification", "A notification has come", shared("NewNotification"))
            .under_key("notification"),
        Message::new(
            "notification:updated",
            "Notifications were changed or removed; or (`id`, `replacedBy`, without `rev`) one that was provisional is not stored",
            updated,
        ),
        Message::new(
            "notification:count",
            "The number of unread ones, after every change",
            object([("unread", number()), ("rev", number())]),
        ),
    ]
}

fn rooms() -> Vec<Message> {
    let joined =
        object([("room", text()), ("position?", shared("Position")), ("recovered?", boolean())]);
    let left =
        object([("room", text()), ("reason?", one_of(["membership", "token", "application"]))]);
    let message =
        object([("room", text()), ("from", text()), ("data", anything()), ("timestamp", time())]);
    vec![
        Message::new("room:joined", "The connection is in a room", joined),
        Message::new("room:left", "The connection is in a room no more", left),
        Message::new("room:message", "What another client said in a room", message).in_rooms(),
    ]
}

fn connection() -> Vec<Message> {
    let connected = object([
        ("socketId", text()),
        ("userId", text()),
        ("rev", number()),
        ("unread", number()),
        ("recovered", boolean()),
    ]);
    let welcome = object([("connectionId", text()), ("message", text()), ("timestamp", time())]);
    let shutdown = object([("reconnectAfterMs", number()), ("message", text())]);
    vec![
        Message::new("welcome", "The first words on a plain WebSocket", welcome)
            .only(Transport::WebSocket),
        Message::new("connected", "The session is open", connected),
        Message::new("server:shutdown", "The server is going: come back after that time", shutdown),
        Message::new("error", "Something went wrong that no answer was asked for", error(true)),
    ]
}

/// Events of the application's.
fn declared(state: &AppState) -> Vec<Message> {
    let declared = &state.config.events;
    if declared.is_empty() {
        let summary = "Any event of the application's; its name is the application's to choose";
        return vec![Message::new("*", summary, anything()).in_rooms()];
    }
    let describe = |(name, spec): (&String, &crate::rooms::EventSpec)| {
        let payload = payload(&spec.schema, !spec.audiences.is_empty());
        Message::new(name, "An event of the application's in a room", payload).in_rooms()
    };
    declared.iter().map(describe).collect()
}

/// A declared schema, as far as it can stand inside of another document.
fn payload(schema: &Value, has_audiences: bool) -> Value {
    if schema.to_string().contains("\"$ref\"") {
        // Its references are into itself.
        return anything();
    }
    let mut payload = schema.clone();
    if has_audiences && let Some(object) = payload.as_object_mut() {
        // Who may not see a field gets the event without it.
        object.remove("required");
    }
    payload
}
