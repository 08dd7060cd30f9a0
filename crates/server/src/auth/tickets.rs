//! One-use tickets for clients that can only give an address: an address is kept in histories and
//! logs, and what is found there must be worth nothing.
//!
//! A ticket is good on the node that issued it: that it is used once is known only there.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tidings_core::{ids::UserId, time::Timestamp};

use super::{Claims, Revocations, TokenError};
use crate::secret::random_hex;

/// What tickets begin with, so that one that was leaked can be recognized.
const PREFIX: &str = "tdt_";
const TTL: Duration = Duration::from_secs(60);
/// Tickets that one user may have at once; more push out the oldest.
const PER_USER: usize = 10;
/// Tickets of all users.
const MOST: usize = 10_000;

type Hash = [u8; 32];

/// Tickets that were issued and not used yet.
pub struct Tickets {
    held: Mutex<Held>,
    revocations: Arc<Revocations>,
}

#[derive(Default)]
struct Held {
    tickets: HashMap<Hash, Ticket>,
    /// The oldest first.
    by_age: BTreeMap<u64, Hash>,
    /// Those of each user, the oldest first.
    by_user: HashMap<UserId, VecDeque<Hash>>,
    issued: u64,
}

struct Ticket {
    claims: Claims,
    number: u64,
    expires_at: Timestamp,
}

impl Tickets {
    pub fn new(revocations: Arc<Revocations>) -> Self {
        Self { held: Mutex::default(), revocations }
    }

    /// A ticket that stands for these claims once, for a minute and never beyond their end.
    pub fn issue(&self, claims: Claims, now: Timestamp) -> (String, Timestamp) {
        // 256 random bits: nobody guesses one, so their hashes can simply be looked up.
        let ticket = format!("{PREFIX}{}", random_hex::<32>());
        let expires_at = now.plus(TTL).min(claims.expires_at());
        self.held.lock().put(hash(&ticket), claims, expires_at, now);
        (ticket, expires_at)
    }

    /// Takes a ticket for what it stands for.
    pub fn redeem(&self, ticket: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let well_formed = ticket.len() == PREFIX.len() + 64 && ticket.starts_with(PREFIX);
        let taken = well_formed.then(|| self.held.lock().take(&hash(ticket))).flatten();
        match taken {
            Some(ticket) if self.revocations.cover(&ticket.claims) => Err(TokenError::Revoked),
            Some(ticket) if ticket.expires_at > now => Ok(ticket.claims),
            _ => Err(TokenError::Ticket),
        }
    }
}

fn hash(ticket: &str) -> Hash {
    tidings_core::api_key::hash_key(ticket)
}

impl Held {
    fn put(&mut self, hash: Hash, claims: Claims, expires_at: Timestamp, now: Timestamp) {
        self.prune(now);
        let own = self.by_user.get(&claims.sub);
        let oldest = own.filter(|own| own.len() >= PER_USER).and_then(VecDeque::front).copied();
        if let Some(oldest) = oldest {
            self.take(&oldest);
        }
        self.issued += 1;
        let number = self.issued;
        self.by_age.insert(number, hash);
        self.by_user.entry(claims.sub.clone()).or_default().push_back(hash);
        self.tickets.insert(hash, Ticket { claims, number, expires_at });
    }

    /// Forgets what has expired, and the oldest if there are too many.
    fn prune(&mut self, now: Timestamp) {
        while let Some((_, oldest)) = self.by_age.first_key_value() {
            let oldest = *oldest;
            let expired = self.tickets.get(&oldest).is_none_or(|held| held.expires_at <= now);
            if !expired && self.tickets.len() < MOST {
                return;
            }
            self.take(&oldest);
        }
    }

    fn take(&mut self, hash: &Hash) -> Option<Ticket> {
        let ticket = self.tickets.remove(hash)?;
        self.by_age.remove(&ticket.number);
        if let Some(own) = self.by_user.get_mut(&ticket.claims.sub) {
            own.retain(|other| other != hash);
            if own.is_empty() {
                self.by_user.remove(&ticket.claims.sub);
            }
        }
        Some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_000_000)
    }

    fn tickets() -> Tickets {
        Tickets::new(Arc::new(Revocations::new(Arc::new(crate::clock::SystemClock))))
    }

    fn claims(user: &str, exp: u64) -> Claims {
        Claims::user(UserId::new(user).unwrap(), exp)
    }

    #[test]
    fn a_ticket_is_good_once_and_for_a_minute() {
        let tickets = tickets();
        let alice = claims("alice", 9_000);
        let (first, expires_at) = tickets.issue(alice.clone(), now());
        assert_eq!(expires_at, now().plus(TTL));
        assert_eq!(tickets.redeem(&first, now()), Ok(alice.clone()));
        assert_eq!(tickets.redeem(&first, now()), Err(TokenError::Ticket));
        let (late, expires_at) = tickets.issue(alice.clone(), now());
        assert_eq!(tickets.redeem(&late, expires_at), Err(TokenError::Ticket));
        for odd in ["", "tdt_", "x", &first[4..], &late.to_uppercase(), &"x".repeat(100_000)] {
            assert_eq!(tickets.redeem(odd, now()), Err(TokenError::Ticket));
        }
        let (short, expires_at) = tickets.issue(claims("alice", 1_010), now());
        assert_eq!(expires_at, Timestamp::from_millis(1_010_000), "the token's end is its end");
        assert_eq!(tickets.redeem(&short, expires_at), Err(TokenError::Ticket));
        let held = tickets.held.lock();
        assert!(held.tickets.is_empty() && held.by_age.is_empty() && held.by_user.is_empty());
    }

    #[test]
    fn they_are_bounded_and_the_oldest_goes() {
        let tickets = tickets();
        let issue = |user: &str, now| tickets.issue(claims(user, 9_000), now).0;
        let own: Vec<_> = (0..=PER_USER).map(|_| issue("alice", now())).collect();
        assert_eq!(tickets.redeem(&own[0], now()), Err(TokenError::Ticket));
        assert!(tickets.redeem(&own[1], now()).is_ok());
        for n in 0..MOST {
            issue(&format!("u{n}"), now());
        }
        assert_eq!(tickets.held.lock().tickets.len(), MOST);
        assert_eq!(tickets.redeem(&own[2], now()), Err(TokenError::Ticket));
        issue("bob", now().plus(TTL));
        let held = tickets.held.lock();
        assert_eq!((held.tickets.len(), held.by_age.len(), held.by_user.len()), (1, 1, 1));
    }
}
