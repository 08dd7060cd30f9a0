//! Idempotency keys: a request that is sent twice is carried out once.

use std::time::Duration;

/// How long a key and its answer, and a dedupe key, are kept.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

/// The key of a request, and what tells whether a second request with it is the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// Whose key it is: keys of two senders never meet.
    pub scope: String,
    pub key: String,
    /// SHA-256 of the request's route and body.
    pub fingerprint: [u8; 32],
    /// Kept with the outcome and given back with it: what else the caller was told.
    pub note: String,
}
