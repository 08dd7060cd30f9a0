//! Bad input: a clear answer that names the field or the reason, nothing stored, and the server
//! lives on.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use tidings_core::inbox::SYNC_PAGE;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Answer, TestServer, sign, within};

/// Nothing was stored for anybody that these tests name, and the server still works.
async fn unharmed(server: &TestServer) {
    for user in ["alice", "bob"] {
        let id = user.parse().unwrap();
        let sync = server.state.store.sync(&id, Default::default(), SYNC_PAGE).await.unwrap();
        assert!(sync.items.is_empty() && sync.to.0 == 0, "{user}: {sync:?}");
    }
    server.api().notify("somebody", "still here").await;
}

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    let server = TestServer::start().await;
    let api = server.api();
    for body in [
        "",
        " ",
        "{",
        "nonsense",
        "{\"to\":\"alice\",}",
        "{\"to\":\"alice\",\"type\":\"like\",\"message\":\"x\"} trailing",
        "{\"to\":\"alice\",\"type\":\"like\",\"message\":\"\u{0}\"}",
        "[{\"to\":\"alice\",\"type\":\"like\",\"message\":\"x\"}",
        "[{},]",
    ] {
        let problem = api.post_raw("/notifications", body).await.problem(400, "MALFORMED_JSON");
        assert!(problem["detail"].as_str().unwrap().contains("JSON"), "{problem}");
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn invalid_utf_8_is_malformed() {
    let server = TestServer::start().await;
    let api = server.api();
    let one = b"{\"to\":\"alice\",\"type\":\"like\",\"message\":\"\xff\xfe\"}";
    let several = [b"[".as_slice(), one, b"]"].concat();
    for body in [one.to_vec(), several, vec![0xc3, 0x28]] {
        let problem = api.post_raw("/notifications", body).await.problem(400, "MALFORMED_JSON");
        assert!(problem["detail"].as_str().unwrap().contains("UTF-8"), "{problem}");
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn a_lone_surrogate_is_refused() {
    let server = TestServer::start().await;
    let body = r#"{"to":"alice","type":"like","message":"\ud800"}"#;
    let answer = server.api().post_raw("/notifications", body).await;
    answer.problem(400, "MALFORMED_JSON");
    unharmed(&server).await;
}

#[tokio::test]
async fn wrong_types_are_named() {
    let server = TestServer::start().await;
    let good = json!({ "to": "alice", "type": "like", "message": "x" });
    for (field, value) in [
        ("to", json!(5)),
        ("to", json!(["alice"])),
        ("to", json!({ "users": "alice" })),
        ("to", json!({ "user": "alice" })),
        ("to", json!(null)),
        ("type", json!(["like"])),
        ("message", json!({ "text": "x" })),
        ("message", json!(null)),
        ("actorId", json!("a b")),
        ("entityId", json!(1)),
        ("priority", json!(3)),
        ("priority", json!(-1)),
        ("priority", json!("high")),
        ("actions", json!({})),
        ("sendAt", json!("tomorrow")),
        ("expiresAt", json!(1_700_000_000)),
        ("recipient", json!("alice")),
        ("TO", json!("alice")),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let answer = server.api().post("/notifications", &body).await;
        answer.bad_field(422, &format!("/{field}"), "WRONG_TYPE");
    }
    let mut body = good.clone();
    body["actions"] = json!([{ "label": "x", "url": "/x", "onclick": "y" }]);
    let answer = server.api().post("/notifications", &body).await;
    answer.bad_field(422, "/actions/0/onclick", "WRONG_TYPE");
    for missing in ["to", "type", "message"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(missing);
        let answer = server.api().post("/notifications", &body).await;
        answer.bad_field(422, &format!("/{missing}"), "MISSING");
    }
    for scalar in ["5", "\"alice\"", "null", "true"] {
        server.api().post_raw("/notifications", scalar).await.bad_field(422, "", "WRONG_TYPE");
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn a_field_twice_is_refused() {
    let server = TestServer::start().await;
    let body = r#"{"to":"alice","to":"bob","type":"like","message":"x"}"#;
    let problem = server.api().post_raw("/notifications", body).await.problem(422, "INVALID");
    assert!(problem["detail"].as_str().unwrap().contains("duplicate field `to`"), "{problem}");
    unharmed(&server).await;
}

#[tokio::test]
async fn a_million_levels_are_refused_wherever_they_stand() {
    let server = TestServer::with(|config| {
        config.limits.request_body = 8 << 20;
        config.limits.notification_data = 8 << 20;
    })
    .await;
    let deep = |open: &str, close: &str| open.repeat(1_000_000) + &close.repeat(1_000_000);
    let api = server.api();
    let array = deep("[", "]");
    let answer = api.post_raw("/notifications", array.clone()).await.json(422);
    assert_eq!(answer["results"][0]["problem"]["errors"][0]["pointer"], "/0");
    let unclosed = "[".repeat(2_000_000);
    api.post_raw("/notifications", unclosed).await.problem(400, "MALFORMED_JSON");
    for deep in [array.clone(), deep("{\"a\":", "}").replace(":}", ":1}")] {
        let body = format!(r#"{{"to":"alice","type":"like","message":"x","data":{deep}}}"#);
        api.post_raw("/notifications", body).await.problem(422, "INVALID");
        let body = format!(r#"{{"to":{deep},"type":"like","message":"x"}}"#);
        let answer = api.post_raw("/notifications", body).await;
        assert!([400, 422].contains(&answer.status), "{}", answer.text);
        let body = format!(r#"[{{"to":"alice","type":"like","message":{deep}}}]"#);
        api.post_raw("/notifications", body).await.json(422);
    }
    let object = deep("{\"a\":[", "]}").replace("[]", "[1]");
    let body = format!(r#"{{"to":"alice","type":"like","message":"x","data":{object}}}"#);
    api.post_raw("/notifications", body).await.bad_field(422, "/data", "TOO_DEEP");
    let alice = server.user("alice");
    alice.post_raw("/notifications/read-all", array).await.problem(422, "INVALID");
    unharmed(&server).await;
}

#[tokio::test]
async fn data_has_at_most_10_kilobytes_and_128_levels() {
    let server = TestServer::start().await;
    let send = |data: String| {
        let api = server.api();
        let body = format!(r#"{{"to":"carol","type":"like","message":"x","data":{data}}}"#);
        async move { api.post_raw("/notifications", body).await }
    };
    let of_size = |bytes: usize| format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes - 8));
    send(of_size(10 * 1024)).await.json(201);
    send(of_size(10 * 1024 + 1)).await.bad_field(422, "/data", "PAYLOAD_TOO_LARGE");
    let levels = |n: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(n - 1), "]".repeat(n - 1));
    send(levels(127)).await.json(201);
    send(levels(129)).await.bad_field(422, "/data", "TOO_DEEP");
    unharmed(&server).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_also_without_its_length() {
    let server = TestServer::with(|config| {
        config.limits.request_body = 50_000;
        config.limits.notification_data = 10_000;
        config.limits.event_data = 10_000;
    })
    .await;
    let api = server.api();
    let body = json!({ "to": "alice", "type": "like", "message": "x".repeat(60_000) }).to_string();
    api.post_raw("/notifications", body.clone()).await.problem(413, "PAYLOAD_TOO_LARGE");
    let chunks = |body: &str| {
        let chunks: Vec<_> = body.as_bytes().chunks(1_000).map(<[u8]>::to_vec).collect();
        let chunks = chunks.into_iter().map(|chunk| Frame::data(Bytes::from(chunk)));
        let chunks = chunks.map(Ok::<_, std::convert::Infallible>);
        reqwest::Body::wrap(StreamBody::new(futures_util::stream::iter(chunks)))
    };
    api.post_raw("/notifications", chunks(&body)).await.problem(413, "PAYLOAD_TOO_LARGE");
    let alice = server.user("alice");
    let answer = alice.post_raw("/notifications/read-all", chunks(&body)).await;
    answer.problem(413, "PAYLOAD_TOO_LARGE");
    unharmed(&server).await;
}

#[tokio::test]
async fn a_body_that_ends_early_stores_nothing() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /api/v1/notifications HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n\
         {{\"to\":\"alice\",\"type\":\"like\",\"message\":\"x\"}}",
        server.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = within(stream.read_to_string(&mut answer)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    unharmed(&server).await;
}

#[tokio::test]
async fn what_does_not_say_that_it_is_json_is_not_read() {
    let server = TestServer::start().await;
    let body = r#"{"to":"alice","type":"like","message":"x"}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let request = server.api().request("POST", "/notifications");
        let request = request.header("content-type", kind).body(body);
        Answer::of(request).await.problem(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let bare = server.api().request("POST", "/notifications").body(body);
    Answer::of(bare).await.problem(415, "UNSUPPORTED_MEDIA_TYPE");
    unharmed(&server).await;
    let request = server.api().request("POST", "/notifications");
    let request = request.header("content-type", "Application/JSON; charset=utf-8").body(body);
    Answer::of(request).await.json(201);
}

#[tokio::test]
async fn a_sub_of_10_kilobytes_is_refused() {
    let server = TestServer::start().await;
    let long = |n: usize| sign(&json!({ "sub": "s".repeat(n), "exp": 4_000_000_000u64 }));
    for length in [129, 5_000, 10_240] {
        let user = server.caller(Some(long(length)));
        user.get("/notifications").await.problem(401, "AUTH_FAILED");
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let server = TestServer::start().await;
    let request = server.api().request("GET", "/notifications");
    let answer = within(request.header("x-junk", "j".repeat(200_000)).send()).await;
    assert!(answer.map_or(true, |answer| answer.status().as_u16() == 431));
    unharmed(&server).await;
}

#[tokio::test]
async fn garbage_on_the_port_ends_that_connection_only() {
    let server = TestServer::start().await;
    for garbage in [&b"\x16\x03\x01\x02\x00\x01"[..], b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"));
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn many_bad_requests_at_once_leave_the_server_answering() {
    let server = TestServer::start().await;
    let api = server.api();
    let bad = (0..200).map(|n| {
        let body = "[".repeat(5_000 + n);
        api.post_raw("/notifications", body)
    });
    let answers = futures_util::future::join_all(bad).await;
    assert!(answers.iter().all(|answer| answer.status == 400));
    let live = tokio::time::timeout(Duration::from_secs(5), server.page("/health/live")).await;
    assert_eq!(live.unwrap().json(200), json!({ "status": "ok" }) as Value);
    unharmed(&server).await;
}
