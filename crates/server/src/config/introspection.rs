//! Asking the application's auth service about tokens that are no JSON Web Tokens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Config, check::is_safe_address, duration};

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Introspection {
    /// The introspection endpoint (RFC 7662).
    pub url: Option<String>,
    /// Who we are there, by HTTP Basic.
    pub client_id: String,
    #[serde(skip_serializing)]
    pub client_secret: String,
    /// How long an answer is believed.
    #[serde(with = "duration")]
    pub cache: Duration,
    /// How long it serves on while the service is away.
    #[serde(with = "duration")]
    pub grace: Duration,
    /// How long one attempt may take.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Questions at the same time.
    pub concurrency: usize,
    /// How long the service is left alone after 5 failures in a row.
    #[serde(with = "duration")]
    pub pause: Duration,
}

impl Default for Introspection {
    fn default() -> Self {
        Self {
            url: None,
            client_id: String::new(),
            client_secret: String::new(),
            cache: Duration::from_secs(5 * 60),
            grace: Duration::from_secs(15 * 60),
            timeout: Duration::from_secs(1),
            concurrency: 64,
            pause: Duration::from_secs(30),
        }
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let introspection = &config.auth.introspection;
    let Some(url) = &introspection.url else { return };
    need(
        is_safe_address(url),
        "auth.introspection.url: must be an https address (http only on loopback)",
    );
    need(
        !introspection.client_id.is_empty() && !introspection.client_secret.is_empty(),
        "auth.introspection.client_id, client_secret: are missing; the service wants to know who asks",
    );
    need(
        introspection.cache <= Duration::from_secs(3_600)
            && introspection.grace <= Duration::from_secs(24 * 3_600),
        "auth.introspection.cache, grace: must be at most 1h and 24h",
    );
    need(
        (Duration::from_millis(10)..=Duration::from_secs(10)).contains(&introspection.timeout),
        "auth.introspection.timeout: must be between 10ms and 10s",
    );
    need(
        (1..=10_000).contains(&introspection.concurrency),
        "auth.introspection.concurrency: must be between 1 and 10000",
    );
    need(
        introspection.pause >= Duration::from_millis(10),
        "auth.introspection.pause: must be at least 10ms",
    );
}
