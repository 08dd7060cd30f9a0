//! What a token costs at each connect.
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so by failing")]

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use tidings_server::{
    auth::{Revocations, TokenVerifier},
    clock::SystemClock,
    config::Auth,
};

const SECRET: &str = "a secret of the benchmark, 32 bytes";

fn verify(c: &mut Criterion) {
    let config = Auth { jwt_secret: Some(SECRET.to_owned()), ..Auth::default() };
    let clock = Arc::new(SystemClock);
    let revocations = Arc::new(Revocations::new(clock.clone()));
    let verifier = TokenVerifier::new(&config, None, revocations, clock);
    let verifier = verifier.expect("a verifier");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let plain = json!({ "sub": "alice", "exp": 4_000_000_000_u64 });
    let full = json!({
        "sub": "alice", "exp": 4_000_000_000_u64, "roles": ["editor"], "groups": ["g1", "g2"],
        "rooms": ["post:*", "task:1"], "permissions": ["notifications:send"],
    });
    let mut group = c.benchmark_group("token");
    for (name, claims) in [("HS256", plain), ("HS256 with claims", full)] {
        let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("signed");
        group.bench_function(name, |b| {
            b.iter(|| verifier.verify_locally(black_box(&token)).expect("known").expect("good"));
        });
    }
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
