//! Plain WebSocket clients: the same inbox, as JSON objects.

use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::json;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

use crate::support::{Plain, TestServer, claims, now_secs, sign, within};

#[tokio::test]
async fn the_first_message_may_bring_the_token() {
    let server = TestServer::start().await;
    server.api().notify("alice", "before").await;
    let mut alice = Plain::open(&server, "/ws").await;
    alice.say(json!({ "type": "auth", "token": server.token("alice") })).await;
    let connected = alice.hear("connected").await;
    assert_eq!((&connected["userId"], &connected["unread"]), (&json!("alice"), &json!(1)));
    let pending = alice.hear("notifications:pending").await;
    assert_eq!(pending["notifications"][0]["message"], "before");
    let id = server.api().notify("alice", "now").await;
    // The type of a message is its event's name; the notification's own stands inside.
    let notification = &alice.hear("notification").await["notification"];
    assert_eq!((&notification["id"], &notification["message"]), (&json!(id), &json!("now")));
    assert_eq!(notification["type"], "like");
    assert_eq!(alice.hear("notification:count").await["unread"], 2);
}

#[tokio::test]
async fn header_and_query_bring_it_too_and_an_upgrade_of_the_root_leads_here() {
    let server = TestServer::start().await;
    let token = server.token("alice");
    let mut alice = Plain::open(&server, &format!("/ws?token={token}")).await;
    assert_eq!(alice.hear("connected").await["userId"], "alice");
    let mut alice = Plain::open(&server, &format!("/?token={token}")).await;
    assert_eq!(alice.hear("connected").await["userId"], "alice");
    let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let (socket, _) = within(connect_async(request)).await.unwrap();
    let mut alice = Plain(socket);
    alice.hear("welcome").await;
    assert_eq!(alice.next().await.unwrap()["type"], "connected");
}

#[tokio::test]
async fn commands_are_answered_by_their_request_id() {
    let server = TestServer::start().await;
    let id = server.api().notify("alice", "hello").await;
    let mut alice = Plain::open(&server, "/ws").await;
    alice.say(json!({ "type": "auth", "token": server.token("alice") })).await;
    alice.hear("notifications:pending").await;
    alice.say(json!({ "type": "notification:read", "id": id, "requestId": 7 })).await;
    let ack = alice.hear("ack").await;
    assert_eq!(
        (&ack["requestId"], &ack["ok"], &ack["unread"]),
        (&json!(7), &json!(true), &json!(0))
    );
    alice.say(json!({ "type": "heartbeat", "requestId": "h" })).await;
    assert_eq!(alice.hear("ack").await["requestId"], "h");
    alice.say(json!({ "type": "notification:read", "id": "x", "requestId": 8 })).await;
    let ack = alice.hear("ack").await;
    assert_eq!((&ack["ok"], &ack["error"]["code"]), (&json!(false), &json!("INVALID")));
    alice.say(json!({ "type": "nonsense" })).await;
    assert_eq!(alice.hear("error").await["code"], "UNKNOWN_EVENT");
}

#[tokio::test]
async fn who_proves_nothing_is_closed_with_4401() {
    let server = TestServer::with(|config| {
        config.gateway.auth_timeout = Duration::from_millis(50);
    })
    .await;
    let mut silent = Plain::open(&server, "/ws").await;
    assert_eq!(silent.end().await, 4401);
    let server = TestServer::start().await;
    let expired = json!({ "sub": "alice", "exp": now_secs() - 60 });
    for (first, code) in [
        (json!({ "type": "heartbeat" }), "AUTH_FAILED"),
        (json!({ "type": "auth", "token": "forged" }), "AUTH_FAILED"),
        (json!({ "type": "auth", "token": sign(&expired) }), "TOKEN_EXPIRED"),
        (json!({ "type": "auth" }), "AUTH_FAILED"),
    ] {
        let mut stranger = Plain::open(&server, "/ws").await;
        stranger.say(first).await;
        assert_eq!(stranger.hear("error").await["code"], code);
        assert_eq!(stranger.end().await, 4401);
    }
    let url = format!("ws://{}/ws?token={}", server.address, sign(&expired));
    match within(connect_async(url)).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 401),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_of_the_wrong_kind_are_errors_and_the_connection_stays() {
    let server = TestServer::start().await;
    let mut alice = Plain::open(&server, "/ws").await;
    alice.say(json!({ "type": "auth", "token": sign(&claims("alice")) })).await;
    alice.hear("notifications:pending").await;
    for bad in ["[]", "7", "{}", "{\"type\":7}", "not json"] {
        alice.0.send(Message::text(bad)).await.unwrap();
        assert_eq!(alice.hear("error").await["code"], "INVALID", "{bad}");
    }
    alice.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(alice.hear("error").await["code"], "INVALID");
    alice.say(json!({ "type": "heartbeat", "requestId": 1 })).await;
    assert_eq!(alice.hear("ack").await["ok"], true);
}

#[tokio::test]
async fn devices_of_both_kinds_count_together_and_hear_each_other() {
    let server = TestServer::with(|config| config.limits.connections_per_user = 2).await;
    let mut oldest = Plain::open(&server, "/ws").await;
    oldest.say(json!({ "type": "auth", "token": server.token("alice") })).await;
    oldest.hear("notifications:pending").await;
    let mut other = server.connect("alice").await;
    let id = server.api().notify("alice", "hello").await;
    other.wait("notification").await;
    oldest.hear("notification").await;
    oldest.say(json!({ "type": "notification:read", "id": id })).await;
    assert_eq!(other.wait("notification:updated").await["items"][0]["read"], true);
    let _third = server.connect("alice").await;
    assert_eq!(oldest.hear("error").await["code"], "CONNECTION_LIMIT");
    assert_eq!(oldest.end().await, 4409);
}
