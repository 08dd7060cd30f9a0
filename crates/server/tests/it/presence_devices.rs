//! A user's devices together: what they add up to, and how their coming and going is damped.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_server::workers;

use crate::{
    presence::{AFTER, NOW, has_connections, member, statuses, together, told},
    recovery::{back, cut},
    support::{Stream, TestServer, within},
};

#[tokio::test]
async fn one_tab_closed_is_not_offline_and_the_last_one_is_after_a_while() {
    let server = TestServer::start().await;
    let mut bob = together(&server, "post:1", &["bob"]).await.remove(0);
    let (laptop, phone) =
        (member(&server, "alice", &["post:1"]).await, member(&server, "alice", &["post:1"]).await);
    assert_eq!(statuses(&server, &mut bob, NOW).await, ["alice=online"]);
    drop(laptop);
    has_connections(&server, "post:1", 2).await;
    assert_eq!(statuses(&server, &mut bob, AFTER).await, [""; 0]);
    drop(phone);
    has_connections(&server, "post:1", 1).await;
    assert_eq!(statuses(&server, &mut bob, Duration::from_secs(1)).await, [""; 0]);
    server.tell_presence(AFTER).await;
    let events = told(&mut bob).await;
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["presence:update", "presence:user:offline"]);
    let entry = &events[0].1["users"][0];
    assert_eq!((&entry["status"], &events[0].1["online"]), (&json!("offline"), &json!(1)));
    assert!(entry["lastSeen"].is_string());
    assert_eq!(events[1].1, json!({ "userId": "alice", "lastSeen": entry["lastSeen"] }));
}

#[tokio::test]
async fn who_is_back_in_time_was_never_away() {
    let server = TestServer::start().await;
    let mut bob = together(&server, "post:1", &["bob"]).await.remove(0);
    let mut alice = member(&server, "alice", &["post:1"]).await;
    assert_eq!(statuses(&server, &mut bob, NOW).await, ["alice=online"]);
    for _ in 0..3 {
        drop(alice);
        has_connections(&server, "post:1", 1).await;
        server.tell_presence(NOW).await;
        alice = member(&server, "alice", &["post:1"]).await;
        server.tell_presence(NOW).await;
        assert_eq!(told(&mut bob).await, []);
    }
    // The connections before cease to count, and that is nobody's business.
    server.tell_presence(AFTER).await;
    assert_eq!(told(&mut bob).await, []);
}

#[tokio::test]
async fn busy_on_one_device_wins_and_the_own_devices_are_told() {
    let server = TestServer::start().await;
    let mut bob = together(&server, "post:1", &["bob"]).await.remove(0);
    let mut laptop = member(&server, "alice", &["post:1"]).await;
    let mut phone = member(&server, "alice", &[]).await;
    assert_eq!(statuses(&server, &mut bob, NOW).await, ["alice=online"]);
    laptop.drain().await;
    phone.drain().await;
    phone.ask("presence:update", json!({ "status": "busy", "currentFeature": "call" })).await;
    laptop.ask("presence:update", json!("online")).await;
    server.tell_presence(NOW).await;
    let own = phone.wait("presence:update").await;
    assert_eq!((&own["room"], &own["users"][0]["status"]), (&json!("user:alice"), &json!("busy")));
    assert_eq!(own["users"][0]["invisible"], false);
    assert_eq!(bob.wait("presence:update").await["users"][0]["status"], "busy");
    let both: Vec<_> = told(&mut laptop).await.iter().map(|(_, b)| b["room"].clone()).collect();
    assert_eq!(both, ["post:1", "user:alice"]);
}

#[tokio::test]
async fn who_is_invisible_is_offline_for_everybody_else_everywhere() {
    let server = TestServer::start().await;
    let mut bob = together(&server, "post:1", &["bob"]).await.remove(0);
    let mut alice = member(&server, "alice", &["post:1"]).await;
    assert_eq!(statuses(&server, &mut bob, NOW).await, ["alice=online"]);
    let answer = alice.ask("presence:update", json!({ "invisible": true })).await;
    assert_eq!(answer, json!({ "ok": true, "status": "online", "invisible": true }));
    server.tell_presence(NOW).await;
    let (update, offline) =
        (bob.wait("presence:update").await, bob.wait("presence:user:offline").await);
    let entry = &update["users"][0];
    assert_eq!((&entry["status"], &update["online"]), (&json!("offline"), &json!(1)));
    assert_eq!(entry["lastSeen"], offline["lastSeen"]);
    let seen = json!({ "userId": "alice", "status": "offline", "lastSeen": entry["lastSeen"] });
    assert_eq!(server.api().get("/presence?users=alice").await.json(200)["users"], json!([seen]));
    assert_eq!(server.api().get("/presence?room=post:1").await.json(200)["online"], 1);
    let room = server.api().get("/rooms/post:1").await.json(200);
    assert_eq!((&room["users"], &room["onlineUsers"]), (&json!(2), &json!(["bob"])));
    // A second device changes nothing, nor does what is done meanwhile.
    let _phone = member(&server, "alice", &["post:1"]).await;
    alice.ask("presence:update", json!({ "status": "busy", "currentFeature": "x" })).await;
    server.tell_presence(NOW).await;
    assert_eq!(told(&mut bob).await, []);
    alice.ask("presence:update", json!({ "invisible": false })).await;
    assert_eq!(statuses(&server, &mut bob, NOW).await, ["alice=busy"]);
}

