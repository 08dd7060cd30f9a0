//! Rooms: who may join, in every way of asking, and who may not.

use serde_json::{Value, json};
use tidings_core::{
    ids::UserId,
    room::{RoomKind, RoomName},
};

use crate::support::{Client, TestServer, claims, eventually, logged, sign};

/// A client of a user whose token says more.
pub async fn with_claims(server: &TestServer, user: &str, more: Value) -> Client {
    let mut claims = claims(user);
    for (name, value) in more.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    let mut client = Client::open(server.address).await;
    client.join(json!({ "token": sign(&claims) })).await;
    client.wait("notifications:pending").await;
    client.drain().await;
    client
}

pub async fn joins(client: &mut Client, room: &str) {
    let answer = client.ask("room:join", json!(room)).await;
    assert_eq!(answer, json!({ "ok": true, "rooms": [{ "room": room, "ok": true }] }));
    assert_eq!(client.wait("room:joined").await, json!({ "room": room }));
}

/// The reason that is given.
async fn is_refused(client: &mut Client, room: &str, code: &str) -> String {
    let answer = client.ask("room:join", json!(room)).await;
    assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!(code)), "{room}");
    let entry = &answer["rooms"][0];
    assert_eq!((&entry["room"], &entry["ok"]), (&json!(room), &json!(false)));
    assert_eq!(entry["error"]["code"], code);
    entry["error"]["message"].as_str().expect("a reason").to_owned()
}

/// Whether an event that is sent to this room now comes to a client.
async fn hears(server: &TestServer, client: &mut Client, room: &str) -> bool {
    let event = json!({ "type": "said", "data": { "to": room } });
    server.api().post(&format!("/rooms/{room}/events"), &event).await.json(202);
    client.drain().await.contains(&("said".to_owned(), json!({ "to": room })))
}

pub async fn add(server: &TestServer, room: &str, user: &str) {
    server.api().put(&format!("/rooms/{room}/members/{user}"), &json!({})).await.json(200);
}

fn kind(json: Value) -> RoomKind {
    serde_json::from_value(json).expect("a kind")
}

#[tokio::test]
async fn the_own_room_is_open_to_its_user_from_the_start_and_to_nobody_else() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    assert!(hears(&server, &mut alice, "user:alice").await);
    joins(&mut alice, "user:alice").await;
    let all = json!({ "rooms": ["*"], "roles": ["admin"], "groups": ["user:alice"] });
    let mut mallory = with_claims(&server, "mallory", all).await;
    let why = is_refused(&mut mallory, "user:alice", "FORBIDDEN").await;
    assert!(why.contains("another user"), "{why}");
    assert!(!hears(&server, &mut mallory, "user:alice").await);
    let answer = alice.ask("room:leave", json!("user:alice")).await;
    assert_eq!(answer["error"]["code"], "FORBIDDEN");
    assert!(hears(&server, &mut alice, "user:alice").await);
}

#[tokio::test]
async fn the_admin_room_is_open_to_a_role_and_to_nobody_else() {
    let server = TestServer::start().await;
    let mut admin = with_claims(&server, "admin", json!({ "roles": ["admin"] })).await;
    joins(&mut admin, "admin:broadcast").await;
    assert!(hears(&server, &mut admin, "admin:broadcast").await);
    let all = json!({ "rooms": ["*"], "groups": ["admin:broadcast"], "roles": ["user"] });
    let mut mallory = with_claims(&server, "mallory.role", all).await;
    let why = is_refused(&mut mallory, "admin:broadcast", "FORBIDDEN").await;
    assert!(why.contains("role"), "{why}");
    assert!(!hears(&server, &mut mallory, "admin:broadcast").await);
    let parts = ["event=room.refused", "user_id=mallory.role", "room=admin:broadcast", "ip=127."];
    assert!(logged(&parts));
}

#[tokio::test]
async fn groups_of_the_token_open_their_rooms() {
    let server = TestServer::start().await;
    let groups = json!({ "groups": ["7", "team:9", "project:2"] });
    let mut alice = with_claims(&server, "alice", groups).await;
    for room in ["group:7", "team:9", "project:2"] {
        joins(&mut alice, room).await;
        assert!(hears(&server, &mut alice, room).await, "{room}");
    }
    for room in ["group:8", "team:7", "project:9", "dm:9", "post:7"] {
        let why = is_refused(&mut alice, room, "FORBIDDEN").await;
        assert!(why.contains("not a member"), "{why}");
        assert!(!hears(&server, &mut alice, room).await, "{room}");
    }
}

#[tokio::test]
async fn globs_of_the_token_open_what_they_match() {
    let server = TestServer::start().await;
    let rooms = json!({ "rooms": ["task:1*", "dm:5"] });
    let mut alice = with_claims(&server, "alice", rooms).await;
    joins(&mut alice, "task:12").await;
    joins(&mut alice, "dm:5").await;
    is_refused(&mut alice, "task:2", "FORBIDDEN").await;
    is_refused(&mut alice, "dm:55", "FORBIDDEN").await;
}

