//! Rooms that remember, and what a client wants to hear of a room.

use serde_json::{Value, json};

use crate::{
    recovery::{back, cut},
    rooms::{joins, with_claims},
    support::{Client, TestServer, logged},
};

async fn start() -> TestServer {
    TestServer::with(|config| {
        let kind = json!({ "rule": "everyone", "history": { "messages": 5, "age": "1h" } });
        config.rooms.insert("feed".into(), serde_json::from_value(kind).expect("a kind"));
        let plain = json!({ "rule": "everyone" });
        config.rooms.insert("open".into(), serde_json::from_value(plain).expect("a kind"));
    })
    .await
}

async fn says(server: &TestServer, room: &str, name: &str, n: u64) {
    let event = json!({ "type": name, "data": { "n": n } });
    server.api().post(&format!("/rooms/{room}/events"), &event).await.json(202);
}

fn numbers(events: &[(String, Value)]) -> Vec<u64> {
    events.iter().filter_map(|(_, data)| data["n"].as_u64()).collect()
}

#[tokio::test]
async fn who_comes_back_with_its_position_is_told_what_it_missed() {
    let server = start().await;
    let mut alice = server.connect("alice").await;
    let answer = alice.ask("room:join", json!("feed:1")).await;
    let start = answer["rooms"][0]["position"].clone();
    assert_eq!(start["epoch"].as_str().map(str::len), Some(16), "{answer}");
    assert!(answer["rooms"][0].get("recovered").is_none());
    assert_eq!(alice.wait("room:joined").await["position"], start);
    says(&server, "feed:1", "said", 1).await;
    let (data, meta) = alice.wait_with_meta("said").await;
    assert_eq!(
        (&data["n"], &meta["room"], &meta["epoch"]),
        (&json!(1), &json!("feed:1"), &start["epoch"])
    );
    let position = json!({ "epoch": meta["epoch"], "offset": meta["offset"] });
    drop(alice);
    for n in 2..=4 {
        says(&server, "feed:1", "said", n).await;
        says(&server, "feed:2", "said", 99).await;
    }
    let volatile = json!({ "type": "said", "data": { "n": 98 }, "volatile": true });
    server.api().post("/rooms/feed:1/events", &volatile).await.json(202);
    let mut alice = server.connect("alice").await;
    let answer = alice.ask("room:join", json!({ "room": "feed:1", "since": position })).await;
    assert_eq!((&answer["ok"], &answer["rooms"][0]["recovered"]), (&json!(true), &json!(true)));
    let heard = alice.drain().await;
    assert_eq!(heard[0].0, "room:joined");
    assert_eq!(numbers(&heard), [2, 3, 4]);
    says(&server, "feed:1", "said", 5).await;
    assert_eq!(alice.wait("said").await["n"], 5);
}

#[tokio::test]
async fn what_is_forgotten_shows_as_not_recovered() {
    let server = start().await;
    let mut alice = server.connect("alice").await;
    let answer = alice.ask("room:join", json!("feed:1")).await;
    let position = answer["rooms"][0]["position"].clone();
    drop(alice);
    for n in 0..6 {
        says(&server, "feed:1", "said", n).await;
    }
    let strange = json!({ "epoch": "0123456789abcdef", "offset": 1 });
    for since in [position, strange] {
        let mut alice = server.connect("alice").await;
        let answer = alice.ask("room:join", json!({ "room": "feed:1", "since": since })).await;
        assert_eq!(
            (&answer["ok"], &answer["rooms"][0]["recovered"]),
            (&json!(true), &json!(false))
        );
        assert!(numbers(&alice.drain().await).is_empty());
        says(&server, "feed:1", "said", 7).await;
        assert_eq!(alice.wait("said").await["n"], 7, "it goes on from here");
    }
    let mut alice = server.connect("alice").await;
    for bad in [json!({ "epoch": "x", "offset": 1 }), json!(5), json!({ "offset": 1 })] {
        let answer = alice.ask("room:join", json!({ "room": "feed:1", "since": bad })).await;
        assert_eq!(answer["error"]["code"], "INVALID");
        let message = answer["error"]["message"].as_str().expect("text");
        assert!(message.starts_with("since"), "{message}");
    }
}

