//! The bus carries hints: losing them costs time, never a notification.

use std::sync::Arc;

use serde_json::json;
use tidings_server::server::Parts;

use crate::support::{LossyBus, TestServer, eventually, hears_the_same_on, told};

async fn server(bus: &LossyBus) -> TestServer {
    let parts = Parts { bus: Some(bus.join()), ..Parts::default() };
    TestServer::with_parts(|_| {}, parts).await
}

/// A second node of the same cluster: the same store, the same bus.
async fn second_node(first: &TestServer, bus: &LossyBus) -> TestServer {
    let store = Some(Arc::clone(&first.state.store));
    TestServer::with_parts(|_| {}, Parts { store, bus: Some(bus.join()), ..Parts::default() }).await
}

#[tokio::test]
async fn a_lost_hint_is_made_good_when_the_next_one_comes() {
    let bus = LossyBus::default();
    let server = server(&bus).await;
    let mut phone = server.connect("alice").await;
    let mut laptop = server.connect("alice").await;
    let api = server.api();
    api.notify("alice", "heard").await;
    assert_eq!(told(&mut phone, 1).await, [1]);
    bus.lose(true);
    api.notify("alice", "lost").await;
    api.notify("alice", "lost").await;
    eventually(|| async { bus.lost() == 2 }).await;
    assert!(phone.drain().await.iter().all(|(name, _)| name != "notification"));
    bus.lose(false);
    api.notify("alice", "heard").await;
    assert_eq!(told(&mut phone, 4).await, [2, 3, 4]);
    assert_eq!(told(&mut laptop, 4).await, [1, 2, 3, 4]);
    // And then it goes on live.
    api.notify("alice", "heard").await;
    assert_eq!(phone.wait("notification").await["seq"], 5);
}

#[tokio::test]
async fn a_lost_read_is_made_good_too() {
    let bus = LossyBus::default();
    let server = server(&bus).await;
    let id = server.api().notify("alice", "x").await;
    let mut phone = server.connect("alice").await;
    bus.lose(true);
    server.user("alice").patch(&format!("/notifications/{id}/read")).await.json(200);
    eventually(|| async { bus.lost() == 1 }).await;
    bus.lose(false);
    server.api().notify("alice", "y").await;
    let pending = phone.wait("notifications:pending").await;
    let list = pending["notifications"].as_array().unwrap();
    assert_eq!((&list[0]["id"], &list[0]["read"]), (&json!(id), &json!(true)));
    assert_eq!((&pending["unread"], &pending["to"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn a_client_that_comes_back_after_a_loss_misses_nothing() {
    let bus = LossyBus::default();
    let server = server(&bus).await;
    bus.lose(true);
    let mut phone = server.connect("alice").await;
    for _ in 0..3 {
        server.api().notify("alice", "lost").await;
    }
    assert!(phone.drain().await.is_empty());
    drop(phone);
    let mut phone = server.connect_with("alice", json!({ "since": 0 })).await;
    assert_eq!(told(&mut phone, 3).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_user_on_two_nodes_hears_everything_on_both() {
    let bus = LossyBus::default();
    let here = server(&bus).await;
    let there = second_node(&here, &bus).await;
    hears_the_same_on(&here, &there).await;
}

#[tokio::test]
async fn an_announcement_by_one_node_reaches_the_users_of_the_other() {
    let bus = LossyBus::default();
    let here = server(&bus).await;
    let there = second_node(&here, &bus).await;
    let mut alice = here.connect("alice").await;
    let mut bob = there.connect("bob").await;
    let body = json!({ "to": { "all": true }, "type": "system", "message": "to all" });
    let sent = there.api().post("/notifications", &body).await.json(202);
    assert_eq!(alice.wait("notification").await["id"], sent["id"]);
    assert_eq!(bob.wait("notification").await["id"], sent["id"]);
}

#[tokio::test]
async fn a_node_that_goes_leaves_the_other_serving() {
    let bus = LossyBus::default();
    let here = server(&bus).await;
    let there = second_node(&here, &bus).await;
    let mut alice = there.connect("alice").await;
    there.api().notify("alice", "one").await;
    alice.wait("notification").await;
    there.stop().await;
    let mut alice = here.connect_with("alice", json!({ "since": 1 })).await;
    here.api().notify("alice", "two").await;
    assert_eq!(told(&mut alice, 2).await, [2]);
}