#[tokio::test]
async fn stored_memberships_open_rooms_and_strangers_stay_out() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    let mut mallory = server.connect("mallory.member").await;
    for kind in ["group", "post", "thread", "task", "dm", "project", "team"] {
        let room = format!("{kind}:1");
        is_refused(&mut alice, &room, "FORBIDDEN").await;
        add(&server, &room, "alice").await;
        joins(&mut alice, &room).await;
        assert!(hears(&server, &mut alice, &room).await, "{room}");
        is_refused(&mut mallory, &room, "FORBIDDEN").await;
        assert!(!hears(&server, &mut mallory, &room).await, "{room}");
        assert!(logged(&["event=room.refused", "user_id=mallory.member", &room, "ip=127."]));
    }
}

#[tokio::test]
async fn kinds_are_declared_and_replaced_by_the_configuration() {
    let server = TestServer::with(|config| {
        config.rooms.insert("post".into(), kind(json!({ "rule": "everyone" })));
        config.rooms.insert("desk".into(), kind(json!({ "rule": { "role": "staff" } })));
        config.rooms.insert("drawer".into(), kind(json!({ "rule": "own" })));
    })
    .await;
    let mut alice = with_claims(&server, "alice", json!({ "roles": ["staff"] })).await;
    let mut bob = server.connect("bob").await;
    joins(&mut alice, "post:1").await;
    joins(&mut bob, "post:1").await;
    joins(&mut alice, "desk:1").await;
    is_refused(&mut bob, "desk:1", "FORBIDDEN").await;
    joins(&mut bob, "drawer:bob").await;
    is_refused(&mut alice, "drawer:bob", "FORBIDDEN").await;
    is_refused(&mut bob, "task:1", "FORBIDDEN").await;
}

#[tokio::test]
async fn names_that_are_none_are_refused_and_the_connection_stays() {
    let server = TestServer::start().await;
    let mut alice = with_claims(&server, "alice", json!({ "rooms": ["*"] })).await;
    let long = format!("post:{}", "x".repeat(1_000));
    for bad in
        ["", "post", "post:", ":1", "post:*", "post:a b", "post:../etc", "post:1/2", "post:é"]
    {
        is_refused(&mut alice, bad, "INVALID_ROOM").await;
    }
    let answer = alice.ask("room:join", json!(long)).await;
    assert_eq!(answer["error"]["code"], "INVALID_ROOM");
    assert_eq!(answer["rooms"][0]["room"], long[..128]);
    is_refused(&mut alice, "nonsense:1", "UNKNOWN_KIND").await;
    for odd in [json!(null), json!({}), json!([]), json!({ "romo": "post:1" }), json!([1])] {
        assert_eq!(alice.ask("room:join", odd.clone()).await["error"]["code"], "INVALID", "{odd}");
    }
    joins(&mut alice, "post:1").await;
}

#[tokio::test]
async fn every_name_of_joining_and_leaving_does_the_same() {
    let server = TestServer::start().await;
    let mut alice = with_claims(&server, "alice", json!({ "rooms": ["*"] })).await;
    for (join, leave) in [("room:join", "room:leave"), ("subscribe", "unsubscribe")] {
        for (arg, rooms) in [
            (json!("post:1"), vec!["post:1"]),
            (json!({ "room": "post:1" }), vec!["post:1"]),
            (json!(["post:1", "post:2"]), vec!["post:1", "post:2"]),
            (json!({ "rooms": ["post:1", "post:2"] }), vec!["post:1", "post:2"]),
        ] {
            let each: Vec<_> = rooms.iter().map(|r| json!({ "room": r, "ok": true })).collect();
            let expected = json!({ "ok": true, "rooms": each });
            assert_eq!(alice.ask(join, arg.clone()).await, expected, "{join} {arg}");
            for room in &rooms {
                assert_eq!(alice.wait("room:joined").await, json!({ "room": room }));
            }
            for room in &rooms {
                assert!(hears(&server, &mut alice, room).await, "{join} {arg}");
            }
            assert_eq!(alice.ask(leave, arg.clone()).await, expected, "{leave} {arg}");
            for room in &rooms {
                assert_eq!(alice.wait("room:left").await, json!({ "room": room }));
            }
            for room in &rooms {
                assert!(!hears(&server, &mut alice, room).await, "{leave} {arg}");
            }
        }
    }
    for arg in [json!("5"), json!({ "id": "5" }), json!({ "threadId": "5" })] {
        assert_eq!(alice.ask("subscribe:thread", arg.clone()).await["ok"], true);
        assert!(hears(&server, &mut alice, "thread:5").await, "{arg}");
        assert_eq!(alice.ask("unsubscribe:thread", arg.clone()).await["ok"], true);
        assert!(!hears(&server, &mut alice, "thread:5").await, "{arg}");
    }
}

