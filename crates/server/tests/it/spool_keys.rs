//! Who was there first: keys that the database or the spool knew, when what was spooled is stored.

use std::sync::Arc;

use serde_json::{Value, json};
use tidings_core::{idempotency::IdempotencyClaim, ports::Accept, signal::NodeSignal};
use tidings_server::spool::Record;
use tidings_testkit::message;

use crate::{
    spool::{inbox, like, spooled},
    support::{Answer, TestServer},
};

#[tokio::test]
async fn one_that_loses_is_withdrawn() {
    let server = TestServer::impatient().await;
    let mut body = like("alice", "once");
    body["dedupeKey"] = "d1".into();
    let first = server.api().post("/notifications", &body).await.json(201)["id"].clone();
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    let outage = server.away().await;
    let id = spooled(&server.api(), &body).await;
    assert_eq!(alice.wait("notification").await["provisional"], true);
    // Bob has none with this key, so he gets it.
    body["to"] = json!({ "users": ["alice", "bob"] });
    let both = spooled(&server.api(), &body).await;
    assert_eq!(alice.wait("notification").await["id"], json!(both));
    outage.end().await;
    let withdrawn = alice.wait("notification:updated").await;
    assert_eq!(withdrawn, json!({ "id": id, "replacedBy": first }));
    let withdrawn = alice.wait("notification:updated").await;
    assert_eq!(withdrawn, json!({ "id": both, "replacedBy": null }));
    assert!(alice.drain().await.is_empty());
    assert_eq!(bob.wait("notification:updated").await["items"][0]["id"], json!(both));
    server.replayed().await;
    assert_eq!((inbox(&server, "alice").await.len(), inbox(&server, "bob").await.len()), (1, 1));
}

/// A record as the spool has it of a request whose key could not be looked up.
fn unknown_key(server: &TestServer, key: &str, fingerprint: [u8; 32]) -> Record {
    let now = server.state.clock.now();
    let claim = IdempotencyClaim {
        scope: server.key_id.clone(),
        key: key.into(),
        fingerprint,
        note: String::new(),
    };
    let accept = Accept { messages: vec![message(now).build()], idempotency: Some(claim), now };
    Record::new(accept, server.key_id.clone(), [127, 0, 0, 1].into())
}

/// Keeps a record, shows it to Alice, and lets it be carried out.
async fn keep_and_show(server: &TestServer, record: &Record) -> String {
    let spool = server.state.spool.as_ref().expect("a spool");
    let held = spool.append(record).await.expect("kept");
    let (message, users) = record.at_once().next().expect("one");
    let body = String::from_utf8_lossy(&message.tail()).into();
    let signal = NodeSignal::Provisional { id: message.id, users: users.to_vec(), body };
    server.state.bus.publish_to_nodes(&Arc::new(signal)).await.expect("told");
    drop(held);
    message.id.to_string()
}

#[tokio::test]
async fn a_key_that_the_database_knew_decides_at_the_replay() {
    let server = TestServer::impatient().await;
    let request = server.api().request("POST", "/notifications").header("idempotency-key", "k1");
    let first = Answer::of(request.json(&like("alice", "first"))).await.json(201)["id"].clone();
    let mut alice = server.connect("alice").await;
    let claim_of_first = {
        use sha2::Digest as _;
        let body = serde_json::to_vec(&like("alice", "first")).unwrap();
        sha2::Sha256::new_with_prefix("POST notifications\n").chain_update(body).finalize().into()
    };
    let id = keep_and_show(&server, &unknown_key(&server, "k1", claim_of_first)).await;
    assert_eq!(alice.wait("notification").await["id"], json!(id));
    let withdrawn = alice.wait("notification:updated").await;
    assert_eq!(withdrawn, json!({ "id": id, "replacedBy": first }));
    // Another request under the same key would have been refused: it is kept for whoever looks into it.
    let id = keep_and_show(&server, &unknown_key(&server, "k1", [1; 32])).await;
    assert_eq!(alice.wait("notification").await["id"], json!(id));
    let withdrawn = alice.wait("notification:updated").await;
    assert_eq!(withdrawn, json!({ "id": id, "replacedBy": null }));
    let dead = server.state.config.data_dir.join("spool/dead.jsonl");
    let dead: Value = serde_json::from_str(&std::fs::read_to_string(dead).unwrap()).unwrap();
    assert_eq!(dead["reason"], "idempotency_mismatch");
    assert_eq!(dead["request"]["messages"][0]["message"]["id"], json!(id));
    assert_eq!(inbox(&server, "alice").await.len(), 1);
    let metrics = server.page("/metrics").await.text;
    let counted = |line: &str| {
        line.starts_with("tidings_spool_dead_total")
            && line.ends_with("reason=\"idempotency_mismatch\"} 1")
    };
    assert!(metrics.lines().any(counted), "{metrics}");
}

#[tokio::test]
async fn keys_are_known_in_the_spool_too() {
    let server = TestServer::impatient().await;
    let send = async |key: &str, body: Value| {
        let request = server.api().request("POST", "/notifications").header("idempotency-key", key);
        Answer::of(request.json(&body)).await
    };
    let outage = server.away().await;
    let first = send("k1", like("alice", "one")).await;
    let id = first.json(202)["id"].clone();
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = send("k1", like("alice", "one")).await;
    assert_eq!((again.json(202), again.header("idempotency-replayed")), (first.json(202), "true"));
    send("k1", like("alice", "two")).await.problem(422, "IDEMPOTENCY_MISMATCH");
    let several = json!([like("alice", "three"), { "to": "alice" }]);
    let first = send("k2", several.clone()).await.json(207);
    assert_eq!(first["results"][0]["stored"], "spooled");
    assert_eq!(send("k2", several).await.json(207), first);
    outage.end().await;
    server.replayed().await;
    let after = send("k1", like("alice", "one")).await;
    let stored = after.json(201);
    assert_eq!((&stored["id"], &stored["stored"]), (&id, &json!("committed")));
    assert_eq!(after.header("idempotency-replayed"), "true");
    assert_eq!(inbox(&server, "alice").await.len(), 2);
}

#[tokio::test]
async fn one_that_the_store_never_takes_is_set_aside_and_the_rest_goes_on() {
    let server = TestServer::impatient().await;
    let mut alice = server.connect("alice").await;
    server.poison("poison").await;
    let outage = server.away().await;
    let bad = spooled(&server.api(), &like("alice", "poison")).await;
    let good = spooled(&server.api(), &like("alice", "fine")).await;
    for id in [&bad, &good] {
        assert_eq!(alice.wait("notification").await["id"], json!(id));
    }
    outage.end().await;
    let withdrawn = alice.wait("notification:updated").await;
    assert_eq!(withdrawn, json!({ "id": bad, "replacedBy": null }));
    assert_eq!(alice.wait("notification:updated").await["items"][0]["id"], json!(good));
    server.replayed().await;
    let dead = server.state.config.data_dir.join("spool/dead.jsonl");
    let dead: Value = serde_json::from_str(&std::fs::read_to_string(dead).unwrap()).unwrap();
    assert_eq!(dead["reason"], "poison");
    assert_eq!(dead["request"]["messages"][0]["message"]["message"], "poison");
    let stored = inbox(&server, "alice").await;
    assert_eq!((stored.len(), &stored[0]["id"]), (1, &json!(good)));
}