#[tokio::test]
async fn nothing_is_missed_or_doubled_while_others_speak() {
    const MESSAGES: u64 = 60;
    let server = TestServer::with(|config| {
        config.limits.client_messages = 100_000;
        let kind = json!({ "rule": "everyone", "history": { "messages": 1000, "age": "1h" } });
        config.rooms.insert("feed".into(), serde_json::from_value(kind).expect("a kind"));
    })
    .await;
    let mut alice = server.connect("alice").await;
    let answer = alice.ask("room:join", json!("feed:1")).await;
    let mut since = answer["rooms"][0]["position"].clone();
    alice.emit("room:leave", json!("feed:1")).await;
    let speaking = async {
        for n in 1..=MESSAGES {
            says(&server, "feed:1", "said", n).await;
        }
    };
    let listening = async {
        let mut heard = Vec::new();
        while heard.last() != Some(&MESSAGES) {
            let wish = json!({ "room": "feed:1", "since": since });
            let answer = alice.ask("room:join", wish).await;
            assert_eq!(answer["rooms"][0]["recovered"], true);
            since = answer["rooms"][0]["position"].clone();
            alice.ask("room:leave", json!("feed:1")).await;
            for (name, args) in alice.heard_with_meta() {
                if name == "said" {
                    heard.push(args[0]["n"].as_u64().expect("a number"));
                    since["offset"] =
                        since["offset"].as_u64().max(args[1]["offset"].as_u64()).into();
                }
            }
        }
        heard
    };
    let ((), heard) = tokio::join!(speaking, listening);
    assert_eq!(heard, (1..=MESSAGES).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_hears_only_what_it_asked_for() {
    let server = start().await;
    let mut alice = server.connect("alice").await;
    let mut bob = server.connect("bob").await;
    let wish = json!({ "room": "open:1", "events": ["task:update", "comment:*"] });
    assert_eq!(alice.ask("room:join", wish).await["ok"], true);
    joins(&mut bob, "open:1").await;
    let all = ["task:update", "comment:added", "task:assigned"];
    let say = async || {
        for name in all {
            says(&server, "open:1", name, 1).await;
        }
    };
    let names = |events: Vec<(String, Value)>| -> Vec<String> {
        let said = events.into_iter().filter(|(_, data)| data["n"] == 1);
        said.map(|(name, _)| name).collect()
    };
    say().await;
    assert_eq!(names(alice.drain().await), ["task:update", "comment:added"]);
    assert_eq!(names(bob.drain().await), all);
    // The last wish counts.
    assert_eq!(
        alice.ask("room:join", json!({ "room": "open:1", "events": ["task:*"] })).await["ok"],
        true
    );
    say().await;
    assert_eq!(names(alice.drain().await), ["task:update", "task:assigned"]);
    // Also for what is missed.
    let claim = cut(&server, alice, "alice").await;
    say().await;
    let (mut alice, _) = back(&server, claim).await;
    assert_eq!(names(alice.heard()), ["task:update", "task:assigned"]);
    alice.wait("connected").await;
    say().await;
    assert_eq!(names(alice.drain().await), ["task:update", "task:assigned"]);
    assert_eq!(alice.ask("room:join", json!("open:1")).await["ok"], true);
    say().await;
    assert_eq!(names(alice.drain().await), all);
    let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    for bad in [json!([]), json!(["a*b"]), json!("task:update"), json!([""]), json!(many)] {
        let answer = alice.ask("room:join", json!({ "room": "open:1", "events": bad })).await;
        assert_eq!(answer["error"]["code"], "INVALID", "{bad}");
        let message = answer["error"]["message"].as_str().expect("text");
        assert!(message.starts_with("events"), "{message}");
    }
}

#[tokio::test]
async fn a_room_has_a_bounded_number_of_different_filters() {
    let server = TestServer::with(|config| {
        config.limits.connections_per_user = 100;
        let plain = json!({ "rule": "everyone" });
        config.rooms.insert("open".into(), serde_json::from_value(plain).expect("a kind"));
    })
    .await;
    let mut clients = Vec::new();
    for n in 0..64 {
        let mut client = server.connect("alice").await;
        let wish = json!({ "room": "open:1", "events": [format!("task:{n}")] });
        assert_eq!(client.ask("room:join", wish).await["ok"], true);
        clients.push(client);
    }
    let mut one_more = server.connect("alice").await;
    let wish = |name: &str| json!({ "room": "open:1", "events": [name] });
    let answer = one_more.ask("room:join", wish("task:64")).await;
    assert_eq!(answer["error"]["code"], "TOO_MANY_FILTERS");
    assert_eq!(one_more.ask("room:join", wish("task:63")).await["ok"], true);
}

#[tokio::test]
async fn audiences_hold_for_who_comes_back_and_follow_a_renewed_token() {
    let server = TestServer::with(|config| {
        let spec = json!({
            "schema": { "type": "object" },
            "audiences": { "architect": ["*"], "*": ["taskId"] }
        });
        config.events.insert("task:update".into(), serde_json::from_value(spec).expect("a type"));
        let plain = json!({ "rule": "everyone" });
        config.rooms.insert("open".into(), serde_json::from_value(plain).expect("a kind"));
    })
    .await;
    let say = async || {
        let event = json!({ "type": "task:update", "data": { "taskId": 1, "cost": 5 } });
        server.api().post("/rooms/open:1/events", &event).await.json(202);
    };
    let mut lead = with_claims(&server, "lead", json!({ "roles": ["architect"] })).await;
    let mut guest = with_claims(&server, "guest", json!({ "roles": ["other"] })).await;
    joins(&mut lead, "open:1").await;
    joins(&mut guest, "open:1").await;
    let (whole, part) = (json!({ "taskId": 1, "cost": 5 }), json!({ "taskId": 1 }));
    say().await;
    assert_eq!(lead.wait("task:update").await, whole);
    assert_eq!(guest.wait("task:update").await, part);
    let claim = cut(&server, guest, "guest").await;
    say().await;
    let (mut guest, _) = back(&server, claim).await;
    assert_eq!(guest.wait("task:update").await, part);
    assert_eq!(guest.wait("connected").await["recovered"], true);
    assert_eq!(lead.wait("task:update").await, whole);
    // No longer an architect.
    let token = server.token("lead");
    assert_eq!(lead.ask("auth:refresh", json!({ "token": token })).await["ok"], true);
    say().await;
    assert_eq!(lead.wait("task:update").await, part);
    assert_eq!(guest.wait("task:update").await, part);
}

#[tokio::test]
async fn volatile_events_pass_by_who_is_away() {
    let server = start().await;
    let mut alice = server.connect("alice").await;
    joins(&mut alice, "open:1").await;
    let volatile = |n: u64| json!({ "type": "said", "data": { "n": n }, "volatile": true });
    server.api().post("/rooms/open:1/events", &volatile(1)).await.json(202);
    assert_eq!(alice.wait("said").await["n"], 1);
    let claim = cut(&server, alice, "alice").await;
    server.api().post("/rooms/open:1/events", &volatile(2)).await.json(202);
    says(&server, "open:1", "said", 3).await;
    let (mut alice, _): (Client, _) = back(&server, claim).await;
    assert_eq!(numbers(&alice.heard()), [3]);
}

#[tokio::test]
async fn events_are_logged_only_on_demand_and_without_secrets() {
    let event = |marker: &str| json!({ "type": "said", "data": { "marker": marker, "password": "hunter2" } });
    let silent = start().await;
    silent.api().post("/rooms/open:1/events", &event("marker-of-silence")).await.json(202);
    let server = TestServer::with(|config| config.log.room_events = true).await;
    server.api().post("/rooms/post:1/events", &event("marker-of-speech")).await.json(202);
    assert!(logged(&["room.event", "post:1", "marker-of-speech"]));
    assert!(!logged(&["marker-of-silence"]) && !logged(&["hunter2"]));
}
