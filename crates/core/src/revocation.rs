//! Tokens that were taken back before their end.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{ids::UserId, time::Timestamp};

/// Revocations that stand at the same time; one more is refused until some have ended.
pub const MAX_STANDING: usize = 200_000;
/// Longest `jti` that a token can be known by, in bytes.
pub const MAX_JTI: usize = 256;

/// The hash of what is signed in a token.
pub type TokenHash = [u8; 32];

/// Which tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Revoked {
    /// All of a user that were issued before this instant.
    User {
        user: UserId,
        before: Timestamp,
    },
    /// Those with this `jti`.
    Jti {
        jti: String,
    },
    Token {
        hash: TokenHash,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    pub revoked: Revoked,
    /// All tokens concerned have ended by then.
    pub ends_at: Timestamp,
}

/// What tells tokens apart.
#[derive(Debug, Clone, Copy)]
pub struct TokenFacts<'a> {
    pub user: &'a UserId,
    /// In seconds since the epoch, as tokens say it.
    pub issued_at: Option<u64>,
    pub jti: Option<&'a str>,
    pub hash: &'a TokenHash,
}

/// Everything that is revoked, to be asked about each token.
#[derive(Debug, Default)]
pub struct RevocationList {
    users: HashMap<UserId, (Timestamp, Timestamp)>,
    jtis: HashMap<String, Timestamp>,
    tokens: HashMap<TokenHash, Timestamp>,
}

impl RevocationList {
    /// Of two for the same, the later instants hold.
    pub fn add(&mut self, revocation: Revocation) {
        let Revocation { revoked, ends_at } = revocation;
        match revoked {
            Revoked::User { user, before } => {
                let known = self.users.entry(user).or_insert((before, ends_at));
                *known = (known.0.max(before), known.1.max(ends_at));
            }
            Revoked::Jti { jti } => {
                let known = self.jtis.entry(jti).or_insert(ends_at);
                *known = ends_at.max(*known);
            }
            Revoked::Token { hash } => {
                let known = self.tokens.entry(hash).or_insert(ends_at);
                *known = ends_at.max(*known);
            }
        }
    }

    /// Whether a token does not hold any more. One that does not say when it was issued may have
    /// been issued before: in doubt it is revoked.
    pub fn covers(&self, token: TokenFacts<'_>) -> bool {
        let by_user = self.users.get(token.user).is_some_and(|(before, _)| {
            // Tokens know seconds: one of the second of the revocation may be older than it.
            let issued = token.issued_at.map(|at| i64::try_from(at).unwrap_or(i64::MAX));
            issued.is_none_or(|at| at.saturating_mul(1_000) < before.as_millis())
        });
        by_user
            || self.tokens.contains_key(token.hash)
            || token.jti.is_some_and(|jti| self.jtis.contains_key(jti))
    }

    /// Forgets those that have ended.
    pub fn forget(&mut self, now: Timestamp) {
        self.users.retain(|_, (_, ends_at)| *ends_at > now);
        self.jtis.retain(|_, ends_at| *ends_at > now);
        self.tokens.retain(|_, ends_at| *ends_at > now);
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        self.users.len() + self.jtis.len() + self.tokens.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Timestamp = Timestamp::EPOCH;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn all_of_alice(before: i64, ends_at: i64) -> Revocation {
        let revoked = Revoked::User { user: user("alice"), before: at(before) };
        Revocation { revoked, ends_at: at(ends_at) }
    }

    fn covers(list: &RevocationList, name: &str, issued_at: Option<u64>) -> bool {
        let (user, hash) = (user(name), [1; 32]);
        list.covers(TokenFacts { user: &user, issued_at, jti: Some("j"), hash: &hash })
    }

    #[test]
    fn what_a_user_had_before_is_revoked() {
        let mut list = RevocationList::default();
        list.add(all_of_alice(10_500, 99_000));
        assert!(covers(&list, "alice", Some(9)));
        assert!(covers(&list, "alice", Some(10)), "of the same second: in doubt");
        assert!(!covers(&list, "alice", Some(11)));
        assert!(covers(&list, "alice", None), "nobody knows when");
        assert!(!covers(&list, "bob", Some(9)) && !covers(&list, "bob", None));
        list.add(all_of_alice(5_000, 50_000));
        assert!(covers(&list, "alice", Some(10)), "a later word does not take an earlier back");
        list.forget(at(98_999));
        assert!(covers(&list, "alice", Some(10)));
        list.forget(at(99_000));
        assert!(!covers(&list, "alice", Some(10)) && list.is_empty());
    }

    #[test]
    fn one_token_is_known_by_its_id_or_its_hash() {
        let revoked = [Revoked::Jti { jti: "j".into() }, Revoked::Token { hash: [1; 32] }];
        for revoked in revoked {
            let mut list = RevocationList::default();
            assert!(!covers(&list, "alice", Some(1)));
            list.add(Revocation { revoked, ends_at: END });
            assert!(covers(&list, "alice", Some(1)));
        }
        let mut list = RevocationList::default();
        list.add(Revocation { revoked: Revoked::Jti { jti: "other".into() }, ends_at: END });
        list.add(Revocation { revoked: Revoked::Token { hash: [2; 32] }, ends_at: END });
        assert!(!covers(&list, "alice", Some(1)));
        assert_eq!(list.len(), 2);
    }
}
