//! Checks and signs tokens.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};

use tidings_core::{api_key, ports::Clock};

use super::{
    Claims, MAX_TOKEN, Revocations, TokenError,
    introspection::Introspector,
    jwks::Jwks,
    keys::{self, VerificationKey},
    revocations,
};
use crate::config::Auth;

/// Checks tokens against all keys of the configuration.
pub struct TokenVerifier {
    /// Each with what its tokens have to fulfil, put together once.
    keys: Vec<(VerificationKey, Validation)>,
    jwks: Option<Jwks>,
    introspector: Option<Introspector>,
    issuer: Option<String>,
    audience: Option<String>,
    leeway: Duration,
    max_life: Duration,
    revocations: Arc<Revocations>,
}

impl TokenVerifier {
    /// `dev_secret` is the data directory's own secret, in `--dev`.
    pub fn new(
        config: &Auth,
        dev_secret: Option<&str>,
        revocations: Arc<Revocations>,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let mut keys = Vec::new();
        for secret in config.jwt_secret.as_deref().into_iter().chain(dev_secret) {
            keys.push(VerificationKey {
                kid: None,
                algorithm: Algorithm::HS256,
                key: DecodingKey::from_secret(secret.as_bytes()),
            });
        }
        for key in &config.keys {
            keys.push(keys::load(key).map_err(anyhow::Error::msg)?);
        }
        let jwks = config
            .jwks_url
            .as_deref()
            .map(|url| Jwks::new(url.to_owned(), config.jwks_cache, config.jwks_grace));
        let mut verifier = Self {
            keys: Vec::new(),
            jwks: jwks.transpose()?,
            introspector: Introspector::new(config, clock)?,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway: config.leeway,
            max_life: config.max_token_life,
            revocations,
        };
        let with_validation = |key: VerificationKey| {
            let validation = verifier.validation(key.algorithm);
            (key, validation)
        };
        verifier.keys = keys.into_iter().map(with_validation).collect();
        Ok(verifier)
    }

