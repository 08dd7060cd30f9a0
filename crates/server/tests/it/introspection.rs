//! Tokens that say nothing by themselves: the application's auth service says what they stand for.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tidings_server::config::{self, Config};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::support::{
    Answer, Answering, Api, Client, Says, TestServer, claims, eventually, now_secs, sign, within,
};

const HOUR: Duration = Duration::from_secs(3600);

fn ask(service: &Answering) -> impl FnOnce(&mut Config) {
    let url = service.url();
    move |config| {
        let introspection = &mut config.auth.introspection;
        introspection.url = Some(url);
        // Whoever does not answer in time is asked again, and tests count the questions.
        introspection.timeout = Duration::from_secs(10);
        introspection.client_id = "tidings".into();
        introspection.client_secret = "a:b c".into();
    }
}

fn active(user: &str) -> Value {
    json!({ "active": true, "sub": user, "exp": now_secs() + 3600 })
}

fn inactive() -> Says {
    Says::Json(json!({ "active": false }))
}

fn caller(server: &TestServer, token: &str) -> Api {
    server.caller(Some(token.to_owned()))
}

async fn get(server: &TestServer, token: &str) -> Answer {
    caller(server, token).get("/notifications").await
}

async fn join(server: &TestServer, token: &str) -> Client {
    let mut client = Client::open(server.address).await;
    client.join(json!({ "token": token })).await;
    client.wait("notifications:pending").await;
    client
}

#[tokio::test]
async fn it_is_asked_as_the_standard_says() {
    let service = Answering::start(Says::Json(active("alice"))).await;
    let server = TestServer::with(ask(&service)).await;
    get(&server, "opaque+token/with=signs").await.json(200);
    let asked = service.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
    // Both parts are form-encoded: `tidings:a%3Ab+c` in base64.
    assert_eq!(asked[0].headers["authorization"], "Basic dGlkaW5nczphJTNBYitj");
    let form = "token=opaque%2Btoken%2Fwith%3Dsigns&token_type_hint=access_token";
    assert_eq!(asked[0].text(), form);
}

#[tokio::test]
async fn opaque_tokens_open_every_door() {
    let service = Answering::start(Says::Json(active("alice"))).await;
    let server = TestServer::with(ask(&service)).await;
    server.api().notify("alice", "hello").await;
    let listed = get(&server, "opaque").await.json(200);
    assert_eq!(listed["notifications"][0]["message"], "hello");
    let mut client = join(&server, "opaque").await;
    let answer = client.ask("auth:refresh", json!({ "token": "another" })).await;
    assert_eq!(answer["ok"], true, "{answer}");
    for (query, headers) in
        [("&token=opaque", vec![]), ("", vec![("authorization", "Bearer opaque")])]
    {
        let client = Client::try_open(server.address, query, &headers).await;
        let mut client = client.expect("let in");
        client.join(json!({})).await;
        assert_eq!(client.wait("connected").await["userId"], "alice");
    }
    let url = format!("ws://{}/ws", server.address);
    let (mut socket, _) = within(connect_async(url)).await.unwrap();
    let auth = json!({ "type": "auth", "token": "opaque" }).to_string();
    within(socket.send(Message::text(auth))).await.unwrap();
    loop {
        let Message::Text(text) = within(socket.next()).await.unwrap().unwrap() else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        if message["type"] == "connected" {
            assert_eq!(message["userId"], "alice");
            break;
        }
    }
    // The token of another user renews nothing.
    service.say(Says::Json(active("bob")));
    let answer = client.ask("auth:refresh", json!({ "token": "bobs" })).await;
    assert_eq!(answer["error"]["code"], "AUTH_FAILED");
}

#[tokio::test]
async fn what_it_says_is_what_the_user_may() {
    let mut said = active("alice");
    said["groups"] = json!(["7"]);
    said["roles"] = json!(["admin"]);
    said["rooms"] = json!(["task:*"]);
    said["scope"] = json!("openid rooms:send");
    let service = Answering::start(Says::Json(said)).await;
    let server = TestServer::with(ask(&service)).await;
    let mut alice = join(&server, "opaque").await;
    let rooms = ["group:7", "task:1", "admin:broadcast"];
    assert_eq!(alice.ask("room:join", json!(rooms)).await["ok"], true);
    let message = json!({ "room": "task:1", "data": {} });
    assert_eq!(alice.ask("room:message", message).await["ok"], true, "scopes are permissions");
    service.say(Says::Json(active("bob")));
    let mut bob = join(&server, "other").await;
    assert_eq!(bob.ask("room:join", json!("task:1")).await["ok"], false);
}

