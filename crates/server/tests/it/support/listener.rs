use serde_json::{Value, json};

use super::{Client, Plain, Stream, TestServer, claims, sign};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    SocketIo,
    WebSocket,
    Stream,
}

impl Transport {
    pub const ALL: [Self; 3] = [Self::SocketIo, Self::WebSocket, Self::Stream];
}

/// A client on any transport, as far as all can do the same.
pub enum Listener {
    SocketIo(Client),
    WebSocket(Plain),
    Stream(Stream),
}

impl Listener {
    /// Opens a session of a user whose token says more, and asks to be in a room. `Err` is the code
    /// of the refusal.
    pub async fn join(
        server: &TestServer,
        transport: Transport,
        user: &str,
        more: &Value,
        room: &str,
    ) -> (Self, Result<(), String>) {
        let mut claims = claims(user);
        for (name, value) in more.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        Self::join_with(server, transport, &sign(&claims), room).await
    }

    pub async fn join_with(
        server: &TestServer,
        transport: Transport,
        token: &str,
        room: &str,
    ) -> (Self, Result<(), String>) {
        let (listener, answer) = match transport {
            Transport::SocketIo => {
                let mut client = Client::open(server.address).await;
                client.join(json!({ "token": token })).await;
                let answer = client.ask("room:join", json!(room)).await;
                (Self::SocketIo(client), answer)
            }
            Transport::WebSocket => {
                let mut plain = Plain::open(server, "/ws").await;
                plain.say(json!({ "type": "auth", "token": token })).await;
                plain.say(json!({ "type": "room:join", "room": room, "requestId": 1 })).await;
                let answer = plain.hear("ack").await;
                (Self::WebSocket(plain), answer)
            }
            Transport::Stream => {
                let mut stream = Stream::open(server, token, &format!("?rooms={room}")).await;
                let answer = loop {
                    let sent = stream.next().await.expect("an answer");
                    match &*sent.name {
                        "room:joined" => break json!({ "ok": true }),
                        "error" => break json!({ "ok": false, "error": sent.data }),
                        _ => {}
                    }
                };
                (Self::Stream(stream), answer)
            }
        };
        let outcome = match answer["ok"] == true {
            true => Ok(()),
            false => Err(answer["error"]["code"].as_str().expect("a code").to_owned()),
        };
        (listener, outcome)
    }

    /// The next event: its name, and what came with it. `None` at the end.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        match self {
            Self::SocketIo(client) => client.event_if_any().await,
            Self::WebSocket(plain) => {
                let message = plain.next().await.ok()?;
                Some((message["type"].as_str().expect("a type").to_owned(), message))
            }
            Self::Stream(stream) => {
                let sent = stream.next().await?;
                Some((sent.name, sent.data))
            }
        }
    }

    /// The next event of this name; others before it are passed over.
    pub async fn wait(&mut self, name: &str) -> Value {
        loop {
            match self.next().await {
                Some((event, body)) if event == name => return body,
                Some(_) => {}
                None => panic!("ended before {name}"),
            }
        }
    }

    /// Everything that was sent to this user's connection until now. Events reach a connection
    /// in their order, so one in the user's own room is the last.
    pub async fn until_now(&mut self, server: &TestServer, user: &str) -> Vec<(String, Value)> {
        let fence = json!({ "type": "fence", "data": {} });
        server.api().post(&format!("/rooms/user:{user}/events"), &fence).await.json(202);
        let mut events = Vec::new();
        loop {
            let (name, body) = self.next().await.expect("open");
            if name == "fence" {
                return events;
            }
            events.push((name, body));
        }
    }

    /// Whether an event that is sent to a room now comes.
    pub async fn hears(&mut self, server: &TestServer, user: &str, room: &str) -> bool {
        let event = json!({ "type": "said", "data": { "to": room } });
        server.api().post(&format!("/rooms/{room}/events"), &event).await.json(202);
        let events = self.until_now(server, user).await;
        events.iter().any(|(name, body)| name == "said" && body["to"] == room)
    }
}
