//! Keys from a JSON Web Key Set (RFC 7517) that an identity provider serves.
//!
//! They are cached, fetched anew when a token names a key that is not there, and serve on for
//! a while when the provider is away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm},
};
use tokio::sync::Mutex;

use super::TokenError;

/// Largest key set that is read, in bytes.
const MAX_SET: usize = 256 * 1024;
/// Shortest time between two fetches: unknown `kid`s of strangers must not make a flood.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Jwks {
    url: String,
    client: reqwest::Client,
    cache: Duration,
    grace: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Arc<Vec<Jwk>>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl Jwks {
    pub(super) fn new(url: String, cache: Duration, grace: Duration) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot make an HTTP client for the key set")?;
        Ok(Self { url, client, cache, grace, state: Mutex::default() })
    }

    /// The key for a token; `None` if the set has none.
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Option<DecodingKey>, TokenError> {
        let mut state = self.state.lock().await;
        let fresh = state.fetched.is_some_and(|at| at.elapsed() < self.cache);
        let known = pick(&state.keys, kid, algorithm).is_some();
        let may_fetch = state.tried.is_none_or(|at| at.elapsed() >= PAUSE);
        if may_fetch && !(fresh && known) {
            state.tried = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => {
                    state.keys = Arc::new(keys);
                    state.fetched = Some(Instant::now());
                }
                Err(problem) => tracing::warn!(%problem, "cannot fetch the key set"),
            }
        }
        if state.fetched.is_none_or(|at| at.elapsed() >= self.grace.max(self.cache)) {
            return Err(TokenError::Unavailable);
        }
        let Some(jwk) = pick(&state.keys, kid, algorithm) else { return Ok(None) };
        DecodingKey::from_jwk(jwk).map(Some).map_err(|e| TokenError::Invalid(e.to_string()))
    }

    async fn fetch(&self) -> anyhow::Result<Vec<Jwk>> {
        let mut response = self.client.get(&self.url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            anyhow::ensure!(body.len() + chunk.len() <= MAX_SET, "the key set is too large");
            body.extend_from_slice(&chunk);
        }
        let set: JwkSet = serde_json::from_slice(&body)?;
        Ok(set.keys)
    }
}

fn pick<'a>(keys: &'a [Jwk], kid: Option<&str>, algorithm: Algorithm) -> Option<&'a Jwk> {
    keys.iter().find(|jwk| {
        (kid.is_none() || jwk.common.key_id.as_deref() == kid)
            && algorithm_of(jwk) == Some(algorithm)
    })
}

/// The one algorithm of a key. Secrets have no place in a set that anybody may read.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Some(Algorithm::RS256),
        (AlgorithmParameters::EllipticCurve(p), None | Some(KeyAlgorithm::ES256))
            if p.curve == EllipticCurve::P256 =>
        {
            Some(Algorithm::ES256)
        }
        (AlgorithmParameters::OctetKeyPair(_), None | Some(KeyAlgorithm::EdDSA)) => {
            Some(Algorithm::EdDSA)
        }
        _ => None,
    }
}