#[tokio::test]
async fn a_token_that_is_not_active_is_refused_and_remembered_for_a_while() {
    let service = Answering::start(inactive()).await;
    let server = TestServer::with(ask(&service)).await;
    for _ in 0..3 {
        get(&server, "opaque").await.problem(401, "AUTH_FAILED");
    }
    let mut client = Client::open(server.address).await;
    let refusal = client.try_join(json!({ "token": "opaque" })).await.unwrap_err();
    assert_eq!(refusal["data"]["code"], "AUTH_FAILED");
    assert_eq!(service.count(), 1);
    get(&server, "another").await.problem(401, "AUTH_FAILED");
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn answers_are_kept_and_each_token_is_asked_about_once_at_a_time() {
    let service = Answering::start(Says::Later(active("alice"))).await;
    let server = TestServer::with(|config| {
        ask(&service)(config);
        config.auth.introspection.timeout = Duration::from_secs(10);
    })
    .await;
    let requests = (0..5).map(|_| {
        let caller = caller(&server, "opaque");
        tokio::spawn(async move { caller.get("/notifications").await.status })
    });
    let requests: Vec<_> = requests.collect();
    eventually(|| async { service.count() == 1 }).await;
    service.release();
    for request in requests {
        assert_eq!(within(request).await.unwrap(), 200);
    }
    for _ in 0..3 {
        get(&server, "opaque").await.json(200);
    }
    join(&server, "opaque").await;
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn tokens_that_look_alike_are_different_tokens() {
    let service = Answering::start(Says::Json(active("alice"))).await;
    let server = TestServer::with(ask(&service)).await;
    // Three parts, as a JSON Web Token has, but none.
    get(&server, "x.y.first").await.json(200);
    service.say(inactive());
    get(&server, "x.y.second").await.problem(401, "AUTH_FAILED");
    get(&server, "x.y.first").await.json(200);
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn known_tokens_serve_on_while_it_is_away_but_never_beyond_their_end() {
    let service = Answering::start(Says::Json(active("alice"))).await;
    let server = TestServer::with(|config| {
        ask(&service)(config);
        config.auth.introspection.cache = Duration::ZERO;
        config.auth.introspection.grace = HOUR;
    })
    .await;
    get(&server, "opaque").await.json(200);
    let mut short = active("alice");
    let end = now_secs() + 6;
    short["exp"] = json!(end);
    service.say(Says::Json(short));
    let mut client = join(&server, "short").await;
    service.say(Says::Status(503));
    get(&server, "opaque").await.json(200);
    join(&server, "opaque").await;
    get(&server, "unknown").await.problem(503, "AUTH_UNAVAILABLE");
    let mut stranger = Client::open(server.address).await;
    let refusal = stranger.try_join(json!({ "token": "unknown" })).await.unwrap_err();
    assert_eq!(refusal["data"]["code"], "AUTH_UNAVAILABLE");
    // The connection ends with its token, and the token is not good for another.
    let (events, told) = client.until_closed().await;
    assert!(told && events.iter().any(|(_, body)| body["code"] == "TOKEN_EXPIRED"));
    eventually(|| async { now_secs() >= end }).await;
    get(&server, "short").await.problem(401, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn after_the_grace_nothing_is_believed_any_more() {
    let service = Answering::start(Says::Json(active("alice"))).await;
    let server = TestServer::with(|config| {
        ask(&service)(config);
        config.auth.introspection.cache = Duration::ZERO;
        config.auth.introspection.grace = Duration::from_millis(1);
    })
    .await;
    get(&server, "opaque").await.json(200);
    service.say(Says::Status(503));
    eventually(async || get(&server, "opaque").await.status == 503).await;
    get(&server, "opaque").await.problem(503, "AUTH_UNAVAILABLE");
}

#[tokio::test]
async fn one_that_fails_is_left_alone() {
    let service = Answering::start(Says::Status(500)).await;
    let server = TestServer::with(|config| {
        ask(&service)(config);
        config.auth.introspection.pause = HOUR;
    })
    .await;
    for n in 0..10 {
        get(&server, &format!("opaque-{n}")).await.problem(503, "AUTH_UNAVAILABLE");
    }
    assert_eq!(service.count(), 5);
    // JSON Web Tokens never need it.
    get(&server, &sign(&claims("alice"))).await.json(200);
}

#[tokio::test]
async fn answers_that_make_no_sense_are_none() {
    let service = Answering::start(inactive()).await;
    let server = TestServer::with(ask(&service)).await;
    let elsewhere = Answering::start(Says::Json(active("alice"))).await;
    let mut huge = active("alice");
    huge["more"] = json!("x".repeat(100_000));
    let odd = [
        Says::Raw("active".into()),
        Says::Json(json!({ "active": "true", "sub": "alice" })),
        Says::Json(json!([active("alice")])),
        Says::Json(huge),
        Says::Redirect(elsewhere.url()),
        Says::Status(401),
    ];
    for (n, says) in odd.into_iter().enumerate() {
        // A good answer in between, or it would be left alone.
        service.say(inactive());
        get(&server, &format!("none-{n}")).await.problem(401, "AUTH_FAILED");
        service.say(says.clone());
        let answer = get(&server, &format!("odd-{n}")).await;
        assert_eq!(answer.status, 503, "{says:?}: {}", answer.text);
    }
    assert_eq!(elsewhere.count(), 0, "nobody is led elsewhere");
}

#[tokio::test]
async fn claims_that_do_not_fit_are_refused() {
    let service = Answering::start(inactive()).await;
    let server = TestServer::with(|config| {
        ask(&service)(config);
        config.auth.issuer = Some("https://id.example".into());
        config.auth.audience = Some("app".into());
    })
    .await;
    let with = |name: &str, value: Value| {
        let mut said = active("alice");
        said[name] = value;
        said
    };
    for (n, said) in [
        json!({ "active": true, "exp": now_secs() + 60 }),
        with("sub", json!("a b")),
        with("sub", json!(5)),
        with("iss", json!("https://evil.example")),
        with("aud", json!("another")),
        with("aud", json!(["another", "third"])),
        with("nbf", json!(now_secs() + 600)),
        with("roles", json!("admin")),
        with("groups", json!(vec!["g"; 1_001])),
    ]
    .into_iter()
    .enumerate()
    {
        service.say(Says::Json(said.clone()));
        let answer = get(&server, &format!("odd-{n}")).await;
        assert_eq!(answer.status, 401, "{said}: {}", answer.text);
    }
    service.say(Says::Json(with("exp", json!(now_secs() - 60))));
    get(&server, "old").await.problem(401, "TOKEN_EXPIRED");
    service.say(Says::Json(with("aud", json!(["x", "app"]))));
    get(&server, "fine").await.json(200);
    service.say(Says::Json(json!({ "active": true, "sub": "alice" })));
    get(&server, "without an end").await.json(200);
}

#[tokio::test]
async fn only_opaque_tokens_are_shown_to_it() {
    let service = Answering::start(Says::Json(active("alice"))).await;
    let server = TestServer::with(ask(&service)).await;
    get(&server, &sign(&claims("alice"))).await.json(200);
    let mut client = Client::open(server.address).await;
    client.try_join(json!({ "token": server.key })).await.unwrap_err();
    get(&server, &"x".repeat(9_000)).await.problem(401, "AUTH_FAILED");
    server.nobody().get("/notifications").await.problem(401, "AUTH_FAILED");
    let mut other = claims("alice");
    other["sub"] = json!("a b");
    get(&server, &sign(&other)).await.problem(401, "AUTH_FAILED");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn an_opaque_token_is_taken_back_like_another() {
    let mut said = active("alice");
    said["iat"] = json!(now_secs() - 10);
    let service = Answering::start(Says::Json(said)).await;
    let server = TestServer::with(ask(&service)).await;
    let client = join(&server, "opaque").await;
    let mut other = join(&server, "another").await;
    let answer = server.api().post("/tokens/revoke", &json!({ "token": "opaque" })).await.json(200);
    assert_eq!(answer["revoked"], true);
    let mut client = client;
    let (events, told) = client.until_closed().await;
    assert!(told && events.iter().any(|(_, body)| body["code"] == "TOKEN_REVOKED"));
    get(&server, "opaque").await.problem(401, "TOKEN_REVOKED");
    assert_eq!(other.ask("heartbeat", Value::Null).await["ok"], true);
    server.api().post("/users/alice/revoke", &json!({})).await.json(200);
    assert!(other.until_closed().await.1);
    get(&server, "another").await.problem(401, "TOKEN_REVOKED");
}

#[test]
fn settings_that_make_no_sense_are_explained() {
    let mut config = Config::default();
    config.auth.introspection.url = Some("https://id.example/introspect".into());
    config.auth.introspection.client_id = "tidings".into();
    config.auth.introspection.client_secret = "secret-of-the-client".into();
    assert_eq!(config::check(&config), Vec::<String>::new(), "it is a way to check tokens");
    for shown in [toml::to_string(&config).unwrap(), format!("{config:?}")] {
        assert!(!shown.contains("secret-of-the-client"), "{shown}");
    }
    let introspection = &mut config.auth.introspection;
    introspection.url = Some("http://id.example/introspect".into());
    introspection.client_secret.clear();
    introspection.cache = Duration::from_secs(7_200);
    introspection.timeout = Duration::ZERO;
    introspection.concurrency = 0;
    introspection.pause = Duration::ZERO;
    let problems = config::check(&config).join("\n");
    for part in ["url: must be", "client_secret", "cache", "timeout", "concurrency", "pause"] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
}
