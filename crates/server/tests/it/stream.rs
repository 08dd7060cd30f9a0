//! Server-sent events: the same inbox and rooms for clients that have nothing but HTTP.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    Answer, Listener, Sent, Stream, TestServer, Transport, claims, eventually, now_secs, sign,
    within,
};

/// A request of alice's for a stream, with headers of its own.
fn asking(server: &TestServer, query: &str, headers: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let request = server.user("alice").request("GET", &format!("/stream{query}"));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

fn messages(pending: &Sent) -> Vec<&str> {
    let list = pending.data["notifications"].as_array().expect("a list");
    list.iter().map(|notification| notification["message"].as_str().expect("text")).collect()
}

#[tokio::test]
async fn the_inbox_comes_as_events() {
    let server = TestServer::start().await;
    server.api().notify("alice", "before").await;
    let mut alice = Stream::open(&server, &server.token("alice"), "").await;
    let connected = alice.next().await.unwrap();
    assert_eq!(connected.name, "connected");
    assert_eq!(
        (&connected.data["userId"], &connected.data["unread"]),
        (&json!("alice"), &json!(1))
    );
    // Who has got only this has got nothing of the inbox yet.
    assert_eq!(connected.id, None);
    let pending = alice.next().await.unwrap();
    assert_eq!((&*pending.name, pending.id.as_deref()), ("notifications:pending", Some("1")));
    assert_eq!(messages(&pending), ["before"]);
    // White space of the sender's does not break the line of an event.
    let body = "{\"to\":\"alice\",\"type\":\"like\",\"message\":\"now\",\"data\":{\r\n\"a\":\n\r1.50,\"text\":\"x\\ny\"}}";
    server.api().post_raw("/notifications", body).await.json(201);
    let notification = alice.next().await.unwrap();
    assert_eq!((&*notification.name, notification.id.as_deref()), ("notification", Some("2")));
    let inside = &notification.data["notification"];
    assert_eq!((&inside["message"], &inside["type"]), (&json!("now"), &json!("like")));
    assert_eq!(inside["data"], json!({ "a": 1.50, "text": "x\ny" }));
    assert_eq!(alice.next().await.unwrap().data["unread"], 2);
    let id = inside["id"].as_str().unwrap();
    server.user("alice").patch(&format!("/notifications/{id}/read")).await.json(200);
    let updated = alice.next().await.unwrap();
    assert_eq!((&*updated.name, updated.id.as_deref()), ("notification:updated", Some("3")));
    assert_eq!(updated.data["items"][0]["read"], true);
}

#[tokio::test]
async fn who_comes_back_is_told_what_was_missed_and_nothing_twice() {
    let server = TestServer::start().await;
    let mut alice = Stream::of(&server, "alice", "").await;
    for n in 0..3 {
        server.api().notify("alice", &format!("n{n}")).await;
    }
    alice.wait("notification").await;
    alice.wait("notification").await;
    let last = alice.last_id.clone().unwrap();
    assert_eq!(last, "2");
    drop(alice);
    server.api().notify("alice", "n3").await;
    // The header is newer than the address, which a browser does not change.
    let since = "2000-01-01T00:00:00Z";
    for (query, header, expected) in [
        ("", Some("2"), &["n2", "n3"][..]),
        ("?since=0", Some("2"), &["n2", "n3"]),
        ("?lastEventId=3", None, &["n3"]),
        ("?since=1&lastEventId=3", Some(""), &["n1", "n2", "n3"]),
        ("?since=3", Some(""), &["n3"]),
        (&format!("?since={since}"), None, &["n0", "n1", "n2", "n3"]),
        ("", Some("4"), &[]),
    ] {
        let headers: Vec<_> = header.map(|id| ("last-event-id", id)).into_iter().collect();
        let mut again = Stream::try_open(asking(&server, query, &headers)).await.unwrap();
        let pending = again.wait("notifications:pending").await;
        assert_eq!(messages(&pending), expected, "{query} {header:?}");
        assert_eq!(pending.id.as_deref(), Some("4"));
    }
}

#[tokio::test]
async fn coming_back_says_what_the_device_has() {
    let server = TestServer::start().await;
    let mut alice = Stream::of(&server, "alice", "?device=browser").await;
    for n in 0..3 {
        server.api().notify("alice", &format!("n{n}")).await;
    }
    alice.wait("notification").await;
    drop(alice);
    let headers = [("last-event-id", "2")];
    let back = asking(&server, "?device=browser&rooms=post:1", &headers);
    let mut alice = Stream::try_open(back).await.unwrap();
    alice.wait("error").await;
    drop(alice);
    // The next one says nothing, and is told from there.
    eventually(|| async {
        let mut alice = Stream::open(&server, &server.token("alice"), "?device=browser").await;
        messages(&alice.wait("notifications:pending").await) == ["n2"]
    })
    .await;
}

#[tokio::test]
async fn rooms_of_the_address_are_joined_and_refused_ones_are_told() {
    let server = TestServer::start().await;
    let mut claims = claims("alice");
    claims["rooms"] = json!(["post:*"]);
    let query = "?rooms=post:1,task:2,post:%20,,post:3,nonsense:1";
    let mut alice = Stream::open(&server, &sign(&claims), query).await;
    let mut joined = Vec::new();
    let mut refused = Vec::new();
    while joined.len() + refused.len() < 5 {
        let sent = alice.next().await.unwrap();
        assert_eq!(sent.id.is_some(), sent.name.starts_with("notification"), "{sent:?}");
        let room = sent.data["room"].as_str().unwrap_or_default().to_owned();
        match &*sent.name {
            "room:joined" => joined.push(room),
            "error" => refused.push((sent.data["code"].as_str().unwrap().to_owned(), room)),
            _ => {}
        }
    }
    assert_eq!(joined, ["post:1", "post:3"]);
    let expected =
        [("FORBIDDEN", "task:2"), ("INVALID_ROOM", "post: "), ("UNKNOWN_KIND", "nonsense:1")];
    assert_eq!(refused, expected.map(|(code, room)| (code.to_owned(), room.to_owned())));
    let event = json!({ "type": "task:update", "data": { "taskId": 7 } });
    server.api().post("/rooms/post:3/events", &event).await.json(202);
    let sent = alice.next().await.unwrap();
    assert_eq!(sent.data, json!({ "type": "task:update", "taskId": 7 }));
    assert_eq!(sent.id, None);
}

#[tokio::test]
async fn who_proves_nothing_is_answered_with_401() {
    let server = TestServer::start().await;
    let expired = sign(&json!({ "sub": "alice", "exp": now_secs() - 60 }));
    let origin = server.nobody();
    let server_request = |query: &str| origin.request("GET", &format!("/stream{query}"));
    for (query, code) in [
        (String::new(), "AUTH_FAILED"),
        ("?token=forged".into(), "AUTH_FAILED"),
        (format!("?token={expired}"), "TOKEN_EXPIRED"),
        ("?ticket=tdt_1".into(), "TICKET_INVALID"),
        (format!("?token={}", server.key), "AUTH_FAILED"),
    ] {
        let answer = Answer::of(server_request(&query)).await;
        answer.problem(401, code);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let header = server.caller(Some(expired)).get("/stream").await;
    header.problem(401, "TOKEN_EXPIRED");
    let good = format!("?token={}", server.token("alice"));
    assert!(Stream::try_open(server_request(&good)).await.is_ok());
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let server = TestServer::start().await;
    let token = sign(&json!({ "sub": "alice", "exp": now_secs() + 6 }));
    let mut alice = Stream::open(&server, &token, "").await;
    let events = alice.until_closed().await;
    let last = events.last().unwrap();
    assert_eq!((&*last.name, &last.data["code"]), ("error", &json!("TOKEN_EXPIRED")));
    assert!(last.retry.is_some_and(|time| time > 3_000));
    // The browser comes back with the same address, and is told that it may stop.
    server.caller(Some(token)).get("/stream").await.problem(401, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn streams_count_among_the_connections_of_a_user() {
    let server = TestServer::with(|config| config.limits.connections_per_user = 2).await;
    let mut oldest = Stream::of(&server, "alice", "").await;
    let _second = server.connect("alice").await;
    let _third = Stream::of(&server, "alice", "").await;
    let events = oldest.until_closed().await;
    assert_eq!(events.last().unwrap().data["code"], "CONNECTION_LIMIT");
}

#[tokio::test]
async fn a_node_that_is_full_or_going_takes_no_more() {
    let server = TestServer::with(|config| {
        config.limits.connections = 2;
        config.limits.saturation = 1.0;
        config.lifecycle.drain = Duration::from_millis(20);
    })
    .await;
    let mut first = Stream::of(&server, "alice", "").await;
    let second = Stream::of(&server, "bob", "").await;
    let full = server.user("carol").get("/stream").await;
    full.problem(503, "CAPACITY");
    assert_eq!(full.header("retry-after"), "5");
    drop(second);
    eventually(|| async {
        Stream::try_open(server.user("carol").request("GET", "/stream")).await.is_ok()
    })
    .await;
    server.stop().await;
    let events = first.until_closed().await;
    let going = events.last().unwrap();
    assert_eq!(going.name, "server:shutdown");
    // However soon it may come back, it does not knock without a pause.
    let after = going.data["reconnectAfterMs"].as_u64().unwrap();
    assert_eq!(going.retry, Some(after.max(1_000)));
}

#[tokio::test]
async fn streams_are_limited_per_address() {
    let server = TestServer::with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.0/8".into()];
        config.limits.connections_per_ip = 1;
    })
    .await;
    let from = |ip: &'static str| asking(&server, "", &[("x-forwarded-for", ip)]);
    let first = Stream::try_open(from("203.0.113.1")).await.ok().unwrap();
    let answer = Answer::of(from("203.0.113.1")).await;
    answer.problem(429, "RATE_LIMIT");
    assert!(answer.header("retry-after").parse::<u64>().is_ok());
    assert!(Stream::try_open(from("203.0.113.2")).await.is_ok());
    drop(first);
    eventually(|| async { Stream::try_open(from("203.0.113.1")).await.is_ok() }).await;
}

#[tokio::test]
async fn nothing_is_compressed_and_comments_keep_it_alive() {
    let server = TestServer::with(|config| {
        config.gateway.ping_interval = Duration::from_millis(100);
        config.gateway.ping_timeout = Duration::from_millis(100);
        config.limits.idle = Duration::from_millis(150);
    })
    .await;
    let request = asking(&server, "", &[("accept-encoding", "gzip, br")]);
    let mut response = within(request.send()).await.unwrap();
    assert_eq!(response.headers().get("content-encoding"), None);
    let mut text = String::new();
    // Who reads only is not idle.
    while text.matches(": ping\n\n").count() < 5 {
        let chunk = within(response.chunk()).await.unwrap().expect("still open");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

#[tokio::test]
async fn who_reads_is_here() {
    let server = TestServer::start().await;
    let mut token = claims("alice");
    token["rooms"] = json!(["post:1"]);
    let _alice = Stream::open(&server, &sign(&token), "?rooms=post:1").await;
    token["sub"] = json!("bob");
    let (_bob, joined) =
        Listener::join_with(&server, Transport::SocketIo, &sign(&token), "post:1").await;
    assert_eq!(joined, Ok(()));
    let online = async || {
        let here = server.api().get("/presence?room=post:1").await.json(200);
        let users = here["users"].as_array().unwrap().clone();
        users.iter().map(|user| user["userId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    eventually(|| async {
        server.tell_presence(Duration::ZERO).await;
        online().await == ["alice", "bob"]
    })
    .await;
    // The one who could have said something, and did not, counts no more.
    let later = server.state.clock.now().plus(Duration::from_secs(31 * 60));
    tidings_server::workers::sweep_presence(&server.state, later).await.unwrap();
    server.tell_presence(Duration::from_secs(31 * 60)).await;
    assert_eq!(online().await, ["alice"]);
}

#[tokio::test]
async fn pages_of_known_origins_may_read_it() {
    let origin = "https://app.example";
    let server = TestServer::with(|config| config.http.origins = vec![origin.into()]).await;
    let stream = Stream::try_open(asking(&server, "", &[("origin", origin)])).await.ok().unwrap();
    assert_eq!(stream.header("access-control-allow-origin"), Some(origin));
    let foreign = asking(&server, "", &[("origin", "https://evil.example")]);
    Answer::of(foreign).await.problem(403, "ORIGIN_REFUSED");
    let preflight = server.nobody().request("OPTIONS", "/stream");
    let preflight = preflight
        .header("origin", origin)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization, last-event-id");
    let answer = Answer::of(preflight).await;
    assert!(answer.header("access-control-allow-headers").contains("Last-Event-ID"));
}
