//! What a client may ask on its socket, and how it is refused.

use serde_json::{Value, json};

use crate::support::{TestServer, claims, logged, sign};

#[tokio::test]
async fn sync_answers_like_the_api() {
    let server = TestServer::start().await;
    for n in 0..3 {
        server.api().notify("alice", &format!("n{n}")).await;
    }
    let mut alice = server.connect("alice").await;
    let mut answer = alice.ask("notifications:sync", json!({ "since": 1 })).await;
    assert_eq!(answer.as_object_mut().unwrap().remove("ok"), Some(json!(true)));
    let api = server.user("alice").get("/notifications/sync?since=1").await.json(200);
    assert_eq!(answer, api);
    let dated = json!({ "since": "2020-01-01T00:00:00Z" });
    let answer = alice.ask("notifications:sync", dated).await;
    assert_eq!(answer["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_heartbeat_is_answered_with_the_time() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    let answer = alice.ask("heartbeat", Value::Null).await;
    assert_eq!(answer["ok"], true);
    let time: tidings_core::time::Timestamp =
        answer["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(server.state.clock.now().since(time).as_secs() < 30);
}

#[tokio::test]
async fn bad_arguments_are_refused_by_field() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    for (command, arg, field) in [
        ("notification:read", json!(null), "id"),
        ("notification:read", json!({}), "id"),
        ("notification:read", json!({ "ids": [] }), "id"),
        ("notification:read", json!("not-a-uuid"), "id"),
        ("notification:read", json!({ "id": 5 }), "id"),
        (
            "notification:delete",
            json!({ "ids": vec!["01930000-0000-7000-8000-000000000000"; 1001] }),
            "ids",
        ),
        ("notification:ack", json!({ "upTo": -1 }), "upTo"),
        ("notification:ack", json!({ "upTo": "5" }), "upTo"),
        ("notification:ack", json!({}), "upTo"),
        ("notification:ack", json!({ "upto": 5 }), "upto"),
        ("notification:readAll", json!({ "upTo": 1.5 }), "upTo"),
        ("notifications:sync", json!({}), "since"),
        ("notifications:sync", json!({ "since": "yesterday" }), "since"),
        ("notifications:sync", json!({ "since": 1, "limit": 5 }), "limit"),
        ("room:join", json!(5), "room"),
    ] {
        let answer = alice.ask(command, arg.clone()).await;
        assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!("INVALID")));
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(field), "{command} {arg}: {message}");
    }
    assert!(alice.drain().await.is_empty());
}

#[tokio::test]
async fn events_that_nobody_knows_are_refused() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    for name in ["notification", "connected", "server:shutdown", "x", "", "notification:send"] {
        let answer = alice.ask(name, json!({})).await;
        assert_eq!(answer["error"]["code"], "UNKNOWN_EVENT", "{name}");
    }
}

#[tokio::test]
async fn without_an_acknowledgement_errors_come_as_an_event() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    alice.emit("nonsense", json!({})).await;
    let error = alice.wait("error").await;
    assert_eq!(error, json!({ "code": "UNKNOWN_EVENT", "message": "There is no such event" }));
    alice.emit("notification:ack", json!({ "upTo": true })).await;
    assert_eq!(alice.wait("error").await["code"], "INVALID");
    // What goes well says nothing.
    alice.emit("notification:ack", json!({ "upTo": 0 })).await;
    assert!(alice.drain().await.is_empty());
}

