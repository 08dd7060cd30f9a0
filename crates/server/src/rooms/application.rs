//! The application's own word about who may join a room.
//!
//! It is asked by HTTP, signed as Standard Webhooks are. Answers are kept for a while, each user
//! and room is asked about once at a time, and a lost membership makes it be asked anew.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use tidings_core::{
    ids::UserId,
    ports::Clock,
    room::{Grant, Refusal, RoomKind, RoomName, Verdict, WhenDown},
};

use crate::{
    auth::Claims,
    config::{Authorization, MIN_SECRET},
    outbound::{Manners, Service, Unanswered},
    secret::random_hex,
};

/// Answers that are kept at most, and for how long at most.
const KEPT: u64 = 100_000;
const LONGEST: Duration = Duration::from_secs(600);
/// How long a refusal is kept: who was just let in should not wait for long.
const REFUSAL: Duration = Duration::from_secs(5);
/// How long it is remembered that nobody answered.
const SILENCE: Duration = Duration::from_secs(1);
/// Longest reason of the application's, in characters.
const MAX_REASON: usize = 200;

type Key = (UserId, RoomName);

/// A word of the application's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    Allowed,
    Refused(Option<Arc<str>>),
    /// It does not answer.
    Silent,
}

#[derive(Clone)]
struct Kept {
    word: Word,
    /// What was said about the user when it was asked.
    about: u64,
    until: Instant,
}

pub struct Application {
    service: Service,
    url: String,
    key: EncodingKey,
    clock: Arc<dyn Clock>,
    cache: Duration,
    kept: Cache<Key, Kept>,
    /// Held by who asks about this user and room.
    turns: Cache<Key, Arc<tokio::sync::Mutex<()>>>,
    /// How often answers were forgotten: one that was on its way is not kept.
    forgotten: AtomicU64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    request_id: &'a str,
    action: &'static str,
    user: &'a UserId,
    roles: &'a [String],
    groups: &'a [String],
    room: &'a RoomName,
}

/// Fields that we do not know belong to the application and are let be.
#[derive(Deserialize)]
struct Answer {
    allow: bool,
    reason: Option<String>,
    /// Seconds.
    ttl: Option<u64>,
}

impl Application {
    /// `None`: none is configured.
    pub fn new(config: &Authorization, clock: Arc<dyn Clock>) -> anyhow::Result<Option<Self>> {
        let (Some(url), Some(secret)) = (&config.url, &config.secret) else { return Ok(None) };
        let manners = Manners {
            timeout: config.timeout,
            concurrency: config.concurrency,
            pause: config.pause,
        };
        Ok(Some(Self {
            service: Service::new("authorization", manners)?,
            url: url.clone(),
            key: signing_key(secret).map_err(anyhow::Error::msg)?,
            clock,
            cache: config.cache,
            kept: Cache::builder().max_capacity(KEPT).time_to_live(LONGEST).build(),
            turns: Cache::builder().max_capacity(KEPT).time_to_idle(LONGEST).build(),
            forgotten: AtomicU64::new(0),
        }))
    }

    pub(crate) async fn ask(&self, claims: &Claims, room: &RoomName) -> Word {
        let key = (claims.sub.clone(), room.clone());
        let about = about(claims);
        if let Some(word) = self.known(&key, about) {
            return word;
        }
        let turn = self.turns.get_with_by_ref(&key, Arc::default);
        let _turn = turn.lock().await;
        if let Some(word) = self.known(&key, about) {
            return word;
        }
        let epoch = self.forgotten.load(Ordering::SeqCst);
        let (word, holds) = self.question(claims, room).await;
        if !holds.is_zero() && self.forgotten.load(Ordering::SeqCst) == epoch {
            let kept = Kept { word: word.clone(), about, until: Instant::now() + holds };
            self.kept.insert(key.clone(), kept);
            if self.forgotten.load(Ordering::SeqCst) != epoch {
                // Forgotten between the look and the insertion.
                self.kept.invalidate(&key);
            }
        }
        word
    }

    fn known(&self, key: &Key, about: u64) -> Option<Word> {
        let kept = self.kept.get(key)?;
        (kept.about == about && Instant::now() < kept.until).then_some(kept.word)
    }

