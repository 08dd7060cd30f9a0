//! What connected devices hear: every device everything, in order, once.

use serde_json::{Value, json};

use crate::support::TestServer;

#[tokio::test]
async fn a_notification_comes_with_the_counter_after_it() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    let id = server.api().notify("alice", "hello").await;
    let (name, body) = alice.event().await;
    assert_eq!(name, "notification");
    let stored = server.user("alice").get(&format!("/notifications/{id}")).await.json(200);
    assert_eq!(body, stored, "the same as over HTTP");
    let (name, body) = alice.event().await;
    assert_eq!(name, "notification:count");
    assert_eq!(body, json!({ "unread": 1, "rev": 1 }));
}

#[tokio::test]
async fn all_devices_hear_everything_and_nobody_elses() {
    let server = TestServer::start().await;
    let mut devices = Vec::new();
    for _ in 0..3 {
        devices.push(server.connect("alice").await);
    }
    let mut bob = server.connect("bob").await;
    let api = server.api();
    for n in 0..20 {
        api.notify("alice", &format!("n{n}")).await;
    }
    for device in &mut devices {
        for n in 0..20 {
            let got = device.wait("notification").await;
            assert_eq!((&got["message"], &got["seq"]), (&json!(format!("n{n}")), &json!(n + 1)));
        }
        for n in 0..20 {
            let count = device.wait("notification:count").await;
            assert_eq!(count, json!({ "unread": n + 1, "rev": n + 1 }));
        }
        assert!(device.drain().await.is_empty());
    }
    assert!(bob.drain().await.is_empty());
}

#[tokio::test]
async fn reading_on_one_device_clears_the_others() {
    let server = TestServer::start().await;
    let id = server.api().notify("alice", "x").await;
    let mut phone = server.connect("alice").await;
    let mut laptop = server.connect("alice").await;
    let answer = phone.ask("notification:read", json!({ "id": id })).await;
    let expected =
        json!({ "ok": true, "changed": 1, "missing": 0, "unread": 0, "rev": 2, "readUpTo": 0 });
    assert_eq!(answer, expected);
    for device in [&mut phone, &mut laptop] {
        let mut updated = device.wait("notification:updated").await;
        let item = &mut updated["items"][0];
        let (read, seen) = (item["readAt"].take(), item["seenAt"].take());
        assert!(read.is_string() && seen == read, "{read} {seen}");
        let item = json!({
            "id": id, "seq": 1, "rev": 2, "read": true, "deliveredAt": null, "seenAt": null,
            "readAt": null, "archivedAt": null,
        });
        assert_eq!(updated, json!({ "rev": 2, "unread": 0, "items": [item] }));
        assert_eq!(device.wait("notification:count").await, json!({ "unread": 0, "rev": 2 }));
        assert!(device.drain().await.is_empty());
    }
}

#[tokio::test]
async fn every_kind_of_change_is_told() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(server.api().notify("alice", &format!("n{n}")).await);
    }
    let mut alice = server.connect("alice").await;
    let mut rev = 4;
    for (command, read, archived, unread) in [
        ("notification:seen", false, false, 4),
        ("notification:read", true, false, 3),
        ("notification:unread", false, false, 4),
        ("notification:archive", false, true, 3),
        ("notification:unarchive", false, false, 4),
    ] {
        rev += 1;
        // One id, bare; the other forms are told alike.
        let answer = alice.ask(command, json!(ids[0])).await;
        assert_eq!((&answer["rev"], &answer["unread"]), (&json!(rev), &json!(unread)), "{command}");
        let updated = alice.wait("notification:updated").await;
        let item = &updated["items"][0];
        assert_eq!(item["read"], read, "{command}");
        assert_eq!(item["archivedAt"].is_string(), archived, "{command}");
        assert_eq!((&updated["rev"], &updated["unread"]), (&json!(rev), &json!(unread)));
    }
    alice.ask("notification:delete", json!({ "ids": [ids[0], ids[1]] })).await;
    let removed = alice.wait("notification:updated").await;
    assert_eq!(removed, json!({ "rev": 10, "unread": 2, "removed": [ids[0], ids[1]] }));
    alice.ask("notification:readAll", json!({ "upTo": 3 })).await;
    let read = alice.wait("notification:updated").await;
    assert_eq!(read, json!({ "rev": 11, "unread": 1, "readUpTo": 3 }));
    alice.ask("notification:readAll", Value::Null).await;
    assert_eq!(alice.wait("notification:updated").await["unread"], 0);
    server.user("alice").delete("/notifications?upTo=4").await.json(200);
    let cleared = alice.wait("notification:updated").await;
    assert_eq!(cleared, json!({ "rev": 13, "unread": 0, "clearedUpTo": 4 }));
}

#[tokio::test]
async fn what_is_done_over_http_is_heard_on_the_socket() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    let id = server.api().notify("alice", "x").await;
    server.user("alice").patch(&format!("/notifications/{id}/read")).await.json(200);
    assert_eq!(alice.wait("notification:updated").await["items"][0]["id"], id);
    server.api().delete(&format!("/notifications/{id}")).await.json(200);
    let removed = alice.wait("notification:updated").await;
    assert_eq!(removed, json!({ "rev": 3, "unread": 0, "removed": [id] }));
}

#[tokio::test]
async fn an_announcement_reaches_every_connected_user() {
    let server = TestServer::start().await;
    let mut devices = Vec::new();
    for n in 0..40 {
        devices.push(server.connect(&format!("u{n}")).await);
    }
    let body = json!({ "to": { "all": true }, "type": "system", "message": "to all" });
    let sent = server.api().post("/notifications", &body).await.json(202);
    for (n, device) in devices.iter_mut().enumerate() {
        let got = device.wait("notification").await;
        assert_eq!(got["id"], sent["id"]);
        assert_eq!(got["recipientId"], format!("u{n}"));
    }
}

#[tokio::test]
async fn changes_made_while_a_client_connects_are_neither_lost_nor_repeated() {
    let server = TestServer::start().await;
    let api = server.api();
    let sender = tokio::spawn(async move {
        for n in 0..300 {
            api.notify("alice", &format!("n{n}")).await;
        }
    });
    // Each connects in the middle of it and follows to the end.
    for _ in 0..10 {
        let mut client = server.connect_with("alice", json!({ "since": 0 })).await;
        let mut seqs = Vec::new();
        while seqs.len() < 20 {
            let (name, body) = client.event().await;
            match name.as_str() {
                "notifications:pending" => {
                    let list = body["notifications"].as_array().unwrap().iter();
                    seqs.extend(list.map(|n| n["seq"].as_u64().unwrap()));
                }
                "notification" => seqs.push(body["seq"].as_u64().unwrap()),
                _ => {}
            }
        }
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    }
    sender.await.unwrap();
}
