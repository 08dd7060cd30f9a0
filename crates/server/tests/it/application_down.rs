//! The application is asked who may join a room, and does not answer, or not with sense.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_core::room::RoomKind;
use tidings_server::config::{self, Config};

use crate::{
    application::{ask, join, unavailable, yes},
    support::{Answering, Says, TestServer, eventually, logged, within},
};

#[tokio::test]
async fn one_that_never_answers_is_not_waited_for() {
    let application = Answering::start(Says::Nothing).await;
    let server = TestServer::with(|config| {
        ask(&application)(config);
        config.authorization.timeout = Duration::from_secs(1);
    })
    .await;
    let mut alice = server.connect("alice").await;
    unavailable(join(&mut alice, "desk:1").await);
    // Tried again; what was given up may still be on its way.
    eventually(|| async { application.count() == 3 }).await;
    assert_eq!(alice.ask("heartbeat", Value::Null).await["ok"], true, "the connection is kept");
    // The other kind lets in meanwhile.
    assert_eq!(join(&mut alice, "hall:1").await, Ok(()));
    assert!(logged(&["event=room.refused", "desk:1", "could not be asked"]));
}

#[tokio::test]
async fn one_that_fails_is_left_alone() {
    let application = Answering::start(Says::Status(500)).await;
    let server = TestServer::with(|config| {
        ask(&application)(config);
        config.authorization.pause = Duration::from_secs(3_600);
    })
    .await;
    let mut alice = server.connect("alice").await;
    for n in 0..20 {
        unavailable(join(&mut alice, &format!("desk:{n}")).await);
    }
    assert_eq!(application.count(), 5);
    assert_eq!(join(&mut alice, "hall:1").await, Ok(()));
    application.say(yes());
    unavailable(join(&mut alice, "desk:20").await);
    assert_eq!(application.count(), 5);
}

#[tokio::test]
async fn one_that_answers_again_is_found_again() {
    let application = Answering::start(Says::Status(500)).await;
    let server = TestServer::with(|config| {
        ask(&application)(config);
        config.authorization.pause = Duration::from_millis(50);
    })
    .await;
    let mut alice = server.connect("alice").await;
    unavailable(join(&mut alice, "desk:1").await);
    unavailable(join(&mut alice, "desk:2").await);
    application.say(yes());
    within(async {
        // Another room each time: that nobody answered is remembered for a moment.
        let mut room = 3;
        while join(&mut alice, &format!("desk:{room}")).await.is_err() {
            room += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(join(&mut alice, "desk:last").await, Ok(()));
}

#[tokio::test]
async fn answers_that_make_no_sense_are_none() {
    let application = Answering::start(yes()).await;
    let server = TestServer::with(|config| {
        ask(&application)(config);
        // So that none of these is left out.
        config.authorization.pause = Duration::from_millis(10);
    })
    .await;
    let mut alice = server.connect("alice").await;
    let elsewhere = Answering::start(yes()).await;
    let huge = json!({ "allow": true, "more": "x".repeat(100_000) });
    for (n, says) in [
        Says::Raw("yes".into()),
        Says::Raw(String::new()),
        Says::Json(json!({ "allow": "yes" })),
        Says::Json(json!({ "allowed": true })),
        Says::Json(json!([true])),
        Says::Json(huge),
        Says::Redirect(elsewhere.url()),
        Says::Status(204),
        Says::Status(404),
        Says::Status(401),
    ]
    .into_iter()
    .enumerate()
    {
        // A good answer in between: it is never left alone.
        application.say(yes());
        assert_eq!(join(&mut alice, &format!("desk:good-{n}")).await, Ok(()), "{says:?}");
        let before = application.count();
        application.say(says.clone());
        unavailable(join(&mut alice, &format!("desk:bad-{n}")).await);
        assert_eq!(application.count(), before + 1, "asking again would not help: {says:?}");
    }
    assert_eq!(elsewhere.count(), 0, "nobody is led elsewhere");
}

fn kind(rule: &str) -> RoomKind {
    serde_json::from_value(json!({ "rule": rule, "ask_application": true })).unwrap()
}

#[test]
fn settings_that_make_no_sense_are_explained() {
    let problems = |edit: fn(&mut Config)| {
        let mut config = Config { dev: true, ..Config::default() };
        edit(&mut config);
        config::check(&config).join("\n")
    };
    assert_eq!(problems(|_| {}), "");
    let kinds = problems(|config| {
        config.rooms.insert("desk".into(), kind("member"));
    });
    assert!(kinds.contains("rooms.desk.ask_application: whom?"), "{kinds}");
    let kinds = problems(|config| {
        config.rooms.insert("hall".into(), kind("everyone"));
        config.authorization.url = Some("http://app.example/ask".into());
        config.authorization.timeout = Duration::from_secs(60);
        config.authorization.concurrency = 0;
        config.authorization.pause = Duration::ZERO;
        config.authorization.cache = Duration::from_secs(3_600);
    });
    for part in [
        "only for rule",
        "authorization.url: must be an https",
        "authorization.secret: is missing",
        "authorization.timeout",
        "authorization.concurrency",
        "authorization.pause",
        "authorization.cache",
    ] {
        assert!(kinds.contains(part), "{part}: {kinds}");
    }
    let short = problems(|config| {
        config.authorization.url = Some("http://127.0.0.1.evil.example/".into());
        config.authorization.secret = Some("short".into());
    });
    assert!(
        short.contains("authorization.secret: must have") && short.contains("https"),
        "{short}"
    );
}