    /// The claims of a token that is signed by one of our keys and holds now.
    pub async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        self.standing(self.look_at(token).await?)
    }

    /// The claims, unless they were taken back.
    fn standing(&self, claims: Claims) -> Result<Claims, TokenError> {
        if self.revocations.cover(&claims) { Err(TokenError::Revoked) } else { Ok(claims) }
    }

    /// The same, also if the token was taken back.
    pub async fn look_at(&self, token: &str) -> Result<Claims, TokenError> {
        let (kid, algorithm, failure) = match self.try_local(token) {
            Local::Verdict(verdict) => return verdict,
            Local::Opaque(introspector) => {
                let mut claims = introspector.claims(token).await?;
                self.end(&mut claims)?;
                return Ok(claims);
            }
            Local::Undecided { kid, algorithm, failure } => (kid, algorithm, failure),
        };
        let Some(jwks) = &self.jwks else { return Err(failure) };
        match jwks.find(kid.as_deref(), algorithm).await? {
            Some(key) => self.check(token, &self.validation(algorithm), &key),
            None => Err(failure),
        }
    }

    /// The verdict, if it can be told without asking another server for keys.
    pub fn verify_locally(&self, token: &str) -> Option<Result<Claims, TokenError>> {
        match self.try_local(token) {
            Local::Verdict(verdict) => Some(verdict.and_then(|claims| self.standing(claims))),
            Local::Opaque(_) => None,
            Local::Undecided { .. } if self.jwks.is_some() => None,
            Local::Undecided { failure, .. } => Some(Err(failure)),
        }
    }

    /// Tries the keys of the configuration.
    fn try_local(&self, token: &str) -> Local<'_> {
        if token.is_empty() {
            return Local::Verdict(Err(TokenError::Missing));
        }
        if token.len() > MAX_TOKEN {
            return Local::Verdict(Err(TokenError::Invalid("longer than 8 KB".into())));
        }
        let header = match jsonwebtoken::decode_header(token) {
            Ok(header) => header,
            Err(problem) => {
                return match &self.introspector {
                    // An API key is nobody else's to see.
                    Some(introspector) if !token.starts_with(api_key::PREFIX) => {
                        Local::Opaque(introspector)
                    }
                    _ => Local::Verdict(Err(TokenError::Invalid(problem.to_string()))),
                };
            }
        };
        let mut failure = TokenError::Invalid("no key of this kid and algorithm".into());
        let kid = header.kid.as_deref();
        for (key, validation) in self.keys.iter().filter(|(key, _)| matches(key, kid, header.alg)) {
            match self.check(token, validation, &key.key) {
                Err(TokenError::Invalid(reason)) => failure = TokenError::Invalid(reason),
                verdict => return Local::Verdict(verdict),
            }
        }
        Local::Undecided { kid: header.kid, algorithm: header.alg, failure }
    }

    fn check(
        &self,
        token: &str,
        validation: &Validation,
        key: &DecodingKey,
    ) -> Result<Claims, TokenError> {
        let mut claims = jsonwebtoken::decode::<Claims>(token, key, validation)
            .map_err(|problem| match problem.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid(problem.to_string()),
            })?
            .claims;
        if !claims.rights.is_bounded() {
            return Err(TokenError::Invalid("a list of claims is too long".into()));
        }
        claims.hash = revocations::hash(token);
        self.end(&mut claims)?;
        Ok(claims)
    }

    /// No token outlives the longest life that one may have, whatever its `exp`: revocations
    /// are forgotten then.
    fn end(&self, claims: &mut Claims) -> Result<(), TokenError> {
        let Some(issued_at) = claims.iat else { return Ok(()) };
        claims.exp = claims.exp.min(issued_at.saturating_add(self.max_life.as_secs()));
        if claims.exp.saturating_add(self.leeway.as_secs()) < jsonwebtoken::get_current_timestamp()
        {
            return Err(TokenError::Expired);
        }
        Ok(())
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        let mut required = vec!["exp", "sub"];
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

/// What the keys of the configuration say.
enum Local<'a> {
    Verdict(Result<Claims, TokenError>),
    /// It is no JSON Web Token: only who issued it knows.
    Opaque(&'a Introspector),
    /// None of them signed it.
    Undecided {
        kid: Option<String>,
        algorithm: Algorithm,
        failure: TokenError,
    },
}

/// A token that names a `kid` is checked only with the key of that name, or with keys that
/// have none.
fn matches(key: &VerificationKey, kid: Option<&str>, algorithm: Algorithm) -> bool {
    key.algorithm == algorithm && (key.kid.is_none() || key.kid.as_deref() == kid)
}

/// Claims as they are signed: with `iss` and `aud` as the configuration wants them back.
#[derive(serde::Serialize)]
struct Signed<'a> {
    #[serde(flatten)]
    claims: &'a Claims,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Signs claims with a shared secret, HS256.
pub fn sign(claims: &Claims, secret: &str, config: &Auth) -> anyhow::Result<String> {
    let signed = Signed { claims, iss: config.issuer.as_deref(), aud: config.audience.as_deref() };
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(jsonwebtoken::encode(&Header::default(), &signed, &key)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn verifier(audience: Option<&str>) -> TokenVerifier {
        let config = Auth {
            jwt_secret: Some(SECRET.into()),
            audience: audience.map(Into::into),
            ..Auth::default()
        };
        let revocations = Arc::new(Revocations::new(Arc::new(SystemClock)));
        TokenVerifier::new(&config, None, revocations, Arc::new(SystemClock)).unwrap()
    }

    fn token(claims: &serde_json::Value, secret: &str, algorithm: Algorithm) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    const FAR: u64 = 4_000_000_000;

    #[tokio::test]
    async fn a_token_of_ours_is_accepted() {
        let token = token(
            &serde_json::json!({"sub": "alice", "exp": FAR, "roles": ["admin"]}),
            SECRET,
            Algorithm::HS256,
        );
        let claims = verifier(None).verify(&token).await.unwrap();
        assert_eq!(
            (claims.sub.as_str(), &*claims.rights.roles),
            ("alice", &["admin".to_owned()][..])
        );
    }

    #[tokio::test]
    async fn forged_expired_and_odd_tokens_are_refused() {
        let v = verifier(None);
        let good = serde_json::json!({"sub": "alice", "exp": FAR});
        for bad in [
            token(&good, "another secret, also 32 bytes long", Algorithm::HS256),
            token(&good, SECRET, Algorithm::HS512),
            token(&serde_json::json!({"sub": "alice"}), SECRET, Algorithm::HS256),
            token(&serde_json::json!({"exp": FAR}), SECRET, Algorithm::HS256),
            token(&serde_json::json!({"sub": "a b", "exp": FAR}), SECRET, Algorithm::HS256),
            token(
                &serde_json::json!({"sub": "a".repeat(5000), "exp": FAR}),
                SECRET,
                Algorithm::HS256,
            ),
            token(
                &serde_json::json!({"sub": "a", "exp": FAR, "nbf": FAR - 1}),
                SECRET,
                Algorithm::HS256,
            ),
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6NDAwMDAwMDAwMH0.".into(),
            "x".repeat(MAX_TOKEN + 1),
            "a.b.c".into(),
        ] {
            let verdict = v.verify(&bad).await;
            assert!(matches!(verdict, Err(TokenError::Invalid(_))), "{bad}: {verdict:?}");
        }
        let expired =
            token(&serde_json::json!({"sub": "alice", "exp": 1_000}), SECRET, Algorithm::HS256);
        assert_eq!(v.verify(&expired).await, Err(TokenError::Expired));
        assert_eq!(v.verify("").await, Err(TokenError::Missing));
    }

    #[tokio::test]
    async fn the_audience_is_checked_when_configured() {
        let v = verifier(Some("app"));
        let without = token(&serde_json::json!({"sub": "a", "exp": FAR}), SECRET, Algorithm::HS256);
        assert!(v.verify(&without).await.is_err());
        let other = serde_json::json!({"sub": "a", "exp": FAR, "aud": "other"});
        assert!(v.verify(&token(&other, SECRET, Algorithm::HS256)).await.is_err());
        let right = serde_json::json!({"sub": "a", "exp": FAR, "aud": ["x", "app"]});
        assert!(v.verify(&token(&right, SECRET, Algorithm::HS256)).await.is_ok());
    }
}
