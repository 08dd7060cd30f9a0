//! The clock jumps back by an hour under the server.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidings_core::ports::Clock as _;
use tidings_server::{clock::SystemClock, server::Parts};
use tidings_testkit::ManualClock;

use crate::support::{Answer, TestServer};

const HOUR: Duration = Duration::from_secs(3600);

async fn send(server: &TestServer, key: &str) -> Answer {
    let body = json!({ "to": "alice", "type": "like", "message": key });
    let request = server.api().request("POST", "/notifications").header("idempotency-key", key);
    Answer::of(request.json(&body)).await
}

async fn list(server: &TestServer, query: &str) -> Vec<Value> {
    let list = server.user("alice").get(&format!("/notifications{query}")).await.json(200);
    let list = list["notifications"].as_array().expect("a list");
    list.iter().map(|one| one["message"].clone()).collect()
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_the_clock_goes_back() {
    let clock = ManualClock::at(SystemClock.now());
    let parts = Parts { clock: Some(Arc::new(clock.clone())), ..Parts::default() };
    let server = TestServer::with_parts(|_| {}, parts).await;
    let mut alice = server.connect("alice").await;
    let before = send(&server, "before").await.json(201)["id"].clone();
    assert_eq!(alice.wait("notification").await["id"], before);
    clock.set(clock.now().minus(HOUR));
    let after = send(&server, "after").await.json(201)["id"].clone();
    let told = alice.wait("notification").await;
    assert_eq!((&told["id"], &told["seq"], &told["rev"]), (&after, &json!(2), &json!(2)));

    // Who sends again is known, whichever side of the jump it was.
    for (key, id) in [("before", &before), ("after", &after)] {
        let again = send(&server, key).await;
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(&again.json(201)["id"], id);
    }
    let all = json!({ "to": { "all": true }, "type": "system", "message": "announced" });
    server.api().post("/notifications", &all).await.json(202);
    assert_eq!(alice.wait("notification").await["seq"], 3);
    let read = format!("/notifications/{}/read", after.as_str().expect("an id"));
    assert_eq!(server.user("alice").patch(&read).await.status, 200);
    assert_eq!(alice.wait("notification:updated").await["rev"], 4);

    // Lists go by seq, which the jump has not touched; so does who comes back.
    assert_eq!(list(&server, "").await, ["announced", "after", "before"]);
    assert_eq!(list(&server, "?unreadOnly=true").await, ["announced", "before"]);
    let mut late = server.connect_with("alice", json!({ "since": 1 })).await;
    let missed = late.wait("notifications:pending").await;
    let missed = missed["notifications"].as_array().expect("a list");
    let seqs: Vec<_> = missed.iter().map(|one| &one["seq"]).collect();
    assert_eq!(seqs, [3, 2], "by rev");
    clock.advance(2 * HOUR);
    send(&server, "later").await.json(201);
    assert_eq!(list(&server, "").await, ["later", "announced", "after", "before"]);
    let count = server.user("alice").get("/notifications/unread-count").await.json(200);
    assert_eq!(count["unread"], 3);
}
