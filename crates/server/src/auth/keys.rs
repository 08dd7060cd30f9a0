//! Keys from the configuration. The algorithm is fixed per key: a token never chooses it.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::config::MIN_SECRET;

/// A key that tokens may be signed with.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The `kid` of tokens signed with it; a key without one is tried for every token of its
    /// algorithm.
    pub kid: Option<String>,
    /// `HS256`, `HS384`, `HS512`, `RS256`, `ES256` or `EdDSA`.
    pub algorithm: String,
    /// For the HS algorithms.
    pub secret: Option<String>,
    /// PEM, for the others.
    pub public_key: Option<String>,
}

/// A key that is ready to check signatures.
pub(super) struct VerificationKey {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// What is wrong with a key of the configuration, if anything.
pub fn check(config: &KeyConfig) -> Result<(), String> {
    load(config).map(|_| ())
}

pub(super) fn load(config: &KeyConfig) -> Result<VerificationKey, String> {
    let algorithm = algorithm(&config.algorithm)?;
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            let secret = config.secret.as_deref().ok_or("an HS key needs `secret`")?;
            if secret.len() < MIN_SECRET {
                return Err("`secret` must have at least 32 bytes".into());
            }
            DecodingKey::from_secret(secret.as_bytes())
        }
        other => {
            let pem = config.public_key.as_deref().ok_or("this key needs `public_key` (PEM)")?;
            let pem = pem.as_bytes();
            let key = match other {
                Algorithm::ES256 => DecodingKey::from_ec_pem(pem),
                Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
                _ => DecodingKey::from_rsa_pem(pem),
            };
            key.map_err(|problem| format!("`public_key` is not a PEM key of its kind: {problem}"))?
        }
    };
    Ok(VerificationKey { kid: config.kid.clone(), algorithm, key })
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    Ok(match name {
        "HS256" => Algorithm::HS256,
        "HS384" => Algorithm::HS384,
        "HS512" => Algorithm::HS512,
        "RS256" => Algorithm::RS256,
        "ES256" => Algorithm::ES256,
        "EdDSA" => Algorithm::EdDSA,
        _ => {
            return Err(format!(
                "algorithm {name:?} is not one of HS256, HS384, HS512, RS256, ES256, EdDSA"
            ));
        }
    })
}