#[tokio::test]
async fn each_room_of_several_is_answered_for_itself() {
    let server = TestServer::start().await;
    add(&server, "post:2", "alice").await;
    let mut alice = with_claims(&server, "alice", json!({ "rooms": ["post:4"] })).await;
    let rooms = json!(["post:1", "post:2", "x", "post:4", "post:2"]);
    let answer = alice.ask("subscribe", rooms).await;
    let codes: Vec<_> =
        answer["rooms"].as_array().unwrap().iter().map(|r| r["error"]["code"].as_str()).collect();
    assert_eq!(codes, [Some("FORBIDDEN"), None, Some("INVALID_ROOM"), None, None]);
    assert_eq!((&answer["ok"], &answer["error"]["room"]), (&json!(false), &json!("post:1")));
    alice.drain().await;
    assert!(hears(&server, &mut alice, "post:2").await);
    assert!(hears(&server, &mut alice, "post:4").await);
    // Joined twice is joined once.
    alice.ask("unsubscribe", json!("post:2")).await;
    assert!(!hears(&server, &mut alice, "post:2").await);
}

#[tokio::test]
async fn without_an_acknowledgement_a_refusal_comes_as_an_event() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    alice.emit("room:join", json!("post:1")).await;
    let error = alice.wait("error").await;
    assert_eq!((&error["code"], &error["room"]), (&json!("FORBIDDEN"), &json!("post:1")));
}

#[tokio::test]
async fn a_connection_is_in_128_rooms_and_no_more() {
    let server = TestServer::start().await;
    let mut alice = with_claims(&server, "alice", json!({ "rooms": ["*"] })).await;
    let mut many: Vec<_> = (0..10_000).map(|n| format!("post:{n}")).collect();
    let answer = alice.ask("room:join", json!(many)).await;
    assert_eq!(answer["error"]["code"], "TOO_MANY_ROOMS");
    many.truncate(1_000);
    let answer = alice.ask("room:join", json!(many)).await;
    let rooms = answer["rooms"].as_array().unwrap();
    assert_eq!(rooms.len(), 1_000);
    assert_eq!(rooms.iter().filter(|room| room["ok"] == true).count(), 128);
    assert_eq!(rooms[128]["error"]["code"], "TOO_MANY_ROOMS");
    is_refused(&mut alice, "post:128", "TOO_MANY_ROOMS").await;
    assert_eq!(alice.ask("room:join", json!("post:5")).await["ok"], true);
    alice.ask("room:leave", json!("post:5")).await;
    assert_eq!(alice.ask("room:join", json!("post:128")).await["ok"], true);
}

#[tokio::test]
async fn a_room_holds_as_many_users_as_its_kind_allows() {
    let server = TestServer::start().await;
    let token = json!({ "rooms": ["dm:1"] });
    let mut here = Vec::new();
    for n in 0..10 {
        let mut user = with_claims(&server, &format!("u{n}"), token.clone()).await;
        joins(&mut user, "dm:1").await;
        here.push(user);
    }
    // Another device of somebody who is in takes no place.
    let mut second = with_claims(&server, "u0", token.clone()).await;
    joins(&mut second, "dm:1").await;
    let mut late = with_claims(&server, "late", token).await;
    is_refused(&mut late, "dm:1", "ROOM_FULL").await;
    here[5].ask("room:leave", json!("dm:1")).await;
    joins(&mut late, "dm:1").await;
    let room = server.api().get("/rooms/dm:1").await.json(200);
    let expected = json!({
        "room": "dm:1", "kind": "dm", "maxMembers": 10, "users": 10, "connections": 11,
        // Rooms are told who is there from time to time, and here not yet.
        "online": 0, "onlineUsers": []
    });
    assert_eq!(room, expected);
}

#[tokio::test]
async fn who_has_gone_is_in_no_room() {
    let server = TestServer::start().await;
    let mut alice = with_claims(&server, "alice", json!({ "rooms": ["*"] })).await;
    joins(&mut alice, "post:1").await;
    drop(alice);
    let room = RoomName::parse("post:1").unwrap();
    eventually(|| async {
        let presence = server.state.rooms.presence(&room);
        (presence.users, presence.connections) == (0, 0)
    })
    .await;
}

