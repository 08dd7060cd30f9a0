//! Connections that break and go on where they were, on another node.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_server::config::Config;

use crate::{
    recovery::{back, cut, messages, notify, numbers, says},
    rooms::{add, joins},
    support::{Client, TestCluster, TestServer, eventually, logged},
};

/// Longer than a busy machine takes.
const LONG: Duration = Duration::from_secs(20);

fn patient(config: &mut Config) {
    config.cluster.patience = LONG;
}

async fn two() -> (TestCluster, TestServer, TestServer) {
    let (cluster, first) = TestCluster::start_with(patient).await;
    let second = cluster.node(patient).await;
    (cluster, first, second)
}

/// A client in `group:7` that has heard 1.
async fn member(server: &TestServer, user: &str) -> Client {
    add(server, "group:7", user).await;
    let mut client = server.connect(user).await;
    joins(&mut client, "group:7").await;
    says(server, "group:7", 1).await;
    assert_eq!(client.wait("said").await["n"], 1);
    client
}

/// The client is back and was told these; gives it, and its claim's answer.
async fn recovered(server: &TestServer, claim: &Value, said: &[u64]) -> (Client, Value) {
    let (mut client, answer) = back(server, claim.clone()).await;
    assert_eq!(answer["pid"], claim["pid"]);
    assert_eq!(numbers(&client.heard()), said, "before the answer");
    let connected = client.wait("connected").await;
    assert_eq!(connected["recovered"], true);
    assert_eq!(connected["socketId"], answer["sid"]);
    (client, answer)
}

async fn anew(server: &TestServer, claim: &Value) -> Client {
    let (mut client, answer) = back(server, claim.clone()).await;
    assert_ne!(answer["pid"], claim["pid"]);
    assert_eq!(client.wait("connected").await["recovered"], false);
    client
}

#[tokio::test]
async fn who_comes_back_elsewhere_has_its_id_its_rooms_and_what_it_missed_each_once() {
    let (_cluster, here, there) = two().await;
    let mut alice = member(&here, "alice").await;
    notify(&here, "alice", "before").await;
    alice.wait("notification:count").await;
    let mut claim = cut(&here, alice, "alice").await;
    let mut sid = Value::Null;
    for round in 1..=4 {
        let (from, to) = if round % 2 == 1 { (&here, &there) } else { (&there, &here) };
        says(from, "group:7", round * 10).await;
        says(to, "group:7", round * 10 + 1).await;
        says(from, "group:8", 99).await;
        says(to, "user:alice", round * 10 + 2).await;
        notify(from, "alice", &format!("missed {round}")).await;
        let missed = [round * 10, round * 10 + 1, round * 10 + 2];
        let (mut alice, answer) = recovered(to, &claim, &missed).await;
        if round > 1 {
            assert_eq!(answer["sid"], sid);
        }
        sid = answer["sid"].clone();
        let pending = alice.wait("notifications:pending").await;
        assert_eq!(messages(&pending), [format!("missed {round}")]);
        says(from, "group:7", 5).await;
        assert_eq!(alice.wait("said").await["n"], 5, "it is in its rooms");
        says(to, "user:alice", 6).await;
        assert_eq!(alice.wait("said").await["n"], 6);
        notify(from, "alice", "live").await;
        assert_eq!(alice.wait("notification").await["message"], "live");
        alice.wait("notification:count").await;
        claim = cut(to, alice, "alice").await;
    }
}

#[tokio::test]
async fn what_was_sent_and_not_received_is_sent_again_elsewhere() {
    let (_cluster, here, there) = two().await;
    let mut alice = member(&here, "alice").await;
    notify(&here, "alice", "received").await;
    alice.wait("notification:count").await;
    says(&there, "group:7", 2).await;
    alice.wait("said").await;
    // On their way, and never read.
    notify(&here, "alice", "lost").await;
    says(&here, "group:7", 3).await;
    says(&there, "group:7", 4).await;
    let claim = cut(&here, alice, "alice").await;
    says(&there, "group:7", 5).await;
    let (mut alice, _) = recovered(&there, &claim, &[3, 4, 5]).await;
    assert_eq!(messages(&alice.wait("notifications:pending").await), ["lost"]);
}

#[tokio::test]
async fn a_node_that_still_believes_in_the_connection_lets_it_go() {
    let (_cluster, here, there) = two().await;
    let mut alice = member(&here, "alice").await;
    let claim = alice.coming_back(json!({ "token": here.token("alice") }));
    says(&there, "group:7", 2).await;
    let (mut again, _) = recovered(&there, &claim, &[2]).await;
    alice.until_closed().await;
    says(&here, "group:7", 3).await;
    assert_eq!(again.wait("said").await["n"], 3);
    eventually(async || here.state.hub.sessions_of(&"alice".parse().expect("an id")).is_empty())
        .await;
}