#[tokio::test]
async fn a_client_that_says_nothing_for_too_long_does_not_count_until_it_speaks() {
    let server = TestServer::start().await;
    let mut clients = together(&server, "post:1", &["alice", "bob"]).await;
    let later = |minutes: u64| server.state.clock.now().plus(Duration::from_secs(minutes * 60));
    workers::sweep_presence(&server.state, later(29)).await.unwrap();
    assert_eq!(statuses(&server, &mut clients[1], NOW).await, [""; 0]);
    workers::sweep_presence(&server.state, later(31)).await.unwrap();
    // Bob is silent too, but asking whether there is something wakes him.
    clients[1].drain().await;
    assert_eq!(statuses(&server, &mut clients[1], NOW).await, ["alice=offline"]);
    assert_eq!(clients[0].ask("heartbeat", Value::Null).await["ok"], true);
    assert_eq!(statuses(&server, &mut clients[1], NOW).await, ["alice=online"]);
}

#[tokio::test]
async fn the_loop_does_it_all_by_itself() {
    let server = TestServer::with(|config| {
        config.presence.tick = Duration::from_millis(10);
        config.presence.large_tick = config.presence.tick;
        config.presence.grace = Duration::from_millis(50);
    })
    .await;
    let mut bob = member(&server, "bob", &["post:1"]).await;
    let alice = member(&server, "alice", &["post:1"]).await;
    assert_eq!(within(bob.wait("presence:user:online")).await["userId"], "alice");
    drop(alice);
    let gone = within(bob.wait("presence:user:offline")).await;
    assert_eq!(gone["userId"], "alice");
    let metrics = server.page("/metrics").await.text;
    assert!(metrics.contains("presence_updates_sent_total"), "{metrics}");
    // The time is kept where it outlives this process.
    let server = server.restart(|_| {}).await;
    let answer = server.api().get("/presence?users=alice,bob,nobody").await.json(200);
    assert_eq!(answer["users"][0]["lastSeen"], gone["lastSeen"]);
    assert!(answer["users"][1]["lastSeen"].is_string(), "also of who was there to the end");
    assert!(answer["users"][2]["lastSeen"].is_null());
}

#[tokio::test]
async fn a_client_may_be_invisible_from_the_start() {
    let server = TestServer::start().await;
    let mut bob = together(&server, "post:1", &["bob"]).await.remove(0);
    server.api().put("/rooms/post:1/members/alice", &json!({})).await.json(200);
    let hidden = json!({ "presence": { "invisible": true, "status": "busy" } });
    let mut alice = server.connect_with("alice", hidden).await;
    assert_eq!(alice.ask("room:join", json!("post:1")).await["ok"], true);
    server.tell_presence(NOW).await;
    assert_eq!(told(&mut bob).await, []);
    alice.ask("presence:update", json!({ "invisible": false })).await;
    assert_eq!(statuses(&server, &mut bob, NOW).await, ["alice=busy"]);
    let mut refused = crate::support::Client::open(server.address).await;
    let auth = json!({ "token": server.token("alice"), "presence": "sleeping" });
    let why = refused.try_join(auth).await.unwrap_err();
    assert!(why["message"].as_str().unwrap().starts_with("auth.presence: status: "), "{why}");
}

#[tokio::test]
async fn a_connection_that_is_recovered_says_what_it_said_before() {
    let server = TestServer::start().await;
    let mut bob = together(&server, "post:1", &["bob"]).await.remove(0);
    server.api().put("/rooms/post:1/members/alice", &json!({})).await.json(200);
    let mut alice = server.connect("alice").await;
    assert_eq!(alice.ask("room:join", json!("post:1")).await["ok"], true);
    for (update, seen) in [
        (json!({ "status": "busy", "currentFeature": "x" }), &["alice=busy"][..]),
        (json!({ "invisible": true }), &[]),
    ] {
        alice.ask("presence:update", update).await;
        let said = json!({ "type": "said", "data": {} });
        server.api().post("/rooms/post:1/events", &said).await.json(202);
        alice.wait("said").await;
        let claim = cut(&server, alice, "alice").await;
        // By then the connection before does not count any more.
        server.tell_presence(AFTER).await;
        told(&mut bob).await;
        let answer;
        (alice, answer) = back(&server, claim).await;
        assert!(answer["sid"].is_string(), "{answer}");
        assert_eq!(alice.wait("connected").await["recovered"], true);
        assert_eq!(statuses(&server, &mut bob, NOW).await, seen);
    }
}

#[tokio::test]
async fn a_stream_of_events_is_told_and_counts_while_it_is_open() {
    let server = TestServer::start().await;
    let mut bob = together(&server, "post:1", &["bob"]).await.remove(0);
    server.api().put("/rooms/post:1/members/alice", &json!({})).await.json(200);
    let mut alice = Stream::of(&server, "alice", "?rooms=post:1").await;
    within(alice.wait("room:joined")).await;
    server.tell_presence(NOW).await;
    let everybody = within(alice.wait("presence-update")).await.data;
    assert_eq!((&everybody["online"], &everybody["full"]), (&json!(2), &json!(true)));
    told(&mut bob).await;
    let later = server.state.clock.now().plus(Duration::from_secs(3_600));
    workers::sweep_presence(&server.state, later).await.unwrap();
    bob.drain().await;
    assert_eq!(statuses(&server, &mut bob, NOW).await, [""; 0]);
    drop(alice);
    has_connections(&server, "post:1", 1).await;
    assert_eq!(statuses(&server, &mut bob, AFTER).await, ["alice=offline"]);
}
