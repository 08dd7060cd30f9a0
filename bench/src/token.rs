//! What the connections prove who they are with.

use anyhow::Context as _;
use jsonwebtoken::{EncodingKey, Header};

/// Shared with the servers of one run, all of which end with it.
pub const SECRET: &str = "a secret of the benchmark, on loopback only";
/// Long after every run.
const EXPIRY: u64 = 4_000_000_000;

/// For a user.
pub fn sign_for(user: &str) -> anyhow::Result<String> {
    signed(&serde_json::json!({ "sub": user, "exp": EXPIRY }))
}

/// For a user who may join a room.
pub fn sign_for_room(user: &str, room: &str) -> anyhow::Result<String> {
    signed(&serde_json::json!({ "sub": user, "exp": EXPIRY, "rooms": [room] }))
}

fn signed(claims: &serde_json::Value) -> anyhow::Result<String> {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).context("a token could not be signed")
}