#[tokio::test]
async fn another_users_notification_is_not_found_and_logged() {
    let server = TestServer::start().await;
    let id = server.api().notify("alice", "for alice").await;
    let mut mallory = server.connect("mallory.socket").await;
    for command in ["read", "unread", "seen", "archive", "unarchive", "delete"] {
        let other = server.api().notify("alice", command).await;
        let answer = mallory.ask(&format!("notification:{command}"), json!({ "id": other })).await;
        assert_eq!(answer["error"]["code"], "NOT_FOUND", "{command}");
        let parts = ["event=notification.foreign", "user_id=mallory.socket", &other];
        assert!(logged(&parts), "{command}");
    }
    // One of several: what is there is done, the other is counted and logged.
    let own = server.api().notify("mallory.socket", "own").await;
    let answer = mallory.ask("notification:read", json!({ "ids": [own, id] })).await;
    assert_eq!((&answer["changed"], &answer["missing"]), (&json!(1), &json!(1)));
    assert!(logged(&["event=notification.foreign", "user_id=mallory.socket", &id]));
    // One that nobody has is a mistake, no attack.
    let nobodys = "01930000-0000-7000-8000-000000000000";
    let answer = mallory.ask("notification:read", json!(nobodys)).await;
    assert_eq!(answer["error"]["code"], "NOT_FOUND");
    assert!(!logged(&["event=notification.foreign", nobodys]));
    let list = server.user("alice").get("/notifications?unreadOnly=true").await.json(200);
    assert_eq!(list["notifications"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn another_users_room_is_forbidden_and_logged() {
    let server = TestServer::start().await;
    let mut mallory = server.connect("mallory.room").await;
    for command in ["room:join", "subscribe"] {
        for arg in [json!("user:alice"), json!({ "room": "user:alice" }), json!(["user:alice"])] {
            let answer = mallory.ask(command, arg).await;
            assert_eq!(answer["error"]["code"], "FORBIDDEN");
        }
    }
    assert!(logged(&["event=room.refused", "user_id=mallory.room", "room=user:alice"]));
    server.api().notify("alice", "secret").await;
    assert!(mallory.drain().await.is_empty());
    let own = mallory.ask("room:join", json!("user:mallory.room")).await;
    assert_eq!(own["ok"], true, "{own}");
}

#[tokio::test]
async fn claims_open_no_other_inbox() {
    let server = TestServer::start().await;
    let mut admin = claims("mallory.admin");
    admin["roles"] = json!(["admin"]);
    admin["rooms"] = json!(["*", "user:*"]);
    let mut client = crate::support::Client::open(server.address).await;
    client.join(json!({ "token": sign(&admin) })).await;
    let answer = client.ask("room:join", json!("user:alice")).await;
    assert_eq!(answer["error"]["code"], "FORBIDDEN");
}

#[tokio::test]
async fn the_101st_message_in_a_minute_is_refused() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    let mut refused = None;
    // A few more may pass while the first ones refill.
    for n in 0..110 {
        let answer = alice.ask("notifications:sync", json!({ "since": 0 })).await;
        if answer["ok"] == false {
            refused = Some((n, answer));
            break;
        }
    }
    let (n, answer) = refused.expect("a limit");
    assert!((100..=105).contains(&n), "{n}");
    let error = &answer["error"];
    assert_eq!(error["code"], "RATE_LIMIT");
    assert!(error["retryAfter"].as_u64().unwrap() >= 1, "{error}");
    alice.emit("notifications:sync", json!({ "since": 0 })).await;
    assert_eq!(alice.wait("error").await["code"], "RATE_LIMIT");
    // What keeps a connection healthy still passes; others have limits of their own.
    assert_eq!(alice.ask("heartbeat", Value::Null).await["ok"], true);
    assert_eq!(alice.ask("notification:ack", json!({ "upTo": 0 })).await["ok"], true);
    let mut other = server.connect("alice").await;
    assert_eq!(other.ask("notifications:sync", json!({ "since": 0 })).await["ok"], true);
}

#[tokio::test]
async fn heartbeats_and_acknowledgements_do_not_count_as_messages() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    for _ in 0..150 {
        assert_eq!(alice.ask("heartbeat", Value::Null).await["ok"], true);
        assert_eq!(alice.ask("notification:ack", json!({ "upTo": 0 })).await["ok"], true);
    }
    assert_eq!(alice.ask("notifications:sync", json!({ "since": 0 })).await["ok"], true);
}
