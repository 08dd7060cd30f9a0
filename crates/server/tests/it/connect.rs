//! What a client hears when it connects, and how many may.

use serde_json::{Value, json};
use tidings_core::time::Timestamp;

use crate::support::{Client, Packet, TestServer, eventually};

async fn fill(server: &TestServer, to: &str, count: usize) {
    let entries = |n: usize| json!({ "to": to, "type": "like", "message": format!("n{n}") });
    let body: Vec<_> = (0..count).map(entries).collect();
    server.api().post("/notifications", &json!(body)).await.json(201);
}

fn seqs(pending: &Value) -> Vec<u64> {
    let list = pending["notifications"].as_array().expect("a list");
    list.iter().map(|n| n["seq"].as_u64().expect("a number")).collect()
}

/// The pending ones of a client that says this about itself.
async fn pending(server: &TestServer, auth: Value) -> Value {
    let mut client = server.connect_with("alice", auth).await;
    client.wait("notifications:pending").await
}

#[tokio::test]
async fn an_empty_inbox_is_said_to_be_empty() {
    let server = TestServer::start().await;
    let mut alice = server.connect_with("alice", json!({})).await;
    let (name, mut body) = alice.event().await;
    assert_eq!(name, "connected");
    assert!(body["socketId"].take().as_str().unwrap().len() >= 16);
    let expected =
        json!({ "socketId": null, "userId": "alice", "rev": 0, "unread": 0, "recovered": false });
    assert_eq!(body, expected);
    let (name, body) = alice.event().await;
    assert_eq!(name, "notifications:pending");
    let expected = json!({
        "notifications": [], "removed": [], "readUpTo": 0, "unread": 0, "to": 0,
        "hasMore": false, "reset": false,
    });
    assert_eq!(body, expected);
    assert!(alice.drain().await.is_empty());
}

#[tokio::test]
async fn what_came_while_offline_is_pending() {
    let server = TestServer::start().await;
    let id = server.api().notify("alice", "while away").await;
    let mut alice = server.connect_with("alice", json!({})).await;
    let connected = alice.wait("connected").await;
    assert_eq!((&connected["rev"], &connected["unread"]), (&json!(1), &json!(1)));
    let pending = alice.wait("notifications:pending").await;
    let one = server.user("alice").get(&format!("/notifications/{id}")).await.json(200);
    let expected = json!({
        "notifications": [one], "removed": [], "readUpTo": 0, "unread": 1, "to": 1,
        "hasMore": false, "reset": false,
    });
    assert_eq!(pending, expected);
}

#[tokio::test]
async fn the_newest_50_unread_come_oldest_first() {
    let server = TestServer::start().await;
    fill(&server, "alice", 60).await;
    let first = pending(&server, json!({})).await;
    assert_eq!(seqs(&first), (11..=60).collect::<Vec<_>>());
    assert_eq!((&first["hasMore"], &first["to"]), (&json!(true), &json!(60)));
    server.user("alice").post("/notifications/read-all", &json!({ "upTo": 40 })).await.json(200);
    let unread = pending(&server, json!({})).await;
    assert_eq!(seqs(&unread), (41..=60).collect::<Vec<_>>());
    assert_eq!((&unread["hasMore"], &unread["readUpTo"]), (&json!(false), &json!(40)));
}

#[tokio::test]
async fn since_a_rev_is_exactly_what_changed() {
    let server = TestServer::start().await;
    fill(&server, "alice", 5).await;
    let alice = server.user("alice");
    let list = alice.get("/notifications").await.json(200);
    let id = |n: usize| list["notifications"][n]["id"].as_str().unwrap().to_owned();
    alice.patch(&format!("/notifications/{}/read", id(4))).await.json(200);
    alice.delete(&format!("/notifications/{}", id(3))).await.json(200);
    let got = pending(&server, json!({ "since": 3 })).await;
    assert_eq!(seqs(&got), [4, 5, 1], "by rev");
    assert_eq!(got["removed"], json!([id(3)]));
    assert_eq!((&got["to"], &got["unread"], &got["reset"]), (&json!(7), &json!(3), &json!(false)));
    let nothing = pending(&server, json!({ "since": 7 })).await;
    assert_eq!((seqs(&nothing), &nothing["to"]), (vec![], &json!(7)));
    let all = pending(&server, json!({ "since": 0 })).await;
    assert_eq!(seqs(&all), [3, 4, 5, 1]);
}

#[tokio::test]
async fn since_is_complete_however_much_there_is() {
    let server = TestServer::start().await;
    fill(&server, "alice", 730).await;
    let mut alice = server.connect_with("alice", json!({ "since": 30 })).await;
    let mut got = Vec::new();
    loop {
        let page = alice.wait("notifications:pending").await;
        got.extend(seqs(&page));
        if page["hasMore"] == false {
            break;
        }
    }
    assert_eq!(got, (31..=730).collect::<Vec<_>>());
    server.api().notify("alice", "live").await;
    assert_eq!(alice.wait("notification").await["seq"], 731);
}

#[tokio::test]
async fn since_a_date_is_everything_after_it() {
    let server = TestServer::start().await;
    fill(&server, "alice", 2).await;
    let between = server.state.clock.now();
    eventually(|| async { server.state.clock.now() > between }).await;
    fill(&server, "alice", 1).await;
    let at = |time: Timestamp| json!({ "since": time.to_string() });
    assert_eq!(seqs(&pending(&server, at(between)).await), [3]);
    let old = json!({ "since": "2020-01-01T00:00:00+01:00" });
    assert_eq!(seqs(&pending(&server, old).await), [1, 2, 3]);
    let none: Vec<u64> = Vec::new();
    let new = json!({ "since": "2099-01-01T00:00:00Z" });
    assert_eq!(seqs(&pending(&server, new).await), none);
}

