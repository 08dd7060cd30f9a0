//! A signed token (RFC 7515, 7519), taken apart once: a client brings one with every connection.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

use super::{Audience, Claims, TokenError};

/// Its parts. Nothing of them is to be believed before [`SignedToken::claims`] says so.
pub(super) struct SignedToken<'a> {
    pub(super) header: Header,
    /// Header and payload, as they were signed.
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// Which key it is to be checked with.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: Algorithm,
    pub(super) kid: Option<String>,
}

/// What has to hold of every token.
pub(super) struct Terms {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    /// Seconds that clocks may differ by.
    pub(super) leeway: u64,
}

/// What a token says about that, beside its end. Who it is from and for is read only if somebody wants to know: else it
/// may be anything.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(default, deserialize_with = "time")]
    nbf: Option<f64>,
    #[serde(borrow)]
    iss: Option<&'a RawValue>,
    #[serde(borrow)]
    aud: Option<&'a RawValue>,
}

impl<'a> SignedToken<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        let in_three = |token: &'a str| {
            let (message, signature) = token.rsplit_once('.')?;
            let (header, payload) = message.rsplit_once('.')?;
            Some((message, header, payload, signature))
        };
        let (message, header, payload, signature) =
            in_three(token).ok_or_else(|| invalid("not of three parts"))?;
        let header = serde_json::from_slice(&decode(header)?).map_err(invalid)?;
        Ok(Self { header, message, payload, signature })
    }

    /// What it says, if this key signed it and it holds now.
    pub(super) fn claims(
        &self,
        key: &DecodingKey,
        terms: &Terms,
        now: u64,
    ) -> Result<Claims, TokenError> {
        let message = self.message.as_bytes();
        if !crypto::verify(self.signature, message, key, self.header.alg).map_err(invalid)? {
            return Err(invalid("InvalidSignature"));
        }
        let payload = decode(self.payload)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(invalid)?;
        terms.hold_end(claims.exp, now)?;
        terms.hold(&serde_json::from_slice(&payload).map_err(invalid)?, now)?;
        Ok(claims)
    }
}

impl Terms {
    pub(super) fn hold_end(&self, exp: u64, now: u64) -> Result<(), TokenError> {
        if exp.saturating_add(self.leeway) < now { Err(TokenError::Expired) } else { Ok(()) }
    }

    fn hold(&self, said: &Said<'_>, now: u64) -> Result<(), TokenError> {
        // Exact for the next 285 million years.
        #[allow(clippy::cast_precision_loss, reason = "seconds are far below 2^53")]
        let soon = now.saturating_add(self.leeway) as f64;
        if said.nbf.is_some_and(|begins| begins > soon) {
            return Err(invalid("not valid yet"));
        }
        if self.issuer.as_deref().is_some_and(|issuer| !names(said.iss, issuer)) {
            return Err(invalid("not of the issuer"));
        }
        if self.audience.as_deref().is_some_and(|audience| !names(said.aud, audience)) {
            return Err(invalid("not for the audience"));
        }
        Ok(())
    }
}

/// Whether this one is said, alone or among others.
fn names(said: Option<&RawValue>, wanted: &str) -> bool {
    let read = |said: &RawValue| serde_json::from_str::<Audience>(said.get()).ok();
    said.and_then(read).is_some_and(|audience| audience.holds(wanted))
}

/// Seconds since the epoch, which may have a fraction.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    if seconds < 0.0 { Err(D::Error::custom("no time")) } else { Ok(Some(seconds)) }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(invalid)
}

fn invalid(problem: impl ToString) -> TokenError {
    TokenError::Invalid(problem.to_string())
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Validation, get_current_timestamp};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const LEEWAY: u64 = 60;

    fn token(claims: &Value) -> String {
        let header = jsonwebtoken::Header::default();
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(SECRET)).unwrap()
    }

    fn ours(token: &str, terms: &Terms) -> Result<Claims, TokenError> {
        let key = DecodingKey::from_secret(SECRET);
        SignedToken::parse(token)?.claims(&key, terms, get_current_timestamp())
    }

    /// The verdict of the library, with all its checks.
    fn the_librarys(token: &str, terms: &Terms) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = terms.leeway;
        validation.validate_nbf = true;
        validation.validate_aud = terms.audience.is_some();
        let mut required = vec!["exp", "sub"];
        if let Some(audience) = &terms.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &terms.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let verdict = jsonwebtoken::decode(token, &DecodingKey::from_secret(SECRET), &validation);
        verdict.map(|data| data.claims).map_err(invalid)
    }

    /// Of several faults each may name another.
    fn same(token: &str, terms: &Terms) -> bool {
        match (ours(token, terms), the_librarys(token, terms)) {
            (Ok(ours), Ok(theirs)) => ours == theirs,
            (Err(_), Err(_)) => true,
            _ => false,
        }
    }

    fn terms(issuer: Option<&str>, audience: Option<&str>) -> Terms {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Terms { issuer: owned(issuer), audience: owned(audience), leeway: LEEWAY }
    }

    /// The claims with this one, or as they are.
    fn with(claims: &Value, name: &str, value: Option<&Value>) -> Value {
        let mut claims = claims.clone();
        if let Some(value) = value {
            claims[name] = value.clone();
        }
        claims
    }

    /// Each of them, and none.
    fn maybe(values: &Value) -> impl Iterator<Item = Option<&Value>> + Clone {
        values.as_array().into_iter().flatten().map(Some).chain([None])
    }

    #[test]
    fn what_is_accepted_is_what_the_library_accepts() {
        let now = get_current_timestamp();
        let times =
            json!([now - 600, now - 30, now + 30, now + 600, null, "soon", -5, 0, 1.5e9, 4e9, []]);
        let names = json!([
            "us", "them", ["them", "us"], ["them"], [], null, 7, ["us", 7], { "us": "us" }
        ]);
        let wanted = [terms(None, None), terms(Some("us"), None), terms(None, Some("us"))];
        let alice = json!({ "sub": "alice" });
        for exp in maybe(&times).map(|exp| with(&alice, "exp", exp)) {
            for timed in maybe(&times).map(|nbf| with(&exp, "nbf", nbf)) {
                for (iss, aud) in maybe(&names).zip(maybe(&names).cycle().skip(1)) {
                    let claims = with(&with(&timed, "iss", iss), "aud", aud);
                    let token = token(&claims);
                    assert!(wanted.iter().all(|terms| same(&token, terms)), "{claims}");
                }
            }
        }
    }

    #[test]
    fn what_was_touched_is_refused() {
        let terms = terms(None, None);
        let good = token(&json!({ "sub": "alice", "exp": get_current_timestamp() + 600 }));
        assert!(ours(&good, &terms).is_ok());
        for (place, was) in good.char_indices() {
            for becomes in ['A', 'x', '-', '.', '=', ' '].into_iter().filter(|c| *c != was) {
                let mut touched = good.clone();
                touched.replace_range(place..=place, becomes.encode_utf8(&mut [0; 4]));
                assert!(ours(&touched, &terms).is_err(), "{touched}");
            }
            assert!(ours(&good[..place], &terms).is_err(), "cut at {place}");
        }
        for odd in ["", ".", "..", "...", "a.b", &format!("{good}."), &format!(".{good}")] {
            assert!(ours(odd, &terms).is_err(), "{odd}");
        }
    }
}
