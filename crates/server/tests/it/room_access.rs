//! Who may be in which room: each ground of each kind, its yes and its no, on each transport.

use serde_json::{Value, json};
use tidings_core::room::RoomKind;

use crate::{
    application::{ask, no, yes},
    support::{Answering, Listener, Plain, Says, TestServer, Transport, claims, logged, sign},
};

/// Kinds whose members are let in.
const KINDS: [&str; 7] = ["group", "post", "thread", "dm", "task", "project", "team"];

struct Row {
    room: String,
    /// What makes the difference.
    ground: &'static str,
    claims: Value,
    is_member: bool,
    expected: Result<(), &'static str>,
}

fn row(room: &str, ground: &'static str, claims: Value, expected: Result<(), &'static str>) -> Row {
    Row { room: room.to_owned(), ground, claims, is_member: false, expected }
}

const YES: Result<(), &str> = Ok(());
const NO: Result<(), &str> = Err("FORBIDDEN");

/// `{}` is the id of the user who asks.
fn rows() -> Vec<Row> {
    let greedy = json!({ "rooms": ["*"], "roles": ["admin"], "groups": ["user:other"] });
    let unfit = json!({ "rooms": ["*"], "groups": ["admin:broadcast", "desk:1"] });
    let mut rows = vec![
        row("user:{}", "rule: the own room", json!({}), YES),
        row("user:other", "rule: the own room", greedy, NO),
        row("admin:broadcast", "rule: role", json!({ "roles": ["x", "admin"] }), YES),
        row("admin:broadcast", "rule: role", unfit.clone(), NO),
        row("desk:1", "rule: a declared role", json!({ "roles": ["staff"] }), YES),
        row("desk:1", "rule: a declared role", unfit, NO),
        row("lobby:1", "rule: everyone", json!({}), YES),
        row("group:7", "token: a bare group", json!({ "groups": ["7"] }), YES),
        row("team:7", "token: a bare group", json!({ "groups": ["7"] }), NO),
        row("nonsense:1", "no such kind", json!({ "rooms": ["*"] }), Err("UNKNOWN_KIND")),
    ];
    for kind in KINDS {
        let room = format!("{kind}:1");
        let of = |claim: &str, value: String| json!({ claim: [value] });
        let by = |ground, claims, expected| row(&room, ground, claims, expected);
        rows.extend([
            by("token: groups", of("groups", room.clone()), YES),
            by("token: groups", of("groups", format!("{kind}:2")), NO),
            by("token: globs", of("rooms", format!("{kind}:*")), YES),
            by("token: globs", of("rooms", format!("{kind}:2*")), NO),
            by("token: roles", of("roles", "admin".into()), NO),
            by("nothing", json!({}), NO),
            Row { is_member: true, ..by("membership", json!({}), YES) },
        ]);
    }
    rows
}

async fn server() -> TestServer {
    TestServer::with(|config| {
        for (name, rule) in [("desk", json!({ "role": "staff" })), ("lobby", json!("everyone"))] {
            let kind: RoomKind = serde_json::from_value(json!({ "rule": rule })).unwrap();
            config.rooms.insert(name.into(), kind);
        }
        config.limits.connections = 1_000;
    })
    .await
}

async fn add(server: &TestServer, room: &str, user: &str) {
    server.api().put(&format!("/rooms/{room}/members/{user}"), &json!({})).await.json(200);
}

async fn check_all(transport: Transport) {
    let server = server().await;
    for (n, row) in rows().into_iter().enumerate() {
        let user = format!("user{n}.{}", format!("{transport:?}").to_lowercase());
        let room = row.room.replace("{}", &user);
        if row.is_member {
            add(&server, &room, &user).await;
        }
        let (mut client, outcome) =
            Listener::join(&server, transport, &user, &row.claims, &room).await;
        let what = format!("{room}, {}, {}", row.ground, row.claims);
        assert_eq!(outcome, row.expected.map_err(str::to_owned), "{what}");
        // Not the answer counts but what comes.
        if row.expected != Err("UNKNOWN_KIND") {
            let hears = client.hears(&server, &user, &room).await;
            assert_eq!(hears, row.expected.is_ok(), "{what}");
        }
        if row.expected == NO {
            let line = ["event=room.refused", &format!("user_id={user}"), &room, "ip=127."];
            assert!(logged(&line), "{what}");
        }
    }
}

#[tokio::test]
async fn over_socket_io() {
    check_all(Transport::SocketIo).await;
}

#[tokio::test]
async fn over_plain_websockets() {
    check_all(Transport::WebSocket).await;
}

