//! Keys from a key set that an identity provider serves.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Client, TestServer, claims, eventually, now_secs, sign, sign_as};

/// An identity provider on this machine.
#[derive(Clone, Default)]
struct Provider {
    set: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    async fn start(keys: &[(&str, Algorithm, &EncodingKey)]) -> (Self, SocketAddr) {
        let provider = Self::default();
        provider.serve(keys);
        let router = Router::new().route("/jwks", get(answer)).with_state(provider.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (provider, address)
    }

    fn serve(&self, keys: &[(&str, Algorithm, &EncodingKey)]) {
        let keys: Vec<Jwk> = keys
            .iter()
            .map(|(kid, algorithm, key)| {
                let mut jwk = Jwk::from_encoding_key(key, *algorithm).unwrap();
                jwk.common.key_id = Some((*kid).to_owned());
                jwk
            })
            .collect();
        *self.set.lock().unwrap() = Some(json!({ "keys": keys }));
    }

    fn go_away(&self) {
        *self.set.lock().unwrap() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(State(provider): State<Provider>) -> Result<String, StatusCode> {
    provider.asked.fetch_add(1, Ordering::SeqCst);
    let set = provider.set.lock().unwrap();
    set.as_ref().map(Value::to_string).ok_or(StatusCode::SERVICE_UNAVAILABLE)
}

async fn server(provider: SocketAddr, cache: Duration, grace: Duration) -> TestServer {
    TestServer::with(|config| {
        config.auth.jwks_url = Some(format!("http://{provider}/jwks"));
        config.auth.jwks_cache = cache;
        config.auth.jwks_grace = grace;
    })
    .await
}

const HOUR: Duration = Duration::from_secs(3600);

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")).unwrap()
}

fn other_rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(include_bytes!("keys/rsa-other.pem")).unwrap()
}

fn token(kid: Option<&str>, algorithm: Algorithm, key: &EncodingKey) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    sign_as(&claims("alice"), header, key)
}

async fn status(server: &TestServer, token: String) -> u16 {
    server.caller(Some(token)).get("/notifications").await.status
}

#[tokio::test]
async fn tokens_of_every_kind_of_key_are_checked_with_the_set() {
    let ec = EncodingKey::from_ec_pem(include_bytes!("keys/p256.pem")).unwrap();
    let ed = EncodingKey::from_ed_pem(include_bytes!("keys/ed25519.pem")).unwrap();
    let keys = [
        ("r", Algorithm::RS256, &rsa()),
        ("e", Algorithm::ES256, &ec),
        ("d", Algorithm::EdDSA, &ed),
    ];
    let (provider, address) = Provider::start(&keys).await;
    let server = server(address, HOUR, HOUR).await;
    for (kid, algorithm, key) in keys {
        let token = token(Some(kid), algorithm, key);
        assert_eq!(status(&server, token.clone()).await, 200, "{kid}");
        // All ways in, also those that are looked at before the key set can be asked.
        let header = format!("Bearer {token}");
        let headers = [("authorization", &*header)];
        let mut client = Client::try_open(server.address, "", &headers).await.unwrap();
        client.join(json!({})).await;
    }
    assert_eq!(status(&server, token(None, Algorithm::RS256, &rsa())).await, 200, "no kid");
    assert_eq!(status(&server, token(Some("r"), Algorithm::RS256, &other_rsa())).await, 401);
    assert_eq!(status(&server, token(Some("e"), Algorithm::RS256, &rsa())).await, 401);
    assert_eq!(status(&server, server.token("alice")).await, 200, "the shared secret, too");
    assert_eq!(provider.asked(), 1, "cached");
}

#[tokio::test]
async fn a_forged_token_is_refused_in_connect_with_its_code() {
    let (_provider, address) = Provider::start(&[("r", Algorithm::RS256, &rsa())]).await;
    let server = server(address, HOUR, HOUR).await;
    let forged = token(Some("r"), Algorithm::RS256, &other_rsa());
    let mut client = Client::open(server.address).await;
    let refusal = client.try_join(json!({ "token": forged })).await.unwrap_err();
    let failed = json!({ "message": "Authentication failed", "data": { "code": "AUTH_FAILED" } });
    assert_eq!(refusal, failed);
    let expired = json!({ "sub": "alice", "exp": now_secs() - 60 });
    let header = Header { kid: Some("r".into()), ..Header::new(Algorithm::RS256) };
    let refusal =
        client.try_join(json!({ "token": sign_as(&expired, header, &rsa()) })).await.unwrap_err();
    assert_eq!(refusal["data"]["code"], "TOKEN_EXPIRED");
}

