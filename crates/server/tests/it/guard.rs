//! The door: host, origin, client address and the limits per address, for HTTP, polling and
//! WebSocket alike.

use serde_json::json;

use crate::support::{Answer, Client, TestServer, eventually, logged};

const POLL: &str = "/socket.io/?EIO=4&transport=polling";

async fn with_header(server: &TestServer, path: &str, name: &str, value: &str) -> Answer {
    let api = server.nobody();
    Answer::of(api.http.get(format!("{}{path}", api.origin)).header(name, value)).await
}

/// The status of a WebSocket handshake; 101 if it opened.
async fn websocket(server: &TestServer, headers: &[(&'static str, &str)]) -> u16 {
    match Client::try_open(server.address, "", headers).await {
        Ok(_) => 101,
        Err(refused) => refused.status,
    }
}

#[tokio::test]
async fn in_dev_only_names_of_this_machine_are_known() {
    let server = TestServer::with(|config| {
        config.dev = true;
        config.auth.jwt_secret = None;
    })
    .await;
    let port = server.address.port();
    for good in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "127.9.9.9"] {
        for host in [good.to_owned(), format!("{good}:{port}")] {
            assert_eq!(with_header(&server, "/health/live", "host", &host).await.status, 200);
            assert_eq!(with_header(&server, POLL, "host", &host).await.status, 200, "{host}");
        }
    }
    for bad in ["evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.nip.io"] {
        let answer = with_header(&server, "/health/live", "host", bad).await;
        answer.problem(421, "HOST_UNKNOWN");
        let session = with_header(&server, "/playground/session", "host", bad).await;
        session.problem(421, "HOST_UNKNOWN");
        assert_eq!(with_header(&server, POLL, "host", bad).await.status, 403, "{bad}");
        assert_eq!(websocket(&server, &[("host", bad)]).await, 403, "{bad}");
    }
    assert!(logged(&["event=host.refused", "localhost.evil.example"]));
}

#[tokio::test]
async fn configured_hosts_are_the_only_ones() {
    let server = TestServer::with(|config| {
        config.http.hosts = vec!["Tidings.example".into()];
    })
    .await;
    for (host, status) in [("tidings.example", 200), ("TIDINGS.example:8080", 200)] {
        assert_eq!(with_header(&server, "/health", "host", host).await.status, status);
    }
    let answer = with_header(&server, "/health", "host", "localhost").await;
    answer.problem(421, "HOST_UNKNOWN");
}

#[tokio::test]
async fn pages_of_the_own_origin_and_of_configured_ones_may_call() {
    let server = TestServer::with(|config| {
        config.http.origins = vec!["https://app.example".into()];
    })
    .await;
    let own = format!("http://{}", server.address);
    for origin in [own.as_str(), "https://app.example"] {
        let answer = with_header(&server, "/health/live", "origin", origin).await;
        let allowed = if origin == own { "" } else { origin };
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, allowed));
        let polled = with_header(&server, POLL, "origin", origin).await;
        let allow = polled.header("access-control-allow-origin");
        assert_eq!((polled.status, allow), (200, allowed));
        assert_eq!(websocket(&server, &[("origin", origin)]).await, 101);
    }
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil.example",
        "null",
        "http://127.0.0.1:1",
    ] {
        let answer = with_header(&server, "/health/live", "origin", origin).await;
        answer.problem(403, "ORIGIN_REFUSED");
        assert_eq!(answer.header("access-control-allow-origin"), "");
        let polled = with_header(&server, POLL, "origin", origin).await;
        assert_eq!(polled.status, 403);
        assert_eq!(polled.text, r#"{"code":4,"message":"Forbidden"}"#);
        assert_eq!(websocket(&server, &[("origin", origin)]).await, 403);
    }
    assert!(logged(&["event=origin.refused", "https://app.example.evil.example"]));
}

