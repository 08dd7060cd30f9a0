//! Who may open a session, and what is said to the others.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tidings_gateway::{Admission, Config, Guard, Rejection};

use crate::support::{Poller, Server, Ws, config, within};

async fn get(server: &Server, query: &str) -> (u16, String) {
    let response = within(reqwest::get(server.url(query))).await.expect("answered");
    (response.status().as_u16(), within(response.text()).await.expect("text"))
}

async fn error(server: &Server, query: &str) -> Value {
    let (status, body) = get(server, query).await;
    assert_eq!(status, 400, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test]
async fn the_open_packet_has_exactly_five_keys() {
    let server = Server::start();
    let (status, body) = get(&server, "EIO=4&transport=polling").await;
    assert_eq!(status, 200);
    let mut open: Value =
        serde_json::from_str(body.strip_prefix('0').expect("open")).expect("JSON");
    assert_eq!(open["sid"].as_str().map(str::len), Some(22));
    open["sid"] = json!("");
    let expected = json!({ "sid": "", "upgrades": ["websocket"], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000 });
    assert_eq!(open, expected);

    let mut ws = Ws::bare(&server, "EIO=4&transport=websocket").await;
    let open: Value = serde_json::from_str(&ws.text().await[1..]).expect("JSON");
    assert_eq!(open["upgrades"], json!([]));
    assert_eq!(open.as_object().map(|keys| keys.len()), Some(5));
}

#[tokio::test]
async fn polling_answers_are_text_and_not_to_be_kept() {
    let server = Server::start();
    let response =
        within(reqwest::get(server.url("EIO=4&transport=polling"))).await.expect("answered");
    assert_eq!(response.headers()["content-type"], "text/plain; charset=UTF-8");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.headers().contains_key("content-length"));
}

#[tokio::test]
async fn errors_are_400_with_code_and_message() {
    let server = Server::start();
    let unknown_transport = json!({ "code": 0, "message": "Transport unknown" });
    assert_eq!(error(&server, "EIO=4").await, unknown_transport);
    assert_eq!(error(&server, "EIO=4&transport=carrier-pigeon").await, unknown_transport);
    let unknown_session = json!({ "code": 1, "message": "Session ID unknown" });
    assert_eq!(error(&server, "EIO=4&transport=polling&sid=x").await, unknown_session);
    let nobody = "A".repeat(22);
    assert_eq!(
        error(&server, &format!("EIO=4&transport=polling&sid={nobody}")).await,
        unknown_session
    );
    let version = json!({ "code": 5, "message": "Unsupported protocol version" });
    assert_eq!(error(&server, "EIO=3&transport=polling").await, version);
    assert_eq!(error(&server, "transport=polling").await, version);
    let bad = json!({ "code": 3, "message": "Bad request" });
    assert_eq!(error(&server, "EIO=4&transport=websocket").await, bad, "no upgrade");

    for method in [reqwest::Method::POST, reqwest::Method::PUT] {
        let request = reqwest::Client::new().request(method, server.url("EIO=4&transport=polling"));
        let response = within(request.send()).await.expect("answered");
        assert_eq!(response.status(), 400);
        let body: Value = within(response.json()).await.expect("JSON");
        assert_eq!(body, json!({ "code": 2, "message": "Bad handshake method" }));
    }
    assert_eq!(server.gateway.connections(), 0);
}

#[tokio::test]
async fn the_path_counts_with_and_without_its_last_slash() {
    let server = Server::start();
    let base = format!("http://{}", server.address);
    for (path, own) in
        [("/socket.io", true), ("/socket.io/", true), ("/socket.iox", false), ("/", false)]
    {
        let response = within(reqwest::get(format!("{base}{path}"))).await.expect("answered");
        assert_eq!(response.status() == 400, own, "{path}");
        let body = within(response.text()).await.expect("text");
        assert_eq!(
            body,
            if own {
                r#"{"code":0,"message":"Transport unknown"}"#.into()
            } else {
                format!("fallback {path} true")
            }
        );
    }
}

