//! Asking the application who may join a room.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidings_core::room::Rule;

use super::{Config, duration};
use crate::rooms::signing_key;

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    /// Where the application answers.
    pub url: Option<String>,
    /// Signs the questions: at least 32 bytes, or `whsec_` and base64.
    #[serde(skip_serializing)]
    pub secret: Option<String>,
    /// How long one attempt may take.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How long an answer holds that does not say so itself.
    #[serde(with = "duration")]
    pub cache: Duration,
    /// Questions at the same time.
    pub concurrency: usize,
    /// How long the application is left alone after 5 failures in a row.
    #[serde(with = "duration")]
    pub pause: Duration,
}

impl Default for Authorization {
    fn default() -> Self {
        Self {
            url: None,
            secret: None,
            timeout: Duration::from_secs(1),
            cache: Duration::from_secs(30),
            concurrency: 64,
            pause: Duration::from_secs(30),
        }
    }
}

impl std::fmt::Debug for Authorization {
    /// Secrets stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorization").field("url", &self.url).finish_non_exhaustive()
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let authorization = &config.authorization;
    if let Some(url) = &authorization.url {
        need(
            super::check::is_safe_address(url),
            "authorization.url: must be an https address (http only on loopback)",
        );
        match &authorization.secret {
            Some(secret) => {
                if let Err(problem) = signing_key(secret) {
                    need(false, &format!("authorization.secret: {problem}"));
                }
            }
            None => need(
                false,
                "authorization.secret: is missing; make one with `openssl rand -hex 32`",
            ),
        }
    }
    need(
        (Duration::from_millis(10)..=Duration::from_secs(10)).contains(&authorization.timeout),
        "authorization.timeout: must be between 10ms and 10s",
    );
    need(
        authorization.cache <= Duration::from_secs(600),
        "authorization.cache: must be at most 10 minutes",
    );
    need(
        (1..=10_000).contains(&authorization.concurrency),
        "authorization.concurrency: must be between 1 and 10000",
    );
    need(
        authorization.pause >= Duration::from_millis(10),
        "authorization.pause: must be at least 10ms",
    );
    for (name, kind) in config.rooms.iter().filter(|(_, kind)| kind.ask_application) {
        need(
            authorization.url.is_some(),
            &format!("rooms.{name}.ask_application: whom? set authorization.url"),
        );
        need(
            kind.rule == Rule::Member,
            &format!(
                "rooms.{name}.ask_application: only for rule = \"member\"; others decide alone"
            ),
        );
    }
}
