//! Tokens: all ways in, and every way to be turned away.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Packet, SECRET, TestServer, claims, logged, now_secs, sign, sign_as,
};

const OTHER_SECRET: &str = "another secret, also 32 bytes long";

fn hs(algorithm: Algorithm, claims: &Value, secret: &str) -> String {
    sign_as(claims, Header::new(algorithm), &EncodingKey::from_secret(secret.as_bytes()))
}

fn unsigned(claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// Tokens that never let anybody in, each with the code that says why.
fn bad_tokens() -> Vec<(&'static str, String, &'static str)> {
    let good = claims("alice");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        sign(&claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        sign(&claims)
    };
    let tampered = {
        let token = sign(&good);
        let (head, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let body = URL_SAFE_NO_PAD.encode(claims("admin").to_string());
        format!("{head}.{body}.{signature}")
    };
    let failed = "AUTH_FAILED";
    vec![
        ("expired", with("exp", (now_secs() - 60).into()), "TOKEN_EXPIRED"),
        (
            "expired and forged",
            {
                let claims = json!({ "sub": "alice", "exp": now_secs() - 60 });
                hs(Algorithm::HS256, &claims, OTHER_SECRET)
            },
            failed,
        ),
        ("forged", hs(Algorithm::HS256, &good, OTHER_SECRET), failed),
        ("tampered", tampered, failed),
        ("unsigned", unsigned(&good), failed),
        ("another algorithm", hs(Algorithm::HS512, &good, SECRET), failed),
        ("without exp", without("exp"), failed),
        ("without sub", without("sub"), failed),
        ("an exp that is text", with("exp", "4000000000".into()), failed),
        ("a sub that is no id", with("sub", "a b".into()), failed),
        ("an empty sub", with("sub", "".into()), failed),
        ("not yet valid", with("nbf", (now_secs() + 600).into()), failed),
        ("no token", "nonsense".to_owned(), failed),
        ("a long one", "x".repeat(8 * 1024 + 1), failed),
    ]
}

#[tokio::test]
async fn a_good_token_gets_in_by_every_way() {
    let server = TestServer::start().await;
    let token = server.token("alice");
    let mut by_auth = Client::open(server.address).await;
    by_auth.join(json!({ "token": token })).await;
    let header = format!("Bearer {token}");
    let headers = [("authorization", &*header)];
    let mut by_header = Client::try_open(server.address, "", &headers).await.unwrap();
    by_header.join(json!({})).await;
    let query = format!("&token={token}");
    let mut by_query = Client::try_open(server.address, &query, &[]).await.unwrap();
    by_query.join(json!({})).await;
    for client in [&mut by_auth, &mut by_header, &mut by_query] {
        assert_eq!(client.wait("connected").await["userId"], "alice");
    }
    let lower = format!("bearer {token}");
    let request = server.nobody().request("GET", "/notifications").header("authorization", lower);
    Answer::of(request).await.json(200);
}

#[tokio::test]
async fn the_token_in_connect_wins_over_header_and_query() {
    let server = TestServer::start().await;
    let query = format!("&token={}", server.token("carol"));
    let header = format!("Bearer {}", server.token("bob"));
    let headers = [("authorization", &*header)];
    let mut client = Client::try_open(server.address, &query, &headers).await.unwrap();
    client.join(json!({ "token": server.token("alice") })).await;
    assert_eq!(client.wait("connected").await["userId"], "alice");
    let mut client = Client::try_open(server.address, &query, &headers).await.unwrap();
    client.join(json!({})).await;
    assert_eq!(client.wait("connected").await["userId"], "bob");
}

#[tokio::test]
async fn a_bad_token_in_connect_is_a_connect_error() {
    let server = TestServer::start().await;
    for (what, token, code) in bad_tokens() {
        let mut client = Client::open(server.address).await;
        let refusal = client.try_join(json!({ "token": token })).await.unwrap_err();
        let message =
            if code == "TOKEN_EXPIRED" { "Token expired" } else { "Authentication failed" };
        assert_eq!(refusal, json!({ "message": message, "data": { "code": code } }), "{what}");
    }
    let mut client = Client::open(server.address).await;
    let refusal = client.try_join(json!({})).await.unwrap_err();
    assert_eq!(refusal["data"]["code"], "AUTH_FAILED");
}

#[tokio::test]
async fn after_a_connect_error_the_client_may_try_again_on_the_same_transport() {
    let server = TestServer::start().await;
    let mut client = Client::open(server.address).await;
    client.try_join(json!({ "token": "nonsense" })).await.unwrap_err();
    client.join(json!({ "token": server.token("alice") })).await;
    assert_eq!(client.wait("connected").await["userId"], "alice");
}

#[tokio::test]
async fn a_bad_token_in_header_or_query_is_answered_401() {
    let server = TestServer::start().await;
    for (what, token, code) in bad_tokens() {
        let header = format!("Bearer {token}");
        let headers = [("authorization", &*header)];
        let refused = Client::try_open(server.address, "", &headers).await.err().expect(what);
        assert_eq!((refused.status, &refused.body["code"]), (401, &json!(code)), "{what}");
        let query = format!("&token={token}");
        let refused = Client::try_open(server.address, &query, &[]).await.err().expect(what);
        assert_eq!((refused.status, &refused.body["code"]), (401, &json!(code)), "{what}");
        let polling = format!("/socket.io/?EIO=4&transport=polling&token={token}");
        let polled = server.page(&polling).await;
        assert_eq!(polled.status, 401, "{what}");
        assert_eq!(polled.header("www-authenticate"), "Bearer");
        let api = server.caller(Some(token)).get("/notifications").await;
        api.problem(401, code);
    }
}

#[tokio::test]
async fn refused_tokens_are_security_events_without_the_token() {
    let server = TestServer::start().await;
    let mut mallory = claims("mallory.forged");
    mallory["jti"] = "mallory.jti".into();
    let token = hs(Algorithm::HS256, &mallory, OTHER_SECRET);
    server.caller(Some(token.clone())).get("/notifications").await.problem(401, "AUTH_FAILED");
    assert!(logged(&["event=token.refused", "door=api", "code=AUTH_FAILED", "ip=127.0.0.1"]));
    let signature = token.rsplit('.').next().unwrap();
    assert!(!logged(&[signature]));
    assert!(!logged(&["mallory.forged"]));
}

#[tokio::test]
async fn auth_that_is_no_object_or_has_bad_fields_says_which() {
    let server = TestServer::start().await;
    let token = server.token("alice");
    for (auth, field) in [
        (json!({ "token": 5 }), "token"),
        (json!({ "token": token, "since": -1 }), "since"),
        (json!({ "token": token, "since": "yesterday" }), "since"),
        (json!({ "token": token, "since": {} }), "since"),
        (json!({ "token": token, "device": "a b" }), "device"),
        (json!({ "token": token, "device": "d".repeat(129) }), "device"),
    ] {
        let mut client = Client::open(server.address).await;
        let refusal = client.try_join(auth).await.unwrap_err();
        assert_eq!(refusal["data"]["code"], "INVALID");
        assert!(refusal["message"].as_str().unwrap().contains(field), "{field}: {refusal}");
    }
    // Fields of the application's own are let be.
    let mut client = Client::open(server.address).await;
    client.join(json!({ "token": token, "tab": [1, 2], "since": null, "device": null })).await;
}

#[tokio::test]
async fn issuer_and_audience_are_checked_when_they_are_configured() {
    let server = TestServer::with(|config| {
        config.auth.issuer = Some("https://id.example".into());
        config.auth.audience = Some("tidings".into());
    })
    .await;
    let status = |issuer: Option<&str>, audience: Value| {
        let mut claims = claims("alice");
        if let Some(issuer) = issuer {
            claims["iss"] = issuer.into();
        }
        if !audience.is_null() {
            claims["aud"] = audience;
        }
        let alice = server.caller(Some(sign(&claims)));
        async move { alice.get("/notifications").await.status }
    };
    let right = Some("https://id.example");
    assert_eq!(status(right, json!("tidings")).await, 200);
    assert_eq!(status(right, json!(["other", "tidings"])).await, 200);
    assert_eq!(status(right, json!("other")).await, 401);
    assert_eq!(status(right, Value::Null).await, 401);
    assert_eq!(status(Some("https://evil.example"), json!("tidings")).await, 401);
    assert_eq!(status(None, json!("tidings")).await, 401);
    let issued = server.api().post("/tokens", &json!({ "userId": "alice" })).await.json(201);
    let own = server.caller(issued["token"].as_str().map(str::to_owned));
    assert_eq!(own.get("/notifications").await.status, 200, "what it signs, it takes");
}

#[tokio::test]
async fn several_keys_serve_at_once_each_for_its_algorithm() {
    let server = TestServer::with(|config| {
        let key = |value: Value| serde_json::from_value(value).unwrap();
        config.auth.jwt_secret = None;
        config.auth.keys = vec![
            key(json!({ "kid": "old", "algorithm": "HS384", "secret": SECRET })),
            key(json!({ "kid": "new", "algorithm": "HS512", "secret": OTHER_SECRET })),
            key(json!({ "algorithm": "RS256", "public_key": include_str!("keys/rsa.pub.pem") })),
            key(json!({ "kid": "ec", "algorithm": "ES256", "public_key": include_str!("keys/p256.pub.pem") })),
            key(json!({ "kid": "ed", "algorithm": "EdDSA", "public_key": include_str!("keys/ed25519.pub.pem") })),
        ];
    })
    .await;
    let secret = |secret: &str| EncodingKey::from_secret(secret.as_bytes());
    let rsa = EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")).unwrap();
    let other_rsa = EncodingKey::from_rsa_pem(include_bytes!("keys/rsa-other.pem")).unwrap();
    let ec = EncodingKey::from_ec_pem(include_bytes!("keys/p256.pem")).unwrap();
    let ed = EncodingKey::from_ed_pem(include_bytes!("keys/ed25519.pem")).unwrap();
    let public_as_secret = secret(include_str!("keys/rsa.pub.pem"));
    for (what, algorithm, kid, key, status) in [
        ("old", Algorithm::HS384, Some("old"), secret(SECRET), 200),
        ("new", Algorithm::HS512, Some("new"), secret(OTHER_SECRET), 200),
        ("old under new's name", Algorithm::HS384, Some("new"), secret(SECRET), 401),
        ("new's key under old's name", Algorithm::HS512, Some("old"), secret(OTHER_SECRET), 401),
        ("old's key by another algorithm", Algorithm::HS256, Some("old"), secret(SECRET), 401),
        ("no kid where the key has one", Algorithm::HS384, None, secret(SECRET), 401),
        ("RSA, a key without kid", Algorithm::RS256, None, rsa.clone(), 200),
        ("RSA, any kid", Algorithm::RS256, Some("x"), rsa.clone(), 200),
        ("RSA by another algorithm", Algorithm::RS512, None, rsa, 401),
        ("another RSA key", Algorithm::RS256, None, other_rsa, 401),
        ("EC", Algorithm::ES256, Some("ec"), ec, 200),
        ("Ed25519", Algorithm::EdDSA, Some("ed"), ed, 200),
        ("the public key as a secret", Algorithm::HS256, None, public_as_secret, 401),
    ] {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        let token = sign_as(&claims("alice"), header, &key);
        let answer = server.caller(Some(token)).get("/notifications").await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_token_that_ends_closes_its_connection() {
    let server = TestServer::start().await;
    let token = sign(&json!({ "sub": "alice", "exp": now_secs() + 6 }));
    let mut client = Client::open(server.address).await;
    client.join(json!({ "token": token })).await;
    let (events, told) = client.until_closed().await;
    let (name, body) = events.last().unwrap();
    assert_eq!(name, "error");
    assert_eq!(body, &json!({ "code": "TOKEN_EXPIRED", "message": "Token expired" }));
    assert!(told, "DISCONNECT: it must not come back with that token");
    assert!(now_secs() >= 2);
}

#[tokio::test]
async fn a_renewed_token_keeps_the_connection() {
    let server = TestServer::start().await;
    let short = sign(&json!({ "sub": "alice", "exp": now_secs() + 6 }));
    let mut client = Client::open(server.address).await;
    client.join(json!({ "token": short })).await;
    let exp = now_secs() + 600;
    let long = sign(&json!({ "sub": "alice", "exp": exp }));
    let answer = client.ask("auth:refresh", json!({ "token": long })).await;
    let expires = tidings_core::time::Timestamp::from_millis(exp * 1_000).to_string();
    assert_eq!(answer, json!({ "ok": true, "expiresAt": expires }));
    // The loop that closes expired ones has come by when it closes who came later, twice.
    let mut others = Vec::new();
    for seconds in [6, 7] {
        let later = sign(&json!({ "sub": "bob", "exp": now_secs() + seconds }));
        let mut other = Client::open(server.address).await;
        other.join(json!({ "token": later })).await;
        others.push(other);
    }
    for mut other in others {
        other.until_closed().await;
    }
    assert_eq!(client.ask("heartbeat", Value::Null).await["ok"], true);
}

#[tokio::test]
async fn renewal_takes_a_good_token_of_the_same_user_only() {
    let server = TestServer::start().await;
    let mut alice = server.connect("alice").await;
    let expired = sign(&json!({ "sub": "alice", "exp": now_secs() - 60 }));
    for (arg, code) in [
        (json!({ "token": server.token("bob") }), "AUTH_FAILED"),
        (json!({ "token": expired }), "TOKEN_EXPIRED"),
        (json!({ "token": unsigned(&claims("alice")) }), "AUTH_FAILED"),
        (json!({ "token": "" }), "AUTH_FAILED"),
        (json!({ "token": 5 }), "INVALID"),
        (json!({}), "INVALID"),
        (json!(null), "INVALID"),
    ] {
        let answer = alice.ask("auth:refresh", arg).await;
        assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!(code)));
    }
    assert!(logged(&["event=token.refused", "door=auth:refresh", "the token of another user"]));
    // Nothing of that ended the connection.
    server.api().notify("alice", "still here").await;
    assert_eq!(alice.wait("notification").await["message"], "still here");
}

#[tokio::test]
async fn without_authentication_nothing_is_heard() {
    let server = TestServer::start().await;
    let mut client = Client::open(server.address).await;
    client.try_join(json!({ "token": "x" })).await.unwrap_err();
    // An event on a namespace that was not joined ends the connection.
    client.emit("notification:readAll", json!({})).await;
    assert_eq!(client.packet().await, Packet::Closed);
}