#[tokio::test]
async fn of_two_who_claim_a_session_one_gets_it() {
    let (cluster, here, there) = two().await;
    let third = cluster.node(patient).await;
    let alice = member(&here, "alice").await;
    let claim = cut(&here, alice, "alice").await;
    says(&here, "group:7", 2).await;
    let both = tokio::join!(back(&there, claim.clone()), back(&third, claim.clone()));
    let mut winners = 0;
    for (mut client, answer) in [both.0, both.1] {
        let said = numbers(&client.heard());
        let is_recovered = client.wait("connected").await["recovered"] == true;
        assert_eq!(answer["pid"] == claim["pid"], is_recovered);
        assert_eq!(said, if is_recovered { vec![2] } else { vec![] });
        winners += usize::from(is_recovered);
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn a_session_that_was_taken_is_gone_where_it_was() {
    let (_cluster, here, there) = two().await;
    let alice = member(&here, "alice").await;
    let claim = cut(&here, alice, "alice").await;
    let (alice, _) = recovered(&there, &claim, &[]).await;
    // It ends in good order, and with it what could be recovered.
    let mut alice = alice;
    alice.send("41").await;
    eventually(async || there.state.hub.sessions_of(&"alice".parse().expect("an id")).is_empty())
        .await;
    anew(&here, &claim).await;
    anew(&there, &claim).await;
}

#[tokio::test]
async fn a_pid_is_worth_nothing_elsewhere_without_a_token_of_its_user() {
    let (_cluster, here, there) = two().await;
    let alice = member(&here, "alice").await;
    let mut claim = cut(&here, alice, "alice").await;
    let own = claim["token"].take();
    claim["token"] = there.token("mallory").into();
    let mut mallory = anew(&there, &claim).await;
    says(&here, "group:7", 2).await;
    assert!(!mallory.drain().await.iter().any(|(name, _)| name == "said"));
    // Nor does it end a connection that is still there.
    claim["token"] = own;
    let (alice, _) = recovered(&there, &claim, &[2]).await;
    let mut stolen = alice.coming_back(json!({ "token": here.token("mallory") }));
    anew(&here, &stolen).await;
    stolen["token"] = there.token("mallory").into();
    anew(&there, &stolen).await;
    assert!(logged(&["recovery.refused", "mallory"]));
    says(&here, "group:7", 3).await;
    let mut alice = alice;
    assert_eq!(alice.wait("said").await["n"], 3);
}

#[tokio::test]
async fn rooms_are_authorised_again_elsewhere_and_filters_stay() {
    let (_cluster, here, there) = two().await;
    for room in ["group:7", "group:8", "group:9"] {
        add(&here, room, "alice").await;
    }
    let mut alice = here.connect("alice").await;
    joins(&mut alice, "group:7").await;
    joins(&mut alice, "group:8").await;
    let wish = json!({ "room": "group:9", "events": ["said"] });
    assert_eq!(alice.ask("room:join", wish).await["ok"], true);
    says(&here, "group:8", 1).await;
    alice.wait("said").await;
    let claim = cut(&here, alice, "alice").await;
    here.api().delete("/rooms/group:7/members/alice").await.json(200);
    says(&there, "group:7", 7).await;
    says(&there, "group:8", 8).await;
    let other = json!({ "type": "other", "data": { "n": 1 } });
    there.api().post("/rooms/group:9/events", &other).await.json(202);
    says(&there, "group:9", 9).await;
    let (mut alice, answer) = back(&there, claim.clone()).await;
    assert_eq!(answer["pid"], claim["pid"]);
    let heard = alice.heard();
    assert_eq!(numbers(&heard), [8, 9], "nothing from where it may not be");
    assert!(!heard.iter().any(|(name, _)| name == "other"), "{heard:?}");
    says(&here, "group:7", 70).await;
    here.api().post("/rooms/group:9/events", &other).await.json(202);
    says(&here, "group:9", 90).await;
    let mut live = Vec::new();
    while !numbers(&live).contains(&90) {
        live.push(alice.event().await);
    }
    assert_eq!(numbers(&live), [90]);
    assert!(!live.iter().any(|(name, _)| name == "other"), "{live:?}");
}

#[tokio::test]
async fn a_room_that_remembers_tells_the_same_elsewhere() {
    let (cluster, first) = TestCluster::start_with(remembering).await;
    let second = cluster.node(remembering).await;
    let mut alice = first.connect("alice").await;
    assert_eq!(alice.ask("room:join", json!("diary:1")).await["ok"], true);
    says(&first, "diary:1", 1).await;
    alice.wait("said").await;
    let claim = cut(&first, alice, "alice").await;
    says(&second, "diary:1", 2).await;
    let (mut alice, _) = recovered(&second, &claim, &[2]).await;
    says(&first, "diary:1", 3).await;
    let (data, meta) = alice.wait_with_meta("said").await;
    assert_eq!((&data["n"], &meta["room"]), (&json!(3), &json!("diary:1")));
}

fn remembering(config: &mut Config) {
    patient(config);
    let kind = json!({ "rule": "everyone", "history": { "messages": 10, "age": "1h" } });
    config.rooms.insert("diary".to_owned(), serde_json::from_value(kind).expect("a kind"));
}

#[tokio::test]
async fn after_the_window_nobody_is_recovered_elsewhere() {
    let (cluster, here) = TestCluster::start_with(|config| {
        patient(config);
        config.gateway.recovery = Duration::from_millis(1);
    })
    .await;
    let there = cluster.node(patient).await;
    let alice = member(&here, "alice").await;
    let mut claim = cut(&here, alice, "alice").await;
    here.state.recovery.settled().await;
    notify(&here, "alice", "missed").await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    claim["since"] = json!(0);
    let mut alice = anew(&there, &claim).await;
    assert_eq!(messages(&alice.wait("notifications:pending").await), ["missed"]);
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let off = |config: &mut Config| config.gateway.recovery_elsewhere = false;
    let (cluster, here) = TestCluster::start_with(off).await;
    let there = cluster.node(off).await;
    let alice = member(&here, "alice").await;
    let claim = cut(&here, alice, "alice").await;
    anew(&there, &claim).await;
    recovered(&here, &claim, &[]).await;
}

#[tokio::test]
async fn who_has_missed_too_much_begins_anew() {
    let (_cluster, here, there) = two().await;
    let alice = member(&here, "alice").await;
    let claim = cut(&here, alice, "alice").await;
    // More than are kept of a room.
    for n in 0..1_001 {
        says(&there, "group:7", n).await;
    }
    anew(&there, &claim).await;
}