#[tokio::test]
async fn capacity_is_a_503() {
    let server = Server::with(Config { max_connections: 4, saturation: 0.5, ..config() });
    let first = Ws::open(&server).await;
    let second = Poller::open(&server).await;
    let (status, body) = get(&server, "EIO=4&transport=polling").await;
    assert_eq!((status, body.contains("Server at capacity")), (503, true));
    assert!(Ws::try_open(server.address, "EIO=4&transport=websocket").await.is_err());
    assert_eq!(server.gateway.connections(), 2, "those refused are not counted");
    assert_eq!(second.post("1").await.0, 200);
    crate::support::eventually(|| server.gateway.connections() == 1).await;
    let third = Ws::open(&server).await;
    drop((first, third));
    crate::support::eventually(|| server.gateway.connections() == 0).await;
}

/// Lets in who has the right header.
struct Door;

impl Guard for Door {
    fn check(
        &self,
        request: &Parts,
        peer: SocketAddr,
        handshake: bool,
    ) -> Result<Admission, Rejection> {
        if handshake
            && request.headers.get("x-pass").is_none()
            && request.method != http::Method::OPTIONS
        {
            let mut rejection =
                Rejection::json(StatusCode::FORBIDDEN, r#"{"code":4,"message":"Forbidden"}"#);
            rejection.headers.push((http::header::VARY, HeaderValue::from_static("origin")));
            return Err(rejection);
        }
        let mut cors = HeaderMap::new();
        cors.insert("access-control-allow-origin", HeaderValue::from_static("https://example.org"));
        let extension = Some(Arc::new("who") as Arc<_>);
        Ok(Admission { client_ip: peer.ip(), extension, cors: Some(cors) })
    }
}

#[tokio::test]
async fn the_guard_is_asked_first_and_its_headers_are_on_every_answer() {
    let server = Server::build(config(), |builder| builder.guard(Arc::new(Door)));
    let client = reqwest::Client::new();
    let url = server.url("EIO=4&transport=polling");

    let refused = within(client.get(&url).send()).await.expect("answered");
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["vary"].as_bytes()),
        (403, &b"origin"[..])
    );

    let preflight =
        within(client.request(reqwest::Method::OPTIONS, &url).send()).await.expect("answered");
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "https://example.org");

    let opened = within(client.get(&url).header("x-pass", "1").send()).await.expect("answered");
    assert_eq!(opened.status(), 200);
    assert_eq!(opened.headers()["access-control-allow-origin"], "https://example.org");
    let bad = within(client.get(server.url("EIO=4")).header("x-pass", "1").send())
        .await
        .expect("answered");
    assert_eq!(bad.status(), 400);
    assert_eq!(bad.headers()["access-control-allow-origin"], "https://example.org");
}

#[tokio::test]
async fn the_handshake_is_remembered() {
    let server = Server::build(config(), |builder| builder.guard(Arc::new(Door)));
    let client = reqwest::Client::new();
    let url = server.url("EIO=4&transport=polling&token=a%2Bb");
    let request = client
        .get(&url)
        .header("x-pass", "1")
        .header("user-agent", "bell/1")
        .header("authorization", "Bearer x");
    let opened =
        within(within(request.send()).await.expect("answered").text()).await.expect("text");
    let open: Value = serde_json::from_str(&opened[1..]).expect("JSON");
    let url = format!("{url}&sid={}", open["sid"].as_str().expect("sid"));
    within(client.post(&url).body("40").send()).await.expect("answered");
    server.call().await;
    server.call().await;

    let sockets = server.gateway.sockets("/");
    let handshake = sockets[0].handshake();
    assert_eq!(handshake.query_param("token").as_deref(), Some("a+b"));
    assert_eq!(handshake.headers["user-agent"], "bell/1");
    assert_eq!(handshake.header(&http::header::AUTHORIZATION), Some("Bearer x"));
    assert!(handshake.headers.get("x-pass").is_none(), "only the configured ones");
    assert_eq!(&*handshake.path, "/socket.io/");
    assert!(handshake.client_ip.is_loopback() && handshake.issued_ms > 1_700_000_000_000);
    let extension = handshake.extension.clone().and_then(|who| who.downcast::<&str>().ok());
    assert_eq!(extension.as_deref(), Some(&"who"));
    assert_eq!(sockets[0].transport(), "polling");
    assert!(!format!("{:?}", handshake).contains("a%2Bb"), "secrets are not printed");
}
