//! Tokens that say nothing by themselves: the application's auth service is asked what they
//! stand for (RFC 7662). Its answers are kept for a while, and serve on while it is away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use moka::sync::Cache;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tidings_core::{ids::UserId, ports::Clock, revocation::TokenHash, time::Timestamp};

use super::{Claims, Granted, TokenError, seconds, short_text};
use crate::{
    config::Auth,
    outbound::{Manners, Service, Unanswered},
};

/// Answers that are kept: as many as find room in so many bytes.
const KEPT_BYTES: u64 = 64 << 20;
/// Tokens that are known to be none. Strangers can make up as many as they like, so these have
/// a place of their own, and not for long.
const REFUSED: u64 = 10_000;
const REFUSED_FOR: Duration = Duration::from_secs(10);

pub(super) struct Introspector {
    service: Service,
    url: String,
    /// The `Authorization` header.
    basic: String,
    cache: Duration,
    grace: Duration,
    issuer: Option<String>,
    audience: Option<String>,
    clock: Arc<dyn Clock>,
    kept: Cache<TokenHash, Kept>,
    refused: Cache<TokenHash, ()>,
    /// Held by who asks about this token.
    turns: Cache<TokenHash, Arc<tokio::sync::Mutex<()>>>,
}

#[derive(Clone)]
struct Kept {
    claims: Arc<Claims>,
    size: u32,
    asked: Instant,
}

/// What the service says (RFC 7662 §2.2), and what we want to know besides.
#[derive(Deserialize)]
struct Said {
    sub: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    exp: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    iat: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    nbf: Option<u64>,
    #[serde(default, deserialize_with = "short_text")]
    jti: Option<Box<str>>,
    iss: Option<String>,
    aud: Option<Audience>,
    scope: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    permissions: Vec<String>,
    #[serde(default)]
    rooms: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn holds(&self, wanted: &str) -> bool {
        match self {
            Self::One(audience) => audience == wanted,
            Self::Several(audiences) => audiences.iter().any(|audience| audience == wanted),
        }
    }
}

impl Introspector {
    /// `None`: none is configured.
    pub(super) fn new(config: &Auth, clock: Arc<dyn Clock>) -> anyhow::Result<Option<Self>> {
        let settings = &config.introspection;
        let Some(url) = settings.url.clone() else { return Ok(None) };
        let manners = Manners {
            timeout: settings.timeout,
            concurrency: settings.concurrency,
            pause: settings.pause,
        };
        let grace = settings.grace.max(settings.cache);
        let kept = Cache::builder()
            .max_capacity(KEPT_BYTES)
            .weigher(|_: &TokenHash, kept: &Kept| kept.size)
            .time_to_live(grace.max(Duration::from_millis(1)));
        Ok(Some(Self {
            service: Service::new("introspection", manners)?,
            url,
            basic: basic(&settings.client_id, &settings.client_secret),
            cache: settings.cache,
            grace,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            clock,
            kept: kept.build(),
            refused: Cache::builder().max_capacity(REFUSED).time_to_live(REFUSED_FOR).build(),
            turns: Cache::builder().max_capacity(REFUSED).time_to_idle(grace).build(),
        }))
    }

    /// What a token stands for.
    pub(super) async fn claims(&self, token: &str) -> Result<Claims, TokenError> {
        let hash: TokenHash = Sha256::digest(token.as_bytes()).into();
        if let Some(answer) = self.known(&hash, self.cache) {
            return answer;
        }
        let turn = self.turns.get_with(hash, Arc::default);
        let _turn = turn.lock().await;
        if let Some(answer) = self.known(&hash, self.cache) {
            return answer;
        }
        match self.question(token).await {
            Ok(Some((said, size))) => {
                let mut claims = self.read(said)?;
                claims.hash = hash;
                let kept = Kept { claims: Arc::new(claims.clone()), size, asked: Instant::now() };
                self.kept.insert(hash, kept);
                self.unless_expired(claims)
            }
            Ok(None) => {
                self.kept.invalidate(&hash);
                self.refused.insert(hash, ());
                Err(not_active())
            }
            Err(Unanswered) => {
                self.known(&hash, self.grace).unwrap_or(Err(TokenError::Unavailable))
            }
        }
    }

    /// What was said about it less than `age` ago.
    fn known(&self, hash: &TokenHash, age: Duration) -> Option<Result<Claims, TokenError>> {
        if self.refused.contains_key(hash) {
            return Some(Err(not_active()));
        }
        let kept = self.kept.get(hash).filter(|kept| kept.asked.elapsed() < age)?;
        Some(self.unless_expired(Claims::clone(&kept.claims)))
    }

    fn unless_expired(&self, claims: Claims) -> Result<Claims, TokenError> {
        if claims.expires_at() <= self.clock.now() {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    /// `None`: the token is not active. Otherwise all that is said, and its size.
    async fn question(&self, token: &str) -> Result<Option<(Map<String, Value>, u32)>, Unanswered> {
        let form: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "access_token")
            .finish();
        let request = |client: &reqwest::Client| {
            client
                .post(&self.url)
                .header("authorization", &self.basic)
                .header("accept", "application/json")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form.clone())
        };
        let read = |body: &[u8]| {
            let said: Map<String, Value> =
                serde_json::from_slice(body).map_err(|problem| problem.to_string())?;
            let size = u32::try_from(body.len()).unwrap_or(u32::MAX).saturating_add(256);
            match said.get("active").and_then(Value::as_bool) {
                Some(true) => Ok(Some((said, size))),
                Some(false) => Ok(None),
                None => Err("the answer does not say whether the token is active".to_owned()),
            }
        };
        self.service.ask(request, read).await
    }

    fn read(&self, said: Map<String, Value>) -> Result<Claims, TokenError> {
        let invalid = |reason: &str| TokenError::Invalid(format!("introspection: {reason}"));
        let said = Said::deserialize(Value::Object(said)).map_err(|e| invalid(&e.to_string()))?;
        let sub = said.sub.ok_or_else(|| invalid("no sub"))?;
        let sub = UserId::new(&sub).map_err(|problem| invalid(&format!("sub {problem}")))?;
        let now = self.clock.now();
        if said.nbf.is_some_and(|at| at > to_seconds(now)) {
            return Err(invalid("not active yet"));
        }
        // The service knows whom it gave the token to; what it says about it has to fit.
        if let (Some(wanted), Some(issuer)) = (&self.issuer, &said.iss)
            && wanted != issuer
        {
            return Err(invalid("another issuer"));
        }
        if let (Some(wanted), Some(audience)) = (&self.audience, &said.aud)
            && !audience.holds(wanted)
        {
            return Err(invalid("for another audience"));
        }
        let mut permissions = said.permissions;
        let scope = said.scope.unwrap_or_default();
        permissions.extend(scope.split_ascii_whitespace().map(str::to_owned));
        // Without an end of its own a connection ends when the answer does.
        let exp = said.exp.unwrap_or_else(|| to_seconds(now.plus(self.grace)));
        let granted =
            Granted { roles: said.roles, groups: said.groups, permissions, rooms: said.rooms };
        if !granted.is_bounded() {
            return Err(invalid("a list of claims is too long"));
        }
        let rights = granted.into();
        Ok(Claims { iat: said.iat, jti: said.jti, rights, ..Claims::user(sub, exp) })
    }
}

fn not_active() -> TokenError {
    TokenError::Invalid("not active".to_owned())
}

fn to_seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis() / 1_000).unwrap_or(0)
}

/// Both are form-encoded first (RFC 6749 §2.3.1).
fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}
