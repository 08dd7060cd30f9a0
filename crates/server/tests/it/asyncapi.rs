//! The description of the events is true: what the server sends is in it and as it says, on each
//! transport, and nothing is in it that is never sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio_tungstenite::connect_async;

use crate::{
    presence::{AFTER, NOW, has_connections},
    rooms::with_claims,
    support::{
        Client, Listener, Plain, Stream, TestServer, Transport, claims, schema, sign, within,
    },
};

async fn document(server: &TestServer) -> Value {
    server.page("/api/asyncapi.json").await.json(200)
}

/// What every server in these tests declares.
async fn server() -> TestServer {
    TestServer::with(|config| {
        let task = json!({ "type": "object", "required": ["taskId"], "properties": { "taskId": { "type": "integer" } } });
        let events = json!({ "task:update": { "schema": task } });
        config.events = serde_json::from_value(events).unwrap();
        let log = json!({ "rule": "everyone", "history": { "messages": 10, "age": "10m" } });
        config.rooms.insert("log".into(), serde_json::from_value(log).unwrap());
    })
    .await
}

/// One transport's part of the document.
struct Channel<'a> {
    document: &'a Value,
    name: &'static str,
    seen: BTreeSet<String>,
}

impl<'a> Channel<'a> {
    fn new(document: &'a Value, transport: Transport) -> Self {
        let name = match transport {
            Transport::SocketIo => "socketio",
            Transport::WebSocket => "websocket",
            Transport::Stream => "stream",
        };
        Self { document, name, seen: BTreeSet::new() }
    }

    /// Its messages of a role (`event`, `command`, `answer`): payloads by name.
    fn messages(&self, role: &str) -> BTreeMap<String, &'a Value> {
        let messages = &self.document["channels"][self.name]["messages"];
        let messages = messages.as_object().expect("messages");
        let of_role = messages
            .keys()
            .filter(|id| id.strip_prefix("plain.").unwrap_or(id).split('.').next() == Some(role));
        let message = |id: &String| {
            let message = &self.document["components"]["messages"][id];
            let own = id.split_once(&format!("{role}.")).expect("an id").1.to_owned();
            let name = message["name"].as_str().expect("a name").to_owned();
            (if role == "answer" { own } else { name }, message)
        };
        of_role.map(message).collect()
    }

    fn hold(&mut self, name: &str, body: &Value) {
        let events = self.messages("event");
        let message = events
            .get(name)
            .unwrap_or_else(|| panic!("{}: {name} is not described: {body}", self.name));
        if let Err(problem) = schema::check(self.document, &message["payload"], body) {
            panic!("{} {name}: {problem}: {body}", self.name);
        }
        self.seen.insert(name.to_owned());
    }
}

