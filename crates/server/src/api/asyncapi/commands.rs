//! What clients may ask, and what they are answered.

use serde_json::{Value, json};

use super::{
    message::Message,
    presence,
    schemas::{any_of, anything, boolean, list, nothing, number, object, shared, text, time, uuid},
};

pub(super) const SOCKET_IO: &str = "Socket.IO v5 on Engine.IO v4, namespace `/`; CONNECT takes `auth {token, since?, device?, presence?}`. Payloads are the first argument of events. A command is answered in its acknowledgement.";
pub(super) const PLAIN: &str = "JSON objects with a `type`: the name of the event or command, its fields beside it. A command with a `requestId` is answered by `ack`.";

/// All commands, each with its answer.
pub(super) fn all() -> Vec<(Message, Message)> {
    let mut all = inbox();
    all.extend(rooms());
    all.extend(presence::commands());
    all.extend(connection());
    all
}

/// The answer to a command: what it asked for, or an error.
pub(super) fn answer(name: &str, done: Value) -> Message {
    let refused = object([("ok", boolean()), ("error", shared("Error"))]);
    Message::new(name, "The answer to this command", any_of([done, refused]))
}

fn inbox() -> Vec<(Message, Message)> {
    let since = || any_of([number(), time()]);
    let ids = || {
        let ids = list(&uuid());
        any_of([uuid(), object([("id?", uuid()), ("ids?", ids)])])
    };
    let changed = || {
        object([
            ("ok", boolean()),
            ("changed", number()),
            ("missing", number()),
            ("unread", number()),
            ("rev", number()),
            ("readUpTo", number()),
        ])
    };
    let synced = object([
        ("ok", boolean()),
        ("items", list(&shared("Notification"))),
        ("removed", list(&uuid())),
        ("readUpTo", number()),
        ("unread", number()),
        ("to", number()),
        ("hasMore", boolean()),
        ("reset", boolean()),
    ]);
    let some_id = json!({ "id": "0190b3a0-0000-7000-8000-000000000000" });
    let mut commands = Vec::new();
    for change in ["read", "unread", "seen", "archive", "unarchive", "delete"] {
        let name = format!("notification:{change}");
        let command = Message::new(&name, "Changes notifications of the inbox", ids());
        commands.push((command.example(some_id.clone()), answer(&name, changed())));
    }
    for (name, summary, argument, example, done) in [
        (
            "notification:readAll",
            "Everything with `seq` up to this is read; without it, everything",
            any_of([object([("upTo?", number())]), nothing()]),
            json!({ "upTo": 0 }),
            changed(),
        ),
        (
            "notification:ack",
            "The device has everything up to this rev",
            object([("upTo", number())]),
            json!({ "upTo": 0 }),
            object([("ok", boolean()), ("upTo", number())]),
        ),
        (
            "notifications:sync",
            "What changed since a rev or a date",
            object([("since", since())]),
            json!({ "since": 0 }),
            synced,
        ),
    ] {
        let command = Message::new(name, summary, argument).example(example);
        commands.push((command, answer(name, done)));
    }
    commands
}

fn rooms() -> Vec<(Message, Message)> {
    let done = || {
        let rooms = list(&shared("RoomOutcome"));
        object([("ok", boolean()), ("rooms", rooms), ("error?", super::schemas::error(true))])
    };
    let named = || {
        object([
            ("room?", text()),
            ("rooms?", list(&text())),
            ("events?", list(&text())),
            ("since?", shared("Position")),
        ])
    };
    let rooms = || any_of([text(), list(&text()), named()]);
    let thread = || any_of([text(), object([("id?", text()), ("threadId?", text())])]);
    let mut commands = Vec::new();
    for (name, summary, argument, example) in [
        ("room:join", "Joins rooms", rooms(), json!({ "room": "post:1" })),
        ("subscribe", "As `room:join`", rooms(), json!({ "rooms": ["post:1", "post:2"] })),
        ("room:leave", "Leaves rooms", rooms(), json!({ "room": "post:2" })),
        ("unsubscribe", "As `room:leave`", rooms(), json!({ "room": "post:2" })),
        ("subscribe:thread", "Joins the room of a thread", thread(), json!({ "threadId": "1" })),
        ("unsubscribe:thread", "Leaves it", thread(), json!({ "threadId": "1" })),
    ] {
        let command = Message::new(name, summary, argument).example(example);
        commands.push((command, answer(name, done())));
    }
    let said = object([("room", text()), ("data", anything())]);
    let command = Message::new("room:message", "Says something to the others in a room", said)
        .example(json!({ "room": "post:1", "data": { "text": "hello" } }));
    let done = object([("ok", boolean()), ("timestamp", time())]);
    commands.push((command, answer("room:message", done)));
    commands
}

fn connection() -> Vec<(Message, Message)> {
    let heartbeat =
        Message::new("heartbeat", "The client is there", any_of([nothing(), object([])]));
    let refresh = Message::new(
        "auth:refresh",
        "A renewed token of the same user",
        object([("token", text())]),
    );
    vec![
        (
            heartbeat.example(Value::Null),
            answer("heartbeat", object([("ok", boolean()), ("timestamp", time())])),
        ),
        (
            refresh.example(json!({ "token": "eyJ…" })),
            answer("auth:refresh", object([("ok", boolean()), ("expiresAt", time())])),
        ),
    ]
}