#[tokio::test]
async fn a_lost_membership_ends_at_once_what_nothing_else_allows() {
    let server = TestServer::start().await;
    for user in ["alice", "bob", "carol"] {
        add(&server, "task:1", user).await;
    }
    let mut phone = server.connect("alice").await;
    let mut laptop = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    let mut carol = with_claims(&server, "carol", json!({ "rooms": ["task:*"] })).await;
    for client in [&mut phone, &mut laptop, &mut bob, &mut carol] {
        joins(client, "task:1").await;
    }
    let users = json!({ "users": ["alice", "carol", "nobody"] });
    let answer = server.api().send("DELETE", "/rooms/task:1/members", &users).await.json(200);
    assert_eq!(answer, json!({ "room": "task:1", "removed": 2 }));
    let left = json!({ "room": "task:1", "reason": "membership" });
    assert_eq!(phone.wait("room:left").await, left);
    assert_eq!(laptop.wait("room:left").await, left);
    assert!(!hears(&server, &mut phone, "task:1").await);
    assert!(!hears(&server, &mut laptop, "task:1").await);
    assert!(hears(&server, &mut bob, "task:1").await);
    // The token lets her in, too.
    assert!(hears(&server, &mut carol, "task:1").await);
    is_refused(&mut phone, "task:1", "FORBIDDEN").await;
    add(&server, "task:1", "alice").await;
    joins(&mut phone, "task:1").await;
}

#[tokio::test]
async fn memberships_are_looked_at_again_though_nobody_said_a_word() {
    let server = TestServer::start().await;
    add(&server, "post:1", "alice").await;
    let mut alice = server.connect("alice").await;
    joins(&mut alice, "post:1").await;
    let room = RoomName::parse("post:1").unwrap();
    let users = [UserId::new("alice").unwrap()];
    server.state.store.remove_members(room.id(), &users).await.unwrap();
    assert!(hears(&server, &mut alice, "post:1").await);
    tidings_server::workers::look_at_memberships(server.state.clone()).await.unwrap();
    let left = json!({ "room": "post:1", "reason": "membership" });
    assert_eq!(alice.wait("room:left").await, left);
    assert!(!hears(&server, &mut alice, "post:1").await);
}

#[tokio::test]
async fn a_renewed_token_is_decided_about_again() {
    let server = TestServer::start().await;
    add(&server, "post:2", "alice").await;
    let both = json!({ "rooms": ["post:*"], "roles": ["admin"] });
    let mut alice = with_claims(&server, "alice", both).await;
    for room in ["post:1", "post:2", "admin:broadcast"] {
        joins(&mut alice, room).await;
    }
    let answer = alice.ask("auth:refresh", json!({ "token": server.token("alice") })).await;
    assert_eq!(answer["ok"], true);
    for _ in 0..2 {
        assert_eq!(alice.wait("room:left").await["reason"], "token");
    }
    assert!(!hears(&server, &mut alice, "post:1").await);
    assert!(!hears(&server, &mut alice, "admin:broadcast").await);
    assert!(hears(&server, &mut alice, "post:2").await);
    assert!(hears(&server, &mut alice, "user:alice").await);
}

#[tokio::test]
async fn clients_speak_where_they_are_and_may() {
    let server = TestServer::with(|config| {
        let chat = kind(json!({ "rule": "everyone", "clients_may_send": true }));
        config.rooms.insert("chat".into(), chat);
    })
    .await;
    let speaker = json!({ "permissions": ["rooms:send"], "rooms": ["*"] });
    let mut alice = with_claims(&server, "alice", speaker).await;
    let mut bob = with_claims(&server, "bob", json!({ "rooms": ["*"] })).await;
    let message = json!({ "room": "post:1", "data": { "n": 1.50, "text": "hi" } });
    let answer = alice.ask("room:message", message.clone()).await;
    assert_eq!(answer["error"]["code"], "NOT_IN_ROOM");
    for client in [&mut alice, &mut bob] {
        joins(client, "post:1").await;
        joins(client, "chat:1").await;
    }
    assert_eq!(alice.ask("room:message", message.clone()).await["ok"], true);
    let heard = bob.wait("room:message").await;
    assert_eq!((&heard["room"], &heard["from"]), (&json!("post:1"), &json!("alice")));
    assert_eq!(heard["data"], message["data"]);
    assert!(heard["timestamp"].is_string());
    // The speaker does not hear it again.
    assert!(alice.drain().await.is_empty());
    assert_eq!(bob.ask("room:message", message).await["error"]["code"], "FORBIDDEN");
    let chat = json!({ "room": "chat:1", "data": "hello" });
    assert_eq!(bob.ask("room:message", chat).await["ok"], true);
    assert_eq!(alice.wait("room:message").await["data"], "hello");
    let large = json!({ "room": "chat:1", "data": "x".repeat(70_000) });
    assert_eq!(bob.ask("room:message", large).await["error"]["code"], "PAYLOAD_TOO_LARGE");
    for odd in [json!(null), json!({}), json!({ "room": "chat:1" }), json!({ "data": 1 })] {
        assert_eq!(bob.ask("room:message", odd).await["error"]["code"], "INVALID");
    }
}
