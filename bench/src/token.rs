//! What the connections prove who they are with.

use anyhow::Context as _;
use jsonwebtoken::{EncodingKey, Header};

/// Shared with the servers of one run, all of which end with it.
pub const SECRET: &str = "a secret of the benchmark, on loopback only";
/// Long after every run.
const EXPIRY: u64 = 4_000_000_000;

pub fn sign(user: &str) -> anyhow::Result<String> {
    let claims = serde_json::json!({ "sub": user, "exp": EXPIRY });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).context("a token could not be signed")
}