#[tokio::test]
async fn preflights_are_answered_for_known_origins() {
    let server = TestServer::with(|config| {
        config.http.origins = vec!["https://app.example".into()];
    })
    .await;
    let api = server.nobody();
    let ask = |path: &str, origin: &str| {
        let url = format!("{}{path}", api.origin);
        let request = api.http.request(http::Method::OPTIONS, url).header("origin", origin);
        Answer::of(request.header("access-control-request-method", "PATCH"))
    };
    for path in ["/api/v1/notifications/x/read", POLL] {
        let answer = ask(path, "https://app.example").await;
        assert_eq!(answer.status, 204, "{path}: {}", answer.text);
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
        assert!(answer.header("access-control-allow-methods").contains("PATCH"));
        let headers = answer.header("access-control-allow-headers").to_lowercase();
        assert!(headers.contains("authorization") && headers.contains("idempotency-key"));
        assert_eq!(answer.header("access-control-allow-credentials"), "", "no cookies");
        assert!(answer.header("vary").to_lowercase().contains("origin"));
        assert_eq!(ask(path, "https://evil.example").await.status, 403);
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_is_believed_about_addresses() {
    let server = TestServer::with(|config| config.limits.connections_per_ip = 1).await;
    // Nobody is trusted: the header means nothing, and loopback has no limit.
    let mut open = Vec::new();
    for _ in 0..3 {
        let headers = [("x-forwarded-for", "203.0.113.1")];
        open.push(Client::try_open(server.address, "", &headers).await.unwrap());
    }
    let forged = server.caller(Some("forged.guard".into()));
    let request = forged.request("GET", "/notifications");
    Answer::of(request.header("x-forwarded-for", "203.0.113.77")).await.problem(401, "AUTH_FAILED");
    assert!(!logged(&["203.0.113.77"]));
}

#[tokio::test]
async fn connections_are_limited_per_address() {
    let server = TestServer::with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.0/8".into()];
        config.limits.connections_per_ip = 2;
    })
    .await;
    let from = |ip: &'static str| Client::try_open_from(server.address, ip);
    let first = from("203.0.113.1").await.unwrap();
    let _second = from("203.0.113.1").await.unwrap();
    let refused = from("203.0.113.1").await.err().unwrap();
    assert_eq!((refused.status, &refused.body["code"]), (429, &json!("RATE_LIMIT")));
    assert_eq!(refused.retry_after.as_deref(), Some("30"));
    // What a stranger wrote before the proxy's entry is not believed.
    assert_eq!(from("198.51.100.9, 203.0.113.1").await.err().unwrap().status, 429);
    let _other = from("203.0.113.2").await.unwrap();
    // A connection that ends gives its place back.
    drop(first);
    eventually(|| async { from("203.0.113.1").await.is_ok() }).await;
}

#[tokio::test]
async fn attempts_are_limited_per_address() {
    let server = TestServer::with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.1".into()];
        config.limits.connects_per_ip = 3;
        config.limits.connections_per_ip = 1_000;
    })
    .await;
    let begun = std::time::Instant::now();
    let attempts = (0..20).map(|_| Client::try_open_from(server.address, "203.0.113.1"));
    let outcomes = futures_util::future::join_all(attempts).await;
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let refused: Vec<_> = refused.map(|refused| refused.status).collect();
    // Three at once, and three a second after that.
    let most = 3 + 1 + begun.elapsed().as_millis() as usize * 3 / 1_000;
    let let_in = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(
        (3..=most).contains(&let_in) && refused.iter().all(|status| *status == 429),
        "{let_in}, {refused:?}"
    );
    Client::try_open_from(server.address, "203.0.113.2").await.unwrap();
}

#[tokio::test]
async fn a_proxys_client_is_the_one_in_the_log() {
    let server = TestServer::with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.1".into(), "10.0.0.0/8".into()];
    })
    .await;
    let request = server.caller(Some("forged".into())).request("GET", "/notifications");
    let chain = "198.51.100.66, 203.0.113.44, 10.1.2.3";
    Answer::of(request.header("x-forwarded-for", chain)).await.problem(401, "AUTH_FAILED");
    assert!(logged(&["event=token.refused", "ip=203.0.113.44"]));
    assert!(!logged(&["198.51.100.66"]));
}

#[tokio::test]
async fn no_cookie_authenticates_anything() {
    let server = TestServer::start().await;
    let token = server.token("alice");
    let cookie = format!("token={token}; io={token}; session={token}");
    let answer = with_header(&server, "/api/v1/notifications", "cookie", &cookie).await;
    answer.problem(401, "AUTH_FAILED");
    assert_eq!(answer.header("set-cookie"), "");
    let polled = with_header(&server, POLL, "cookie", &cookie).await;
    assert_eq!(polled.header("set-cookie"), "");
    let mut client = Client::try_open(server.address, "", &[("cookie", &cookie)]).await.unwrap();
    client.try_join(json!({})).await.unwrap_err();
}
