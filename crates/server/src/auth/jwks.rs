//! Keys from a JSON Web Key Set (RFC 7517) that an identity provider serves.
//!
//! They are cached, fetched anew when a token names a key that is not there, and serve on for
//! a while when the provider is away.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm},
};
use parking_lot::Mutex;

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
    /// Held while the set is fetched.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    keys: Vec<Jwk>,
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
        Ok(Self {
            url,
            client,
            cache,
            grace,
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        })
    }

    /// The key for a token; `None` if the set has none.
    ///
    /// Only who needs keys that are not there waits for a fetch; a slow source keeps nobody
    /// else waiting.
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Option<DecodingKey>, TokenError> {
        if let Some(key) = self.known(kid, algorithm, self.cache) {
            return key;
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(key) = self.known(kid, algorithm, self.cache) {
            return key;
        }
        self.refresh().await;
        let grace = self.grace.max(self.cache);
        match self.known(kid, algorithm, grace) {
            Some(key) => key,
            None if self.is_younger_than(grace) => Ok(None),
            None => Err(TokenError::Unavailable),
        }
    }

    /// The key, if it is there and was fetched less than `age` ago.
    fn known(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        age: Duration,
    ) -> Option<Result<Option<DecodingKey>, TokenError>> {
        if !self.is_younger_than(age) {
            return None;
        }
        let state = self.state.lock();
        let jwk = pick(&state.keys, kid, algorithm)?;
        let key = DecodingKey::from_jwk(jwk).map_err(|e| TokenError::Invalid(e.to_string()));
        Some(key.map(Some))
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        self.state.lock().fetched.is_some_and(|at| at.elapsed() < age)
    }

    async fn refresh(&self) {
        let now = Instant::now();
        if self.state.lock().tried.is_some_and(|at| now.duration_since(at) < PAUSE) {
            return;
        }
        self.state.lock().tried = Some(now);
        match self.fetch().await {
            Ok(keys) => {
                let mut state = self.state.lock();
                state.keys = keys;
                state.fetched = Some(Instant::now());
            }
            Err(problem) => tracing::warn!(%problem, "cannot fetch the key set"),
        }
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
