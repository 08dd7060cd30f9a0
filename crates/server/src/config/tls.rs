//! TLS on the listener.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tidings_core::time::Timestamp;

use super::{Config, duration};
use crate::certificate;

/// With less left than this, a certificate should have been renewed by now.
const SHORT: i64 = 14 * 24 * 3600;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the server's certificate, and those that lead to a known authority. With it, all is
    /// served over TLS and nothing in the clear.
    pub cert: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
    /// How often the two files are looked at for a change.
    #[serde(with = "duration")]
    pub watch: Duration,
    /// How long a client may take for the handshake.
    #[serde(with = "duration")]
    pub handshake_timeout: Duration,
    /// Handshakes at the same time, a tenth of them from one address; others wait for their turn.
    pub handshakes: usize,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            watch: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            handshakes: 1_000,
        }
    }
}

pub(super) fn check(config: &Config, need: &mut impl FnMut(bool, &str)) {
    let tls = &config.tls;
    need(tls.watch >= Duration::from_millis(10), "tls.watch: must be at least 10ms");
    need(
        tls.handshake_timeout >= Duration::from_millis(100),
        "tls.handshake_timeout: must be at least 100ms",
    );
    need((1..=100_000).contains(&tls.handshakes), "tls.handshakes: must be between 1 and 100000");
    need(
        tls.cert.is_some() == tls.key.is_some(),
        "tls.cert, tls.key: set both, or neither to serve without TLS",
    );
    if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
        need(!config.dev, "tls: --dev serves plain HTTP on this machine only; leave tls out");
        if let Err(problem) = certificate::read(cert, key) {
            need(false, &format!("tls: {problem}"));
        }
    }
}

/// What is valid now, but will not be for long.
pub(super) fn warnings(config: &Config, now: Timestamp) -> Vec<String> {
    let (Some(cert), Some(key)) = (&config.tls.cert, &config.tls.key) else { return Vec::new() };
    let Ok(identity) = certificate::read(cert, key) else { return Vec::new() };
    let left = identity.expires() - now.as_millis() / 1000;
    let certificate = cert.display();
    let warning = match left {
        ..0 => format!("tls.cert: {certificate} has expired; clients will not connect"),
        0..SHORT => {
            format!("tls.cert: {certificate} expires in {} days; renew it", left / (24 * 3600))
        }
        _ => return Vec::new(),
    };
    vec![warning]
}