#[tokio::test]
async fn it_is_asyncapi_3() {
    let server = server().await;
    let document = document(&server).await;
    assert_eq!(document["asyncapi"], "3.0.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let object = |value: &Value| value.as_object().expect("an object").clone();
    let known = [
        "asyncapi",
        "channels",
        "components",
        "defaultContentType",
        "info",
        "operations",
        "servers",
    ];
    assert_eq!(object(&document).keys().collect::<Vec<_>>(), known);
    for (name, server) in object(&document["servers"]) {
        assert!(server["host"].is_string() && server["protocol"].is_string(), "{name}");
    }
    for (name, channel) in object(&document["channels"]) {
        assert!(channel["address"].as_str().is_some_and(|address| address.starts_with('/')));
        for (id, message) in object(&channel["messages"]) {
            let expected = format!("#/components/messages/{id}");
            assert_eq!(message, json!({ "$ref": expected }), "{name}");
        }
    }
    for (name, operation) in object(&document["operations"]) {
        assert!(["send", "receive"].contains(&operation["action"].as_str().unwrap()), "{name}");
        check_messages(&document, &operation);
        if operation["action"] == "receive" {
            check_messages(&document, &operation["reply"]);
        }
    }
    for (section, parts) in object(&document["components"]) {
        for (name, part) in object(&parts) {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            assert!(name.chars().all(allowed), "{section} {name}");
            assert!(part.is_object(), "{section} {name}");
            if section == "messages" {
                assert!(part["name"].is_string() && part["payload"].is_object(), "{name}");
            }
        }
    }
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
}

/// An operation's messages are those of its channel.
fn check_messages(document: &Value, operation: &Value) {
    let channel = operation["channel"]["$ref"].as_str().expect("a channel");
    for message in operation["messages"].as_array().expect("messages") {
        let path = message["$ref"].as_str().expect("a reference");
        assert!(path.starts_with(&format!("{channel}/messages/")), "{path}");
        assert!(document.pointer(path.trim_start_matches('#')).is_some(), "{path}");
    }
}

/// Somebody who is told everything: in rooms by membership and by rule, and refused in one.
async fn observer(server: &TestServer, transport: Transport, user: &str) -> Listener {
    let token = server.token(user);
    let rooms = json!(["post:1", "log:1"]);
    match transport {
        Transport::SocketIo => {
            let mut client = Client::open(server.address).await;
            client.join(json!({ "token": token })).await;
            assert_eq!(client.ask("room:join", rooms).await["ok"], true);
            client.emit("nonsense", json!({})).await;
            Listener::SocketIo(client)
        }
        Transport::WebSocket => {
            let url = format!("ws://{}/ws", server.address);
            let mut plain = Plain(within(connect_async(url)).await.unwrap().0);
            plain.say(json!({ "type": "auth", "token": token })).await;
            plain.say(json!({ "type": "room:join", "rooms": rooms })).await;
            plain.say(json!({ "type": "nonsense" })).await;
            Listener::WebSocket(plain)
        }
        Transport::Stream => {
            let query = "?rooms=post:1,log:1,post:9";
            Listener::Stream(Stream::open(server, &token, query).await)
        }
    }
}

/// Makes every event happen to a user in the rooms.
async fn happen(server: &TestServer, user: &str) {
    let api = server.api();
    let speaks = json!({ "rooms": ["*"], "permissions": ["rooms:send"] });
    server.tell_presence(NOW).await;
    let mut speaker = with_claims(server, "speaker", speaks).await;
    for room in ["post:1", "log:1"] {
        assert_eq!(speaker.ask("room:join", json!(room)).await["ok"], true);
    }
    server.tell_presence(NOW).await;
    let id = api.notify(user, "hello").await;
    server.user(user).patch(&format!("/notifications/{id}/read")).await.json(200);
    server.user(user).send("POST", "/notifications/read-all", &json!({})).await.json(200);
    server.user(user).delete(&format!("/notifications/{id}")).await.json(200);
    for room in ["post:1", "log:1"] {
        let update = json!({ "type": "task:update", "data": { "taskId": 1 } });
        api.post(&format!("/rooms/{room}/events"), &update).await.json(202);
        let message = json!({ "room": room, "data": { "text": "hi" } });
        assert_eq!(speaker.ask("room:message", message).await["ok"], true);
    }
    assert_eq!(speaker.ask("typing:start", json!("post:1")).await["shown"], true);
    assert_eq!(speaker.ask("typing:stop", json!("post:1")).await["ok"], true);
    assert_eq!(speaker.ask("presence:update", json!("busy")).await["ok"], true);
    server.tell_presence(NOW).await;
    drop(speaker);
    has_connections(server, "post:1", 1).await;
    server.tell_presence(AFTER).await;
    api.delete(&format!("/rooms/post:1/members/{user}")).await.json(200);
}

#[tokio::test]
async fn every_event_that_is_sent_is_described_and_every_described_one_is_sent() {
    for transport in Transport::ALL {
        let server = server().await;
        let document = document(&server).await;
        let mut channel = Channel::new(&document, transport);
        server.api().put("/rooms/post:1/members/eve", &json!({})).await.json(200);
        let mut eve = observer(&server, transport, "eve").await;
        for room in ["post:1", "log:1"] {
            has_connections(&server, room, 1).await;
        }
        happen(&server, "eve").await;
        while !channel.seen.contains("room:left") {
            let (name, body) = eve.next().await.expect("open");
            channel.hold(&name, &body);
        }
        server.stop().await;
        while let Some((name, body)) = eve.next().await {
            channel.hold(&name, &body);
        }
        let described: BTreeSet<_> = channel.messages("event").into_keys().collect();
        assert_eq!(described, channel.seen, "{transport:?}");
    }
}

#[tokio::test]
async fn what_is_shown_before_it_is_stored_is_described() {
    for transport in Transport::ALL {
        let server = TestServer::impatient().await;
        let document = document(&server).await;
        let mut channel = Channel::new(&document, transport);
        let mut once = json!({ "to": "eve", "type": "like", "message": "hi", "dedupeKey": "d" });
        server.api().post("/notifications", &once).await.json(201);
        let mut eve = match transport {
            Transport::SocketIo => Listener::SocketIo(server.connect("eve").await),
            Transport::WebSocket => {
                let path = format!("/ws?token={}", server.token("eve"));
                let mut plain = Plain::open(&server, &path).await;
                plain.hear("notifications:pending").await;
                Listener::WebSocket(plain)
            }
            Transport::Stream => Listener::Stream(Stream::of(&server, "eve", "").await),
        };
        let outage = server.away().await;
        server.api().post("/notifications", &once).await.json(202);
        once["dedupeKey"] = "another".into();
        server.api().post("/notifications", &once).await.json(202);
        outage.end().await;
        let mut updates = 0;
        while updates < 2 {
            let (name, body) = eve.next().await.expect("open");
            updates += usize::from(name == "notification:updated");
            channel.hold(&name, &body);
        }
        assert!(channel.seen.contains("notification"));
    }
}

#[tokio::test]
async fn every_command_that_is_described_is_understood_and_answered_as_it_says() {
    let server = server().await;
    let document = document(&server).await;
    let rights = json!({ "rooms": ["*"], "permissions": ["rooms:send"] });
    let mut socketio = with_claims(&server, "alice", rights.clone()).await;
    let mut token = claims("bob");
    token["rooms"] = rights["rooms"].clone();
    token["permissions"] = rights["permissions"].clone();
    let mut plain = Plain::open(&server, "/ws").await;
    plain.say(json!({ "type": "auth", "token": sign(&token) })).await;
    plain.hear("notifications:pending").await;
    for (transport, user) in [(Transport::SocketIo, "alice"), (Transport::WebSocket, "bob")] {
        let channel = Channel::new(&document, transport);
        let answers = channel.messages("answer");
        for (name, command) in channel.messages("command") {
            let mut example = command["examples"][0]["payload"].clone();
            let described = schema::check(&document, &command["payload"], &example);
            assert_eq!(described, Ok(()), "{name}: {example}");
            if example["id"].is_string() {
                example["id"] = server.api().notify(user, "to be changed").await.into();
            }
            if example["token"].is_string() {
                token["sub"] = user.into();
                example["token"] = sign(&token).into();
            }
            let answer = match transport {
                Transport::SocketIo => socketio.ask(&name, example).await,
                _ => {
                    example["requestId"] = json!("r");
                    plain.say(example).await;
                    plain.hear("ack").await
                }
            };
            assert_eq!(answer["ok"], true, "{name}: {answer}");
            let answered = answers[&name.replace(':', ".")];
            if let Err(problem) = schema::check(&document, &answered["payload"], &answer) {
                panic!("{transport:?} {name}: {problem}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn every_command_of_the_source_is_described() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let described = Channel::new(&document, Transport::SocketIo).messages("command");
    let sources = [
        include_str!("../../src/inbox/commands.rs"),
        include_str!("../../src/rooms/commands.rs"),
        include_str!("../../src/presence/commands.rs"),
    ];
    let mut found = 0;
    for text in sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2)) {
        let is_name = |text: &str| {
            let letters = |part: &str| {
                !part.is_empty() && part.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
            };
            text.split_once(':').is_some_and(|(kind, name)| letters(kind) && letters(name))
        };
        if is_name(text) {
            assert!(described.contains_key(text), "{text} is not described");
            found += 1;
        }
    }
    assert!(found >= 15, "{found}");
}

#[tokio::test]
async fn without_declared_types_any_name_is_the_applications() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    for transport in Transport::ALL {
        assert!(Channel::new(&document, transport).messages("event").contains_key("*"));
    }
}
