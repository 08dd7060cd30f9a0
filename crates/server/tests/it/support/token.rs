use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tidings_core::ports::Clock as _;
use tidings_server::clock::SystemClock;

/// The shared secret of the servers in these tests.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub fn now_secs() -> i64 {
    SystemClock.now().as_millis() / 1000
}

/// Claims that hold for an hour.
pub fn claims(user: &str) -> Value {
    json!({ "sub": user, "exp": now_secs() + 3600 })
}

/// Signs with the shared secret.
pub fn sign(claims: &Value) -> String {
    sign_as(claims, Header::new(Algorithm::HS256), &EncodingKey::from_secret(SECRET.as_bytes()))
}

pub fn sign_as(claims: &Value, header: Header, key: &EncodingKey) -> String {
    jsonwebtoken::encode(&header, claims, key).expect("a token")
}
