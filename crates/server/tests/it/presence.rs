//! Presence: who is told what of whom, over Socket.IO and plain WebSockets.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    rooms::{joins, with_claims},
    support::{Client, Plain, TestServer, eventually, within},
};

pub const NOW: Duration = Duration::ZERO;
/// Longer than the time of grace.
pub const AFTER: Duration = Duration::from_secs(61);

/// A client in these rooms.
pub async fn member(server: &TestServer, user: &str, rooms: &[&str]) -> Client {
    let claims = json!({ "rooms": ["*"], "roles": ["admin"] });
    let mut client = with_claims(server, user, claims).await;
    for room in rooms {
        joins(&mut client, room).await;
    }
    client
}

/// Clients in one room that have been told of one another.
pub async fn together(server: &TestServer, room: &str, users: &[&str]) -> Vec<Client> {
    let mut clients = Vec::new();
    for user in users {
        clients.push(member(server, user, &[room]).await);
    }
    server.tell_presence(NOW).await;
    for client in &mut clients {
        client.drain().await;
    }
    clients
}

/// What a client was told of presence by now.
pub async fn told(client: &mut Client) -> Vec<(String, Value)> {
    let events = client.drain().await;
    events.into_iter().filter(|(name, _)| name.starts_with("presence")).collect()
}

/// `user=status` of everybody in the one update that a client was told; empty: of none.
pub async fn statuses(server: &TestServer, client: &mut Client, after: Duration) -> Vec<String> {
    server.tell_presence(after).await;
    let updates = told(client).await.into_iter().filter(|(name, _)| name == "presence:update");
    let updates: Vec<Value> = updates.map(|(_, body)| body).collect();
    assert!(updates.len() <= 1, "{updates:?}");
    let users = updates.first().and_then(|update| update["users"].as_array()).into_iter().flatten();
    let text = |user: &Value| {
        format!("{}={}", user["userId"].as_str().unwrap(), user["status"].as_str().unwrap())
    };
    let mut statuses: Vec<_> = users.map(text).collect();
    statuses.sort();
    statuses
}

/// Waits until the server has noticed that a user has so many connections.
pub async fn has_connections(server: &TestServer, room: &str, connections: u64) {
    let path = format!("/rooms/{room}");
    eventually(|| async { server.api().get(&path).await.json(200)["connections"] == connections })
        .await;
}

#[tokio::test]
async fn those_in_a_room_are_told_who_comes_and_the_newcomer_of_everybody() {
    let server = TestServer::start().await;
    let mut alice = member(&server, "alice", &["post:1"]).await;
    server.tell_presence(NOW).await;
    let first = alice.wait("presence:update").await;
    assert_eq!(
        (&first["room"], &first["online"], &first["full"]),
        (&json!("post:1"), &json!(1), &json!(true))
    );
    let mut bob = member(&server, "bob", &["post:1"]).await;
    server.tell_presence(NOW).await;
    let events = told(&mut alice).await;
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["presence:update", "presence:user:online"]);
    let update = &events[0].1;
    let entry = &update["users"][0];
    assert_eq!((&update["online"], &update["full"]), (&json!(2), &Value::Null));
    assert_eq!((&entry["userId"], &entry["status"]), (&json!("bob"), &json!("online")));
    assert!(entry["connectedAt"].is_string() && entry["lastSeen"].is_null(), "{entry}");
    assert_eq!(events[1].1, *entry);
    let everybody = bob.wait("presence:update").await;
    assert_eq!((&everybody["online"], &everybody["full"]), (&json!(2), &json!(true)));
    assert_eq!(everybody["users"].as_array().unwrap().len(), 2);
    assert_eq!(told(&mut bob).await, [], "nobody is told of their own coming");
    server.tell_presence(NOW).await;
    assert_eq!(told(&mut alice).await, [], "nothing changed");
}

#[tokio::test]
async fn who_shares_no_room_is_told_nothing() {
    let server = TestServer::start().await;
    let mut clients = together(&server, "post:1", &["alice", "bob"]).await;
    let mut mallory = member(&server, "mallory", &["post:2"]).await;
    server.tell_presence(NOW).await;
    mallory.drain().await;
    clients[0].ask("presence:update", json!("busy")).await;
    clients.remove(1);
    has_connections(&server, "post:1", 1).await;
    server.tell_presence(AFTER).await;
    assert_eq!(told(&mut mallory).await, []);
    assert_eq!(told(&mut clients[0]).await.len(), 2);
}

#[tokio::test]
async fn kinds_of_room_show_no_presence_where_that_is_turned_off() {
    let server = TestServer::with(|config| {
        let kind = json!({ "rule": "everyone", "presence": false });
        config.rooms.insert("quiet".into(), serde_json::from_value(kind).unwrap());
    })
    .await;
    for room in ["quiet:1", "admin:broadcast"] {
        let mut alice = member(&server, "alice", &[room]).await;
        let _bob = member(&server, "bob", &[room]).await;
        server.tell_presence(NOW).await;
        assert_eq!(told(&mut alice).await, [], "{room}");
        let path = format!("/presence?room={room}");
        server.api().get(&path).await.bad_field(422, "room", "NO_PRESENCE");
        assert_eq!(server.api().get(&format!("/rooms/{room}")).await.json(200)["online"], 0);
    }
}

