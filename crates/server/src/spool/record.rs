//! What a record says: one request to store notifications, complete enough to be carried out later.
//!
//! Records outlive the version that wrote them, so they have a shape of their own. Fields may be added if what is
//! without them means the same as before; anything else takes a new [`VERSION`](super::segment::VERSION).

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidings_core::{
    announcement::MAX_IMMEDIATE,
    idempotency::IdempotencyClaim,
    ids::{NotificationId, RoomId, UserId},
    notification::{Message, NewMessage, Recipients},
    ports::{Accept, AcceptOutcome, Accepted},
    time::Timestamp,
};

use super::segment::VERSION;

/// Whose keys those are that the spool itself gives to requests without one. No API key has this id.
const OWN_SCOPE: &str = "spool";

/// A request that waits, and who sent it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The id of the API key.
    sender: String,
    ip: IpAddr,
    now: Timestamp,
    messages: Vec<Spooled>,
    /// The client's own key.
    claim: Option<Claim>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spooled {
    message: Message,
    to: To,
    #[serde(skip_serializing_if = "Option::is_none")]
    dedupe_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_for: Option<Duration>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum To {
    Users(Vec<UserId>),
    Room(RoomId),
    All,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claim {
    scope: String,
    key: String,
    fingerprint: [u8; 32],
    note: String,
}

/// The part of a record that is looked at when the spool is opened.
#[derive(Deserialize)]
pub(super) struct Brief {
    pub(super) now: Timestamp,
    claim: Option<BriefClaim>,
}

#[derive(Deserialize)]
struct BriefClaim {
    scope: String,
    key: String,
}

impl Brief {
    pub(super) fn read(version: u8, payload: &[u8]) -> Option<Self> {
        (version == VERSION).then(|| serde_json::from_slice(payload).ok())?
    }

    /// Scope and key of the client's claim.
    pub(super) fn claim(&self) -> Option<(&str, &str)> {
        self.claim.as_ref().map(|claim| (claim.scope.as_str(), claim.key.as_str()))
    }
}

impl Record {
    pub fn new(accept: Accept, sender: String, ip: IpAddr) -> Self {
        let Accept { messages, idempotency, now } = accept;
        let messages = messages.into_iter().map(Spooled::from).collect();
        let claim = idempotency.map(|claim| Claim {
            scope: claim.scope,
            key: claim.key,
            fingerprint: claim.fingerprint,
            note: claim.note,
        });
        Self { sender, ip, now, messages, claim }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Plain fields into memory: cannot fail. Nothing would be refused as too short.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn decode(version: u8, payload: &[u8]) -> Result<Self, String> {
        if version != VERSION {
            return Err(format!("it is of version {version}, and this server reads {VERSION}"));
        }
        serde_json::from_slice(payload).map_err(|problem| problem.to_string())
    }

    pub fn sender(&self) -> &str {
        &self.sender
    }

    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Scope and key of the client's claim.
    pub(super) fn claim(&self) -> Option<(&str, &str)> {
        self.claim.as_ref().map(|claim| (claim.scope.as_str(), claim.key.as_str()))
    }

    /// Whether it was this very request that had the key.
    pub fn is_of(&self, claim: &IdempotencyClaim) -> bool {
        self.claim.as_ref().is_some_and(|own| own.fingerprint == claim.fingerprint)
    }

    pub fn ids(&self) -> impl Iterator<Item = NotificationId> {
        self.messages.iter().map(|spooled| spooled.message.id)
    }

    /// As the store takes it. One without a key gets one of its own: whether it was carried out is then told by the
    /// transaction that did so, also when what it added is gone again.
    pub fn to_accept(&self) -> Accept {
        let messages = self.messages.iter().map(Spooled::to_message).collect();
        let claim = self.claim.as_ref().map_or_else(|| self.own_claim(), Claim::to_claim);
        Accept { messages, idempotency: Some(claim), now: self.now }
    }

    fn own_claim(&self) -> IdempotencyClaim {
        let key = self.ids().next().map(|id| id.to_string()).unwrap_or_default();
        let fingerprint = Sha256::new_with_prefix("spool\n").chain_update(&key).finalize().into();
        IdempotencyClaim { scope: OWN_SCOPE.to_owned(), key, fingerprint, note: String::new() }
    }

    /// What the caller is told before the store has seen it.
    pub fn outcome(&self, replayed: bool) -> AcceptOutcome {
        let announced = self.is_announced();
        let accepted = self.messages.iter().map(|spooled| Accepted {
            id: spooled.message.id,
            recipients: spooled.users().map_or(0, |users| users.len() as u64),
            duplicate: false,
            announced: announced || spooled.is_job(self.now),
        });
        let note = self.claim.as_ref().map(|claim| claim.note.clone()).unwrap_or_default();
        AcceptOutcome { accepted: accepted.collect(), replayed, note }
    }

    /// So many that all of it is announced in batches.
    fn is_announced(&self) -> bool {
        let items: usize = self.immediate().map(|(_, users)| users.len()).sum();
        items > MAX_IMMEDIATE
    }

    fn immediate(&self) -> impl Iterator<Item = (&Message, &[UserId])> {
        let at_once = self.messages.iter().filter(|spooled| !spooled.is_job(self.now));
        at_once.filter_map(|spooled| Some((&spooled.message, spooled.users()?)))
    }

    /// What goes into inboxes as soon as the store is back, and into whose.
    pub fn at_once(&self) -> impl Iterator<Item = (&Message, &[UserId])> {
        let announced = self.is_announced();
        self.immediate().filter(move |_| !announced)
    }
}

impl Spooled {
    fn users(&self) -> Option<&[UserId]> {
        match &self.to {
            To::Users(users) => Some(users),
            To::Room(_) | To::All => None,
        }
    }

    /// Whether it becomes an announcement, as the store will decide.
    fn is_job(&self, now: Timestamp) -> bool {
        self.users().is_none() || self.send_at.is_some_and(|at| at > now)
    }

    fn to_message(&self) -> NewMessage {
        let recipients = match &self.to {
            To::Users(users) => Recipients::Users(users.clone()),
            To::Room(room) => Recipients::Room(room.clone()),
            To::All => Recipients::All,
        };
        NewMessage {
            message: self.message.clone(),
            recipients,
            dedupe_key: self.dedupe_key.clone(),
            send_at: self.send_at,
            keep_for: self.keep_for,
        }
    }
}

impl From<NewMessage> for Spooled {
    fn from(new: NewMessage) -> Self {
        let to = match new.recipients {
            Recipients::Users(users) => To::Users(users),
            Recipients::Room(room) => To::Room(room),
            Recipients::All => To::All,
        };
        let NewMessage { message, dedupe_key, send_at, keep_for, .. } = new;
        Self { message, to, dedupe_key, send_at, keep_for }
    }
}

impl Claim {
    fn to_claim(&self) -> IdempotencyClaim {
        IdempotencyClaim {
            scope: self.scope.clone(),
            key: self.key.clone(),
            fingerprint: self.fingerprint,
            note: self.note.clone(),
        }
    }
}
