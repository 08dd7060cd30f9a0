//! How long notifications are kept.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidings_core::ports::Clock as _;
use tidings_server::{clock::SystemClock, server::Parts};
use tidings_testkit::ManualClock;

use crate::support::TestServer;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a_type_may_be_kept_for_longer_or_shorter_than_others() {
    let clock = ManualClock::at(SystemClock.now());
    let parts = Parts { clock: Some(Arc::new(clock.clone())), ..Parts::default() };
    let configure = |config: &mut tidings_server::config::Config| {
        config.retention.interval = Duration::from_millis(20);
        config.retention.notifications = 10 * DAY;
        config.database.whole_months = false;
        for (name, retention) in [("typing", "1d"), ("invoice", "3650d")] {
            let spec = serde_json::from_value(json!({ "retention": retention })).unwrap();
            config.types.insert(name.to_owned(), spec);
        }
    };
    let server = TestServer::with_parts(configure, parts).await;
    let mut ids = Vec::new();
    for kind in ["typing", "like", "invoice"] {
        let body = json!({ "to": "alice", "type": kind, "message": kind });
        ids.push(server.api().post("/notifications", &body).await.json(201)["id"].clone());
    }
    let mut alice = server.connect("alice").await;
    for (days, gone) in [(2, &ids[0]), (10, &ids[1])] {
        clock.advance(days * DAY);
        let removed = loop {
            let body = alice.wait("notification:updated").await;
            if let Value::Array(removed) = &body["removed"] {
                break removed.clone();
            }
        };
        assert_eq!(&removed, std::slice::from_ref(gone));
    }
    let list = server.user("alice").get("/notifications").await.json(200);
    let list = list["notifications"].as_array().expect("a list");
    assert_eq!(list.iter().map(|one| &one["id"]).collect::<Vec<_>>(), [&ids[2]]);
}