#[tokio::test]
async fn a_status_is_told_whatever_it_is_called() {
    let server = TestServer::start().await;
    let mut clients = together(&server, "post:1", &["alice", "bob"]).await;
    for (name, arg, status) in [
        ("presence:update", json!("away"), "away"),
        ("presence:update", json!({ "status": "busy" }), "busy"),
        ("status:change", json!({ "status": "online" }), "online"),
        ("status:change", json!("away"), "away"),
        ("presence-update", json!({ "status": "busy" }), "busy"),
        ("presence:update", json!("offline"), "offline"),
    ] {
        let answer = clients[0].ask(name, arg).await;
        assert_eq!(answer, json!({ "ok": true, "status": status, "invisible": false }));
        let expected = format!("alice={status}");
        assert_eq!(statuses(&server, &mut clients[1], NOW).await, [expected], "{name}");
    }
}

#[tokio::test]
async fn what_was_changed_several_times_is_told_once() {
    let server = TestServer::start().await;
    let mut clients = together(&server, "post:1", &["alice", "bob"]).await;
    for status in ["away", "busy", "online", "away"] {
        clients[0].ask("presence:update", json!(status)).await;
    }
    assert_eq!(statuses(&server, &mut clients[1], NOW).await, ["alice=away"]);
    for status in ["busy", "away"] {
        clients[0].ask("presence:update", json!(status)).await;
    }
    assert_eq!(statuses(&server, &mut clients[1], NOW).await, [""; 0]);
}

#[tokio::test]
async fn details_are_told_and_metadata_is_for_who_asks() {
    let server = TestServer::start().await;
    let mut clients = together(&server, "post:1", &["alice", "bob"]).await;
    let update = json!({
        "status": "busy", "currentFeature": "board", "role": "architect", "device": "web",
        "metadata": { "color": "red" },
    });
    assert_eq!(clients[0].ask("presence:update", update).await["ok"], true);
    server.tell_presence(NOW).await;
    let body = clients[1].wait("presence:update").await;
    let entry = &body["users"][0];
    for (field, value) in [("currentFeature", "board"), ("role", "architect"), ("device", "web")] {
        assert_eq!(entry[field], value);
    }
    assert!(entry["metadata"].is_null());
    let answer = server.api().get("/presence?users=alice").await.json(200);
    assert_eq!(answer["users"][0]["metadata"], json!({ "color": "red" }));
    assert_eq!(answer["users"][0]["status"], "busy");
}