    /// What was said about them in this room does not count any more.
    pub(crate) fn forget(&self, room: &RoomName, users: &[UserId]) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        for user in users {
            self.kept.invalidate(&(user.clone(), room.clone()));
        }
    }

    /// The answer, and how long it holds.
    async fn question(&self, claims: &Claims, room: &RoomName) -> (Word, Duration) {
        let request_id = format!("msg_{}", random_hex::<12>());
        let question = Question {
            request_id: &request_id,
            action: "join",
            user: &claims.sub,
            roles: &claims.rights.roles,
            groups: &claims.rights.groups,
            room,
        };
        // Plain fields into memory: cannot fail.
        let body = serde_json::to_string(&question).unwrap_or_default();
        let request = |client: &reqwest::Client| {
            let timestamp = (self.clock.now().as_millis() / 1_000).to_string();
            client
                .post(&self.url)
                .header("content-type", "application/json")
                .header("webhook-signature", self.sign(&request_id, &timestamp, &body))
                .header("webhook-id", &request_id)
                .header("webhook-timestamp", timestamp)
                .body(body.clone())
        };
        let read = |body: &[u8]| {
            serde_json::from_slice::<Answer>(body).map_err(|problem| problem.to_string())
        };
        match self.service.ask(request, read).await {
            Ok(Answer { allow: true, ttl, .. }) => {
                (Word::Allowed, ttl.map_or(self.cache, Duration::from_secs).min(LONGEST))
            }
            Ok(Answer { reason, ttl, .. }) => {
                let reason = reason.map(|text| text.chars().take(MAX_REASON).collect::<String>());
                let holds = ttl.map_or(self.cache, Duration::from_secs).min(REFUSAL);
                (Word::Refused(reason.map(Arc::from)), holds)
            }
            Err(Unanswered) => (Word::Silent, SILENCE),
        }
    }

    /// As <https://www.standardwebhooks.com> has it: HMAC-SHA256 over id, time and body.
    fn sign(&self, id: &str, timestamp: &str, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        // An HMAC of any key and text: cannot fail. An empty one would be refused.
        let mac = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, Algorithm::HS256);
        let mac = mac.ok().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).unwrap_or_default();
        format!("v1,{}", STANDARD.encode(mac))
    }
}

/// Who the user was when the application was asked: with other roles it may say otherwise.
fn about(claims: &Claims) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&claims.rights.roles, &claims.rights.groups).hash(&mut hasher);
    hasher.finish()
}

/// The key in a secret: its bytes, or what is written in base64 behind `whsec_`.
pub(crate) fn signing_key(secret: &str) -> Result<EncodingKey, String> {
    let Some(encoded) = secret.strip_prefix("whsec_") else {
        if secret.len() < MIN_SECRET {
            return Err("must have at least 32 bytes; make one with `openssl rand -hex 32`".into());
        }
        return Ok(EncodingKey::from_secret(secret.as_bytes()));
    };
    match STANDARD.decode(encoded) {
        Ok(bytes) if bytes.len() >= 24 => Ok(EncodingKey::from_secret(&bytes)),
        _ => Err("behind whsec_ there must be at least 24 bytes in base64".into()),
    }
}

/// What a word means for a room of this kind.
pub(super) fn verdict(word: &Word, kind: &RoomKind) -> Verdict {
    match (word, kind.when_down) {
        (Word::Allowed, _) | (Word::Silent, WhenDown::Allow) => {
            Verdict::Granted(Grant::Application)
        }
        (Word::Refused(_), _) => Verdict::Refused(Refusal::ByApplication),
        (Word::Silent, WhenDown::Refuse) => Verdict::Refused(Refusal::ApplicationDown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn signed_as_standard_webhooks_are() {
        let config = Authorization {
            url: Some("http://127.0.0.1/".into()),
            secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
            ..Authorization::default()
        };
        let application = Application::new(&config, Arc::new(SystemClock)).unwrap().unwrap();
        // The example of its specification.
        let signature = application.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            "{\"test\": 2432232314}",
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn short_secrets_are_refused() {
        assert!(signing_key(&"x".repeat(31)).is_err());
        assert!(signing_key(&"x".repeat(32)).is_ok());
        assert!(signing_key("whsec_c2hvcnQ=").is_err());
        assert!(signing_key("whsec_!").is_err());
    }
}
