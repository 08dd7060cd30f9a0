//! Typing: who is told, how often, and how it ends.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    presence::{member, together},
    support::{Client, Plain, TestServer, within},
};

/// Names and users of what a client was told about typing by now.
async fn told(client: &mut Client) -> Vec<String> {
    let events = client.drain().await;
    let typing = events.iter().filter(|(name, _)| name.starts_with("user:"));
    typing.map(|(name, body)| format!("{name} {}", body["userId"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn the_others_are_told_once_and_again_when_it_stops() {
    let server = TestServer::start().await;
    let mut clients = together(&server, "post:1", &["alice", "bob"]).await;
    let mut tablet = member(&server, "alice", &["post:1"]).await;
    tablet.drain().await;
    for arg in [json!("post:1"), json!({ "room": "post:1" })] {
        let answer = clients[0].ask("typing:start", arg.clone()).await;
        assert_eq!((&answer["ok"], &answer["shown"]), (&json!(true), &json!(true)));
        let body = within(clients[1].wait("user:typing")).await;
        assert_eq!((&body["room"], &body["userId"]), (&json!("post:1"), &json!("alice")));
        assert!(body["timestamp"].is_string());
        for _ in 0..3 {
            assert_eq!(clients[0].ask("typing:start", arg.clone()).await["ok"], true);
        }
        assert_eq!(told(&mut clients[1]).await, [""; 0], "that it goes on is not told");
        assert_eq!(clients[0].ask("typing:stop", arg.clone()).await["ok"], true);
        let body = within(clients[1].wait("user:stopped-typing")).await;
        assert_eq!((&body["room"], &body["userId"]), (&json!("post:1"), &json!("alice")));
        assert_eq!(clients[0].ask("typing:stop", arg).await["ok"], true);
        assert_eq!(told(&mut clients[1]).await, [""; 0]);
        assert_eq!(told(&mut clients[0]).await, [""; 0]);
        assert_eq!(told(&mut tablet).await, [""; 0], "the own devices need not be told");
    }
}

#[tokio::test]
async fn it_ends_by_itself_unless_it_is_said_again() {
    let server = TestServer::start().await;
    let mut clients = together(&server, "post:1", &["alice", "bob"]).await;
    clients[0].ask("typing:start", json!("post:1")).await;
    assert_eq!(told(&mut clients[1]).await, ["user:typing alice"]);
    server.tell_presence(Duration::from_secs(30)).await;
    assert_eq!(told(&mut clients[1]).await, [""; 0]);
    server.tell_presence(Duration::from_secs(61)).await;
    assert_eq!(told(&mut clients[1]).await, ["user:stopped-typing alice"]);
    clients[0].ask("typing:start", json!("post:1")).await;
    assert_eq!(told(&mut clients[1]).await, ["user:typing alice"]);
}

#[tokio::test]
async fn the_clock_ends_it_too() {
    let server = TestServer::with(|config| {
        config.presence.tick = Duration::from_millis(10);
        config.presence.typing = Duration::from_millis(100);
    })
    .await;
    let mut alice = member(&server, "alice", &["post:1"]).await;
    let mut bob = member(&server, "bob", &["post:1"]).await;
    alice.ask("typing:start", json!("post:1")).await;
    within(bob.wait("user:typing")).await;
    within(bob.wait("user:stopped-typing")).await;
}

#[tokio::test]
async fn leaving_the_room_or_going_away_ends_it() {
    let server = TestServer::start().await;
    let mut clients = together(&server, "post:1", &["alice", "bob", "carol"]).await;
    clients[0].ask("typing:start", json!("post:1")).await;
    clients[2].ask("typing:start", json!("post:1")).await;
    assert_eq!(told(&mut clients[1]).await, ["user:typing alice", "user:typing carol"]);
    clients[0].ask("room:leave", json!("post:1")).await;
    server.tell_presence(Duration::ZERO).await;
    assert_eq!(told(&mut clients[1]).await, ["user:stopped-typing alice"]);
    drop(clients.remove(2));
    let stopped = async {
        loop {
            server.tell_presence(Duration::ZERO).await;
            if told(&mut clients[1]).await == ["user:stopped-typing carol"] {
                return;
            }
        }
    };
    within(stopped).await;
}

#[tokio::test]
async fn who_is_not_in_the_room_is_refused_and_heard_by_nobody() {
    let server = TestServer::start().await;
    let mut bob = together(&server, "post:1", &["bob"]).await.remove(0);
    let mut mallory = member(&server, "mallory", &["admin:broadcast"]).await;
    for (room, code) in [
        (json!("post:1"), "NOT_IN_ROOM"),
        (json!("post:9"), "NOT_IN_ROOM"),
        (json!("user:mallory"), "NOT_IN_ROOM"),
        (json!("post:*"), "INVALID_ROOM"),
        (json!("x".repeat(1_000)), "INVALID_ROOM"),
        (json!("admin:broadcast"), "FORBIDDEN"),
        (json!(5), "INVALID"),
        (Value::Null, "INVALID"),
        (json!({ "romo": "post:1" }), "INVALID"),
    ] {
        for command in ["typing:start", "typing:stop"] {
            let answer = mallory.ask(command, room.clone()).await;
            assert_eq!(answer["error"]["code"], code, "{command} {room}");
        }
    }
    assert_eq!(told(&mut bob).await, [""; 0]);
}

#[tokio::test]
async fn it_does_not_give_away_who_is_invisible_nor_disturb_a_crowd() {
    let server = TestServer::with(|config| config.presence.large_room = 4).await;
    let mut clients = together(&server, "post:1", &["alice", "bob"]).await;
    clients[0].ask("presence:update", json!({ "invisible": true })).await;
    let answer = clients[0].ask("typing:start", json!("post:1")).await;
    assert_eq!(answer, json!({ "ok": true, "shown": false }));
    assert_eq!(told(&mut clients[1]).await, [""; 0]);
    let mut crowd = together(&server, "post:2", &["a", "b", "c", "d", "e"]).await;
    let answer = crowd[0].ask("typing:start", json!("post:2")).await;
    assert_eq!(answer, json!({ "ok": true, "shown": false }));
    assert_eq!(told(&mut crowd[1]).await, [""; 0]);
}

#[tokio::test]
async fn it_is_no_message_but_bounded() {
    let server = TestServer::with(|config| config.limits.client_messages = 12).await;
    let rooms: Vec<String> = (0..9).map(|n| format!("post:{n}")).collect();
    let names: Vec<&str> = rooms.iter().map(String::as_str).collect();
    let mut alice = member(&server, "alice", &names).await;
    for room in &rooms[..8] {
        assert_eq!(alice.ask("typing:start", json!(room)).await["shown"], true);
    }
    let answer = alice.ask("typing:start", json!(rooms[8])).await;
    assert_eq!(answer["error"]["code"], "TOO_MANY_ROOMS");
    let refused = async {
        loop {
            let answer = alice.ask("typing:start", json!("post:1")).await;
            if answer["ok"] == false {
                return answer;
            }
        }
    };
    let answer = within(refused).await;
    assert_eq!(answer["error"]["code"], "RATE_LIMIT");
    assert!(answer["error"]["retryAfter"].is_u64());
    assert_eq!(alice.ask("room:leave", json!("post:1")).await["ok"], true, "a message of twelve");
}

#[tokio::test]
async fn plain_clients_type_and_are_told_as_well() {
    let server = TestServer::start().await;
    let mut bob = together(&server, "post:1", &["bob"]).await.remove(0);
    server.api().put("/rooms/post:1/members/alice", &json!({})).await.json(200);
    let mut alice = Plain::open(&server, &format!("/ws?token={}", server.token("alice"))).await;
    alice.hear("notifications:pending").await;
    for kind in ["subscribe", "typing:start"] {
        alice.say(json!({ "type": kind, "room": "post:1", "requestId": 1 })).await;
        assert_eq!(within(alice.hear("ack")).await["ok"], true);
    }
    assert_eq!(told(&mut bob).await, ["user:typing alice"]);
    bob.ask("typing:start", json!("post:1")).await;
    assert_eq!(within(alice.hear("user:typing")).await["userId"], "bob");
    bob.ask("typing:stop", json!("post:1")).await;
    assert_eq!(within(alice.hear("user:stopped-typing")).await["userId"], "bob");
}
