//! Tokens that were taken back, in memory: every token is held against them, and the store is
//! not asked for that.

use std::sync::Arc;

use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use tidings_core::{
    ports::Clock,
    revocation::{MAX_STANDING, Revocation, RevocationList, TokenFacts, TokenHash},
};
use tokio::sync::Notify;

use super::Claims;

pub struct Revocations {
    clock: Arc<dyn Clock>,
    list: RwLock<RevocationList>,
    /// Connections may have lost their ground.
    pub(crate) added: Notify,
}

impl Revocations {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, list: RwLock::default(), added: Notify::new() }
    }

    /// Takes what the store holds, or another node did.
    pub fn add(&self, revocations: impl IntoIterator<Item = Revocation>) {
        let mut list = self.list.write();
        for revocation in revocations {
            list.add(revocation);
        }
        if list.len() > MAX_STANDING {
            // The store has no more than that: some have ended there.
            list.forget(self.clock.now());
        }
        drop(list);
        self.added.notify_one();
    }

    pub fn forget_ended(&self) {
        self.list.write().forget(self.clock.now());
    }

    pub fn cover(&self, claims: &Claims) -> bool {
        let list = self.list.read();
        !list.is_empty()
            && list.covers(TokenFacts {
                user: &claims.sub,
                issued_at: claims.iat,
                jti: claims.jti.as_deref(),
                hash: &claims.hash,
            })
    }
}

/// The hash of a token without its signature: another signature of the same (with ECDSA anybody
/// can make one) is no other token.
pub(super) fn hash(token: &str) -> TokenHash {
    let signed = match token.rsplit_once('.') {
        Some((signed, _)) if signed.contains('.') => signed,
        _ => token,
    };
    Sha256::digest(signed.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_is_signed() {
        assert_eq!(hash("head.body.one"), hash("head.body.two"));
        assert_ne!(hash("head.body.one"), hash("head.ybod.one"));
        assert_ne!(hash("opaque"), hash("other"));
        assert_ne!(hash("opaque.1"), hash("opaque.2"), "this is no JSON Web Token");
    }
}
