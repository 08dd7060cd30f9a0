//! Erasure: everything that is kept about a user goes, in batches that a crash does not stop.
//!
//! The inbox is out of reach at once; the rest follows in the background. What arrives for the
//! user afterwards begins a new inbox, whose counter begins above the old one's: a client that
//! held a rev of the old inbox is told to start over.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    audit::{Actor, AuditEntry},
    ids::UserId,
    notification::{Message, MessageParts},
    time::Timestamp,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErasureId(pub Uuid);

impl ErasureId {
    pub fn new_v7(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl fmt::Display for ErasureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ErasureId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// An erasure that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewErasure {
    pub id: ErasureId,
    pub user: UserId,
    pub requested_at: Timestamp,
    /// Until then something about the user may still be on its way into the store, as the audit
    /// log and the history of connections are: the erasure is not done before.
    pub settles_at: Timestamp,
}

/// An erasure as it is kept: it does not name its user once it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    pub id: ErasureId,
    pub requested_at: Timestamp,
    /// `None`: it goes on.
    pub finished_at: Option<Timestamp>,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErasureProgress {
    /// Zero: nothing is left to do now.
    pub rows: u64,
    pub finished: bool,
}

/// What is remembered of an erased user: enough to know the id again when it comes back, so
/// that the new inbox's counter begins above the old one's, and not the id itself.
pub fn subject(user: &UserId) -> [u8; 32] {
    Sha256::digest(user.as_str().as_bytes()).into()
}

/// The name that an inbox bears from its user's erasure on, until nothing is left of it.
pub fn name_of_remains(id: ErasureId) -> String {
    format!("erased:{id}")
}

impl Message {
    /// The message as it is once its actor was erased; `None`: it is somebody else's.
    pub fn without_actor(self, user: &UserId) -> Option<Self> {
        if self.actor_id.as_ref() != Some(user) {
            return None;
        }
        // Made anew: a message may have cached its JSON, which has the actor.
        Some(Self::from(MessageParts {
            id: self.id,
            kind: self.kind,
            actor: None,
            actor_id: None,
            entity_type: self.entity_type,
            entity_id: self.entity_id,
            tenant: self.tenant,
            title: self.title,
            message: self.message,
            data: self.data,
            actions: self.actions,
            priority: self.priority,
            group_key: self.group_key,
            collapse_key: self.collapse_key,
            trace_id: self.trace_id,
            created_at: self.created_at,
            expires_at: self.expires_at,
        }))
    }
}

impl AuditEntry {
    /// Takes out what tells who the user was: what happened, and when, stays.
    pub fn forget(&mut self, user: &UserId) {
        let names = |text: &str| names(text, user);
        if matches!(&self.actor, Actor::User(actor) if actor == user) {
            self.actor = Actor::Erased;
            self.ip = None;
        }
        if self.user.as_ref() == Some(user) {
            self.user = None;
            self.ip = None;
        }
        if self.room.as_ref().is_some_and(|room| names(room.as_str())) {
            self.room = None;
        }
        if self.target.as_deref().is_some_and(names) {
            self.target = None;
        }
        self.detail.retain(|_, value| !names(value));
    }
}

/// Whether the id stands in the text as a word of its own, as in `user:alice`.
fn names(text: &str, user: &UserId) -> bool {
    let of_word = |c: char| c.is_ascii_alphanumeric() || "_@-".contains(c);
    text.match_indices(user.as_str()).any(|(at, id)| {
        let (before, rest) = text.split_at(at);
        let after = rest.get(id.len()..).unwrap_or_default();
        !before.ends_with(of_word) && !after.starts_with(of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditId, Happening};
    use crate::ids::RoomId;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn entry(happening: Happening) -> AuditEntry {
        let at = Timestamp::from_millis(5);
        happening.entry(AuditId::new_v7(at, [0; 10]), at)
    }

    #[test]
    fn a_name_is_found_only_whole() {
        let al = user("al");
        assert!(names("al", &al) && names("user:al", &al) && names("bob, al.", &al));
        assert!(!names("alice", &al) && !names("user:pal", &al) && !names("a-l", &al));
        assert!(!names("al@example.com", &al));
    }

    #[test]
    fn what_a_user_did_loses_who_it_was() {
        let alice = user("alice");
        let mut did = entry(
            Happening::new("room.refused", Actor::User(alice.clone()))
                .from([127, 0, 0, 1].into())
                .room(&RoomId::new("user:alice").unwrap())
                .target("alice")
                .with("reason", "not a member"),
        );
        did.forget(&alice);
        assert_eq!((&did.actor, &did.user, did.ip), (&Actor::Erased, &None, None));
        assert_eq!((&did.room, &did.target), (&None, &None));
        assert_eq!(did.detail["reason"], "not a member");
    }

    #[test]
    fn what_others_did_to_a_user_keeps_who_they_are() {
        let (alice, bob) = (user("alice"), user("bob"));
        let done = Happening::new("x", Actor::User(bob.clone())).about(&alice);
        let mut done = entry(done);
        done.forget(&alice);
        assert_eq!((&done.actor, &done.user), (&Actor::User(bob.clone()), &None));
        let mut others = entry(Happening::new("x", Actor::User(bob)).from([127, 0, 0, 1].into()));
        let before = others.clone();
        others.forget(&alice);
        assert_eq!(others, before);
    }
}