#[tokio::test]
async fn over_event_streams() {
    check_all(Transport::Stream).await;
}

#[tokio::test]
async fn the_applications_answer_decides_where_nothing_else_does() {
    let application = Answering::start(yes()).await;
    let server = TestServer::with(|config| {
        ask(&application)(config);
        for kind in KINDS {
            let asks = json!({ "rule": "member", "ask_application": true });
            config.rooms.insert(kind.into(), serde_json::from_value(asks).unwrap());
        }
    })
    .await;
    for transport in Transport::ALL {
        for kind in KINDS {
            let room = format!("{kind}:1");
            let mut asked = application.count();
            for (answer, claims, expected, asks) in [
                (yes(), json!({}), YES, true),
                (no(), json!({}), NO, true),
                // Who is let in by the token anyway is not asked about.
                (no(), json!({ "groups": [room] }), YES, false),
                (Says::Json(json!({ "allow": "maybe" })), json!({}), Err("UNAVAILABLE"), true),
            ] {
                application.say(answer);
                let user = format!("{kind}.{transport:?}.{}{}", expected.is_ok(), asked);
                let (mut client, outcome) =
                    Listener::join(&server, transport, &user, &claims, &room).await;
                assert_eq!(outcome, expected.map_err(str::to_owned), "{user} {claims}");
                assert_eq!(client.hears(&server, &user, &room).await, outcome.is_ok(), "{user}");
                assert_eq!(application.count() > asked, asks, "{user}");
                asked = application.count();
            }
        }
    }
}

#[tokio::test]
async fn a_lost_membership_ends_it_on_each_transport() {
    let server = server().await;
    for transport in Transport::ALL {
        let user = format!("lost.{transport:?}");
        add(&server, "task:1", &user).await;
        let (mut client, outcome) =
            Listener::join(&server, transport, &user, &json!({}), "task:1").await;
        assert_eq!(outcome, Ok(()));
        assert!(client.hears(&server, &user, "task:1").await);
        server.api().delete(&format!("/rooms/task:1/members/{user}")).await.json(200);
        let left = client.wait("room:left").await;
        assert_eq!((&left["room"], &left["reason"]), (&json!("task:1"), &json!("membership")));
        assert!(!client.hears(&server, &user, "task:1").await, "{transport:?}");
    }
}

#[tokio::test]
async fn each_audience_sees_its_fields_on_each_transport() {
    let server = TestServer::with(|config| {
        let declared = json!({
            "review": {
                "schema": { "type": "object", "required": ["id"] },
                "audiences": { "architect": ["*"], "*": ["id"] },
            },
            "fence": { "schema": true },
        });
        config.events = serde_json::from_value(declared).unwrap();
    })
    .await;
    let mut clients = Vec::new();
    for transport in Transport::ALL {
        for role in ["architect", "guest"] {
            let user = format!("{role}.{transport:?}");
            let claims = json!({ "roles": [role], "rooms": ["task:1"] });
            let (client, outcome) =
                Listener::join(&server, transport, &user, &claims, "task:1").await;
            assert_eq!(outcome, Ok(()));
            clients.push((user, client));
        }
    }
    let whole = json!({ "id": 7, "cost": 1_000 });
    let event = json!({ "type": "review", "data": whole });
    server.api().post("/rooms/task:1/events", &event).await.json(202);
    for (user, client) in &mut clients {
        let body = client.wait("review").await;
        assert_eq!(body["id"], 7, "{user}");
        assert_eq!(body.get("cost").is_some(), user.starts_with("architect"), "{user}: {body}");
    }
}

#[tokio::test]
async fn a_renewed_token_is_decided_about_again_on_a_plain_websocket() {
    let server = server().await;
    let mut token = claims("alice");
    token["rooms"] = json!(["post:*"]);
    let mut alice = Plain::open(&server, "/ws").await;
    alice.say(json!({ "type": "auth", "token": sign(&token) })).await;
    alice.say(json!({ "type": "room:join", "rooms": ["post:1", "post:2"], "requestId": 1 })).await;
    assert_eq!(alice.hear("ack").await["ok"], true);
    token["rooms"] = json!(["post:2"]);
    alice.say(json!({ "type": "auth:refresh", "token": sign(&token), "requestId": 2 })).await;
    let left = alice.hear("room:left").await;
    assert_eq!((&left["room"], &left["reason"]), (&json!("post:1"), &json!("token")));
    assert_eq!(alice.hear("ack").await["ok"], true);
    let mut alice = Listener::WebSocket(alice);
    assert!(!alice.hears(&server, "alice", "post:1").await);
    assert!(alice.hears(&server, "alice", "post:2").await);
}