#[tokio::test]
async fn strangers_cannot_make_a_flood_of_questions() {
    let (provider, address) = Provider::start(&[("a", Algorithm::RS256, &rsa())]).await;
    let server = server(address, HOUR, HOUR).await;
    assert_eq!(status(&server, token(Some("a"), Algorithm::RS256, &rsa())).await, 200);
    for n in 0..20 {
        let unknown = token(Some(&format!("k{n}")), Algorithm::RS256, &rsa());
        assert_eq!(status(&server, unknown).await, 401);
    }
    assert_eq!(provider.asked(), 1);
    // Local keys never need it.
    assert_eq!(status(&server, sign(&claims("alice"))).await, 200);
}

#[tokio::test]
async fn a_new_key_is_found_when_its_first_token_comes() {
    let (provider, address) = Provider::start(&[("a", Algorithm::RS256, &rsa())]).await;
    let server = server(address, HOUR, HOUR).await;
    let old = token(Some("a"), Algorithm::RS256, &rsa());
    let new = token(Some("b"), Algorithm::RS256, &other_rsa());
    assert_eq!(status(&server, old.clone()).await, 200);
    provider.serve(&[("b", Algorithm::RS256, &other_rsa())]);
    assert_eq!(status(&server, old.clone()).await, 200, "cached");
    // Only one question in 10 s is allowed.
    eventually(|| async { status(&server, new.clone()).await == 200 }).await;
    assert_eq!((status(&server, old).await, provider.asked()), (401, 2));
}

#[tokio::test]
async fn known_keys_serve_on_while_their_source_is_away() {
    let (provider, address) = Provider::start(&[("a", Algorithm::RS256, &rsa())]).await;
    let server = server(address, Duration::from_millis(1), HOUR).await;
    let token = token(Some("a"), Algorithm::RS256, &rsa());
    assert_eq!(status(&server, token.clone()).await, 200);
    provider.go_away();
    assert_eq!(status(&server, token).await, 200);
}

#[tokio::test]
async fn without_keys_the_answer_is_to_try_again() {
    let (provider, address) = Provider::start(&[]).await;
    provider.go_away();
    let server = server(address, HOUR, HOUR).await;
    let token = token(Some("a"), Algorithm::RS256, &rsa());
    let answer = server.caller(Some(token.clone())).get("/notifications").await;
    answer.problem(503, "AUTH_UNAVAILABLE");
    let mut client = Client::open(server.address).await;
    let refusal = client.try_join(json!({ "token": token })).await.unwrap_err();
    assert_eq!(refusal["message"], "Authentication is not available");
    assert_eq!(refusal["data"]["code"], "AUTH_UNAVAILABLE");
}

#[tokio::test]
async fn after_the_grace_the_keys_are_not_trusted_any_more() {
    let (provider, address) = Provider::start(&[("a", Algorithm::RS256, &rsa())]).await;
    let short = Duration::from_millis(50);
    let server = server(address, short, short).await;
    let token = token(Some("a"), Algorithm::RS256, &rsa());
    assert_eq!(status(&server, token.clone()).await, 200);
    provider.go_away();
    eventually(|| async { status(&server, token.clone()).await == 503 }).await;
}

#[tokio::test]
async fn a_secret_in_a_set_that_anybody_may_read_is_no_key() {
    let secret = EncodingKey::from_secret(b"a public secret of at least 32 by");
    let (_provider, address) = Provider::start(&[("s", Algorithm::HS256, &secret)]).await;
    let server = server(address, HOUR, HOUR).await;
    assert_eq!(status(&server, token(Some("s"), Algorithm::HS256, &secret)).await, 401);
}
