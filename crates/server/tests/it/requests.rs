//! What every request has: an id, limits, and an answer even where there is nothing.

use serde_json::json;

use crate::support::{Answer, TestServer};

#[tokio::test]
async fn the_same_routes_lie_under_api_and_api_v1() {
    let server = TestServer::start().await;
    let mut old = server.api();
    old.prefix = "/api";
    let id = old.notify("alice", "x").await;
    let mut alice = server.user("alice");
    for prefix in ["/api", "/api/v1"] {
        alice.prefix = prefix;
        let got = alice.get(&format!("/notifications/{id}")).await.json(200);
        assert_eq!(got["id"], id);
        assert_eq!(alice.get("/health/live").await.json(200)["status"], "ok");
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_the_callers_if_it_is_sane() {
    let server = TestServer::start().await;
    let alice = server.user("alice");
    let ask =
        |id: &str| Answer::of(alice.request("GET", "/notifications").header("x-request-id", id));
    assert_eq!(ask("trace-1.a:b").await.header("x-request-id"), "trace-1.a:b");
    for odd in ["<script>", "a b", &"x".repeat(129), ""] {
        let made = ask(odd).await.header("x-request-id").to_owned();
        assert!(made.len() == 16 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{made}");
    }
    for path in ["/nothing", "/api/v1/notifications", "/health", "/metrics"] {
        assert!(!server.page(path).await.header("x-request-id").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_users_requests_are_limited_and_counted_in_headers() {
    let server = TestServer::with(|config| config.limits.user_requests = 3).await;
    let alice = server.user("alice");
    for left in ["2", "1", "0"] {
        let answer = alice.get("/notifications/unread-count").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-limit"), "3");
        assert_eq!(answer.header("ratelimit-remaining"), left);
        let reset: u64 = answer.header("ratelimit-reset").parse().unwrap();
        assert!((1..=60).contains(&reset), "{reset}");
    }
    let refused = alice.get("/notifications/unread-count").await;
    let problem = refused.problem(429, "RATE_LIMIT");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=21).contains(&wait), "{wait}");
    assert_eq!(problem["retryAfter"], wait);
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    // Everybody has a bucket of their own; servers have none.
    assert_eq!(server.user("bob").get("/notifications").await.status, 200);
    assert_eq!(server.api().get("/announcements/x").await.header("ratelimit-limit"), "");
}

#[tokio::test]
async fn where_there_is_nothing_the_answer_is_a_problem() {
    let server = TestServer::start().await;
    for path in ["/nothing", "/", "/api", "/api/v1", "/api/v1/nothing", "/api/nothing/at/all"] {
        server.page(path).await.problem(404, "NOT_FOUND");
    }
    let api = server.api();
    for (method, path) in [
        ("PATCH", "/notifications"),
        ("POST", "/notifications/unread-count"),
        ("GET", "/notifications/read-all/x/y"),
        ("PATCH", "/users/alice"),
        ("GET", "/tokens"),
        ("POST", "/health"),
    ] {
        let answer = Answer::of(api.request(method, path).json(&json!({}))).await;
        match answer.status {
            404 => answer.problem(404, "NOT_FOUND"),
            _ => answer.problem(405, "METHOD_NOT_ALLOWED"),
        };
    }
    let answer = Answer::of(api.http.post(format!("{}/health", api.origin))).await;
    answer.problem(405, "METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn answers_are_not_kept_by_anybody_in_between() {
    let server = TestServer::start().await;
    let answer = server.user("alice").get("/notifications").await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let count = server.user("alice").get("/notifications/unread-count").await;
    assert_eq!(count.header("cache-control"), "private, no-cache");
}
