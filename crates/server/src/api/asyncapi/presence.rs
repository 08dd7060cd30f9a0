//! What is told and said of presence and typing.

use serde_json::{Value, json};

use super::{
    commands::answer,
    message::Message,
    schemas::{any_of, boolean, list, nothing, number, object, one_of, shared, text, time},
};

pub(super) fn events() -> Vec<Message> {
    let entry = any_of([shared("PresenceEntry"), shared("OwnPresence")]);
    let update = any_of([
        object([
            ("room", text()),
            ("online", number()),
            ("users", list(&entry)),
            ("left?", list(&text())),
            ("full?", boolean()),
        ]),
        object([
            ("room", text()),
            ("online", number()),
            ("large", boolean()),
            ("joined", list(&text())),
            ("left", list(&text())),
            ("more", boolean()),
        ]),
    ]);
    let typing = || object([("room", text()), ("userId", text()), ("timestamp", time())]);
    vec![
        Message::new("presence:update", "Who is seen in a room has changed", update)
            .named_plainly("presence-update"),
        Message::new(
            "presence:user:online",
            "Somebody came whom the client did not see until now",
            shared("PresenceEntry"),
        ),
        Message::new(
            "presence:user:offline",
            "Somebody whom the client saw has gone",
            object([("userId", text()), ("lastSeen?", time())]),
        ),
        Message::new("user:typing", "Somebody types in a room", typing()),
        Message::new("user:stopped-typing", "Somebody types no more", typing()),
    ]
}

pub(super) fn commands() -> Vec<(Message, Message)> {
    let status = || one_of(["online", "away", "busy", "offline"]);
    let maybe = |schema: Value| any_of([schema, nothing()]);
    let update = object([
        ("status?", status()),
        ("currentFeature?", maybe(text())),
        ("role?", maybe(text())),
        ("device?", maybe(text())),
        ("metadata?", maybe(json!({ "type": "object" }))),
        ("invisible?", boolean()),
    ]);
    let room = || any_of([text(), object([("room", text())])]);
    let said = json!({ "status": "busy", "currentFeature": "board" });
    let updated = || object([("ok", boolean()), ("status?", status()), ("invisible?", boolean())]);
    let mut commands = Vec::new();
    for name in ["presence:update", "presence-update", "status:change"] {
        let argument = any_of([status(), update.clone()]);
        let command = Message::new(name, "What this device's user is up to", argument);
        commands.push((command.example(said.clone()), answer(name, updated())));
    }
    let shown = object([("ok", boolean()), ("shown?", boolean()), ("expiresAt?", time())]);
    for (name, summary, answered) in [
        ("typing:start", "The user types in a room; ends by itself after 5 seconds", shown),
        ("typing:stop", "The user types no more", object([("ok", boolean())])),
    ] {
        let command = Message::new(name, summary, room());
        commands.push((command.example(json!({ "room": "post:1" })), answer(name, answered)));
    }
    commands
}