#[tokio::test]
async fn bad_updates_are_refused_by_field_and_the_connection_stays() {
    let server = TestServer::start().await;
    let mut clients = together(&server, "post:1", &["alice", "bob"]).await;
    let alice = &mut clients[0];
    let megabyte = "x".repeat(900_000);
    for (arg, code, field) in [
        (json!("sleeping"), "INVALID", "status: "),
        (json!({ "status": "sleeping" }), "INVALID", "status: "),
        (json!({ "metadata": { "a": "x".repeat(2_000) } }), "PAYLOAD_TOO_LARGE", "metadata: "),
        (json!({ "metadata": { "a": megabyte } }), "PAYLOAD_TOO_LARGE", "metadata: "),
        (json!({ "currentFeature": megabyte }), "PAYLOAD_TOO_LARGE", "currentFeature: "),
        (json!({ "currentFeature": "x".repeat(129) }), "PAYLOAD_TOO_LARGE", "currentFeature: "),
        (json!({ "device": "x".repeat(33) }), "PAYLOAD_TOO_LARGE", "device: "),
        (json!({ "metadata": "text" }), "INVALID", "metadata: "),
        (json!({ "invisible": "yes" }), "INVALID", "invisible: "),
        (json!({ "nonsense": 1 }), "INVALID", "nonsense"),
        (json!(5), "INVALID", "status"),
        (json!(null), "INVALID", "status"),
        (json!(["online"]), "INVALID", "status"),
    ] {
        let answer = alice.ask("presence:update", arg).await;
        let error = &answer["error"];
        assert_eq!((&answer["ok"], &error["code"]), (&json!(false), &json!(code)), "{field}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(field), "{field}: {message}");
    }
    let answer = alice.ask("presence:update", json!("sleeping")).await;
    for known in ["online", "away", "busy", "offline"] {
        assert!(answer["error"]["message"].as_str().unwrap().contains(known), "{answer}");
    }
    assert_eq!(statuses(&server, &mut clients[1], NOW).await, [""; 0]);
}

#[tokio::test]
async fn presence_changes_are_messages() {
    let server = TestServer::with(|config| config.limits.client_messages = 4).await;
    let mut alice = member(&server, "alice", &["post:1"]).await;
    let refused = async {
        while alice.ask("presence:update", json!("away")).await["ok"] == true {}
        alice.ask("presence:update", json!("busy")).await
    };
    assert_eq!(within(refused).await["error"]["code"], "RATE_LIMIT");
}

#[tokio::test]
async fn who_leaves_a_room_has_left_it_and_is_not_offline() {
    let server = TestServer::start().await;
    let mut clients = together(&server, "post:1", &["alice", "bob"]).await;
    clients[0].ask("room:leave", json!("post:1")).await;
    server.tell_presence(NOW).await;
    let events = told(&mut clients[1]).await;
    let expected = json!({ "room": "post:1", "online": 1, "users": [], "left": ["alice"] });
    assert_eq!(events, [("presence:update".to_owned(), expected)]);
    clients[1].ask("presence:update", json!("busy")).await;
    server.tell_presence(NOW).await;
    assert_eq!(told(&mut clients[0]).await, []);
}

#[tokio::test]
async fn large_rooms_get_counts_and_a_few_names() {
    let server = TestServer::with(|config| {
        config.presence.large_room = 4;
        config.presence.large_tick = config.presence.tick;
    })
    .await;
    let mut clients = Vec::new();
    for n in 0..6 {
        clients.push(member(&server, &format!("u{n}"), &["post:1"]).await);
    }
    server.tell_presence(NOW).await;
    let body = clients[0].wait("presence:update").await;
    assert_eq!(
        (&body["online"], &body["large"], &body["more"]),
        (&json!(6), &json!(true), &json!(false))
    );
    assert!(body["users"].is_null() && body["left"] == json!([]));
    assert_eq!(body["joined"].as_array().unwrap().len(), 6);
    assert_eq!(told(&mut clients[0]).await, [], "nobody is announced by name");
    let day = Duration::from_secs(25 * 3600);
    clients[5].ask("room:leave", json!("post:1")).await;
    clients[4].ask("presence:update", json!("busy")).await;
    server.tell_presence(NOW).await;
    assert_eq!(told(&mut clients[0]).await, [], "not before its time");
    server.tell_presence(day).await;
    let body = clients[0].wait("presence:update").await;
    assert_eq!(
        body,
        json!({ "room": "post:1", "online": 5, "large": true, "joined": [], "left": ["u5"], "more": false })
    );
    let view = server.api().get("/presence?room=post:1&limit=2").await.json(200);
    assert_eq!((&view["large"], &view["online"]), (&json!(true), &json!(5)));
}

#[tokio::test]
async fn plain_clients_say_and_hear_the_same_by_their_own_name() {
    let server = TestServer::start().await;
    let mut bob = together(&server, "post:1", &["bob"]).await.remove(0);
    server.api().put("/rooms/post:1/members/alice", &json!({})).await.json(200);
    let mut alice = Plain::open(&server, &format!("/ws?token={}", server.token("alice"))).await;
    alice.hear("notifications:pending").await;
    alice.say(json!({ "type": "subscribe", "room": "post:1", "requestId": 1 })).await;
    within(alice.hear("ack")).await;
    server.tell_presence(NOW).await;
    let first = within(alice.hear("presence-update")).await;
    assert_eq!((&first["online"], &first["full"]), (&json!(2), &json!(true)));
    alice.say(json!({ "type": "presence-update", "currentFeature": "ws", "status": "busy", "requestId": 2 })).await;
    assert_eq!(within(alice.hear("ack")).await["status"], "busy");
    bob.drain().await;
    server.tell_presence(NOW).await;
    let entry = &bob.wait("presence:update").await["users"][0];
    assert_eq!((&entry["status"], &entry["currentFeature"]), (&json!("busy"), &json!("ws")));
    bob.ask("presence:update", json!("away")).await;
    server.tell_presence(NOW).await;
    within(alice.hear("presence-update")).await;
    let heard = within(alice.hear("presence-update")).await;
    assert_eq!(
        (&heard["users"][0]["userId"], &heard["users"][0]["status"]),
        (&json!("bob"), &json!("away"))
    );
    let large = "x".repeat(900_000);
    alice
        .say(json!({ "type": "presence-update", "metadata": { "a": large }, "requestId": 3 }))
        .await;
    assert_eq!(within(alice.hear("ack")).await["error"]["code"], "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn who_asked_for_some_events_only_hears_of_presence_if_it_is_among_them() {
    let server = TestServer::start().await;
    let mut bob = member(&server, "bob", &["post:1"]).await;
    let mut deaf = member(&server, "deaf", &[]).await;
    let mut keen = member(&server, "keen", &[]).await;
    for (client, events) in [(&mut deaf, "said"), (&mut keen, "presence:*")] {
        let join = json!({ "room": "post:1", "events": [events] });
        assert_eq!(client.ask("room:join", join).await["ok"], true);
    }
    server.tell_presence(NOW).await;
    assert_eq!(told(&mut keen).await.len(), 3, "the room, and two who came with it");
    bob.ask("presence:update", json!("busy")).await;
    let _alice = member(&server, "alice", &["post:1"]).await;
    server.tell_presence(NOW).await;
    assert_eq!(told(&mut keen).await.len(), 2);
    drop(bob);
    has_connections(&server, "post:1", 3).await;
    server.tell_presence(AFTER).await;
    assert_eq!(told(&mut keen).await.len(), 2);
    assert_eq!(told(&mut deaf).await, []);
}