#[tokio::test]
async fn a_since_of_another_inbox_starts_over() {
    let server = TestServer::start().await;
    fill(&server, "alice", 3).await;
    let got = pending(&server, json!({ "since": 99 })).await;
    assert_eq!((&got["reset"], &got["to"]), (&json!(true), &json!(3)));
    assert_eq!(seqs(&got).len(), 3);
}

#[tokio::test]
async fn a_since_below_the_tombstones_starts_over() {
    let server = TestServer::with(|config| {
        config.retention.tombstones = std::time::Duration::from_millis(1);
        config.retention.interval = std::time::Duration::from_millis(10);
    })
    .await;
    fill(&server, "alice", 4).await;
    let alice = server.user("alice");
    alice.delete("/notifications?upTo=2").await.json(200);
    eventually(|| async {
        let sync = alice.get("/notifications/sync?since=4").await.json(200);
        sync["reset"] == true
    })
    .await;
    let got = pending(&server, json!({ "since": 4 })).await;
    assert_eq!((&got["reset"], seqs(&got).len()), (&json!(true), 2));
    let current = pending(&server, json!({ "since": 5 })).await;
    assert_eq!((&current["reset"], seqs(&current).len()), (&json!(false), 0));
}

#[tokio::test]
async fn a_device_goes_on_from_what_it_acknowledged() {
    let server = TestServer::start().await;
    fill(&server, "alice", 3).await;
    let phone = || json!({ "device": "phone" });
    let mut first = server.connect_with("alice", phone()).await;
    let got = first.wait("notifications:pending").await;
    assert_eq!(seqs(&got), [1, 2, 3], "a new device gets the newest unread");
    assert_eq!(first.ask("notification:ack", json!({ "upTo": 2 })).await["upTo"], 2);
    assert_eq!(seqs(&pending(&server, phone()).await), [3]);
    assert_eq!(first.ask("notification:ack", json!({ "upTo": 3 })).await["upTo"], 3);
    assert_eq!(first.ask("notification:ack", json!({ "upTo": 1 })).await["upTo"], 1);
    let none: Vec<u64> = Vec::new();
    assert_eq!(seqs(&pending(&server, phone()).await), none, "a cursor never goes back");
    // Another device has a cursor of its own; `since` wins over it.
    assert_eq!(seqs(&pending(&server, json!({ "device": "tablet" })).await), [1, 2, 3]);
    let both = json!({ "device": "phone", "since": 1 });
    assert_eq!(seqs(&pending(&server, both).await), [2, 3]);
}

#[tokio::test]
async fn an_acknowledgement_counts_no_further_than_what_was_sent() {
    let server = TestServer::start().await;
    fill(&server, "alice", 2).await;
    let mut alice = server.connect_with("alice", json!({ "device": "phone" })).await;
    alice.wait("notifications:pending").await;
    let ack = alice.ask("notification:ack", json!({ "upTo": 1_000_000 })).await;
    assert_eq!(ack, json!({ "ok": true, "upTo": 2 }));
    server.api().notify("alice", "live").await;
    assert_eq!(seqs(&pending(&server, json!({ "device": "phone" })).await), [3]);
    let list = server.user("alice").get("/notifications").await.json(200);
    assert!(list["notifications"][0]["deliveredAt"].is_null());
    assert!(list["notifications"][1]["deliveredAt"].is_string());
}

#[tokio::test]
async fn pending_survives_a_restart_of_the_server() {
    let server = TestServer::start().await;
    fill(&server, "alice", 2).await;
    let server = server.restart(|_| {}).await;
    assert_eq!(seqs(&pending(&server, json!({ "since": 1 })).await), [2]);
}

#[tokio::test]
async fn the_sixth_connection_of_a_user_closes_the_oldest() {
    let server = TestServer::start().await;
    let mut devices = Vec::new();
    for _ in 0..5 {
        devices.push(server.connect("alice").await);
    }
    let mut bob = server.connect("bob").await;
    devices.push(server.connect("alice").await);
    let mut oldest = devices.remove(0);
    let error = oldest.wait("error").await;
    let message = "Too many connections of this user; the oldest is closed";
    assert_eq!(error, json!({ "code": "CONNECTION_LIMIT", "message": message }));
    assert_eq!(oldest.packet().await, Packet::Disconnect, "it must not come back");
    assert_eq!(oldest.packet().await, Packet::Closed);
    server.api().notify("alice", "x").await;
    for device in &mut devices {
        assert_eq!(device.wait("notification").await["message"], "x");
    }
    assert!(bob.drain().await.is_empty());
}

#[tokio::test]
async fn a_full_server_says_so() {
    let server = TestServer::with(|config| {
        config.limits.connections = 4;
        config.limits.saturation = 0.5;
    })
    .await;
    let _one = server.connect("alice").await;
    let two = server.connect("bob").await;
    let refused = Client::try_open(server.address, "", &[]).await.err().unwrap();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.body, json!({ "code": "CAPACITY", "message": "Server at capacity" }));
    let polling = server.page("/socket.io/?EIO=4&transport=polling").await;
    assert_eq!(polling.status, 503);
    drop(two);
    eventually(|| async { Client::try_open(server.address, "", &[]).await.is_ok() }).await;
}
