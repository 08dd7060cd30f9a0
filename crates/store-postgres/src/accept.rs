//! Accepting messages: everything of one request or nothing.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tidings_core::{
    announcement::{MAX_DUE, MAX_IMMEDIATE},
    idempotency::IdempotencyClaim,
    ids::{NotificationId, UserId},
    notification::{Message, NewMessage, Recipients},
    ports::{self, AcceptOutcome, Accepted, StoreError},
    time::Timestamp,
};

use crate::{
    announcements,
    books::{Books, NewBody, Wanted},
    failure::Result,
    lane::{Outcome, Tx, Weight},
    messages::{self, Known},
};

/// A request, prepared by the caller's task so that the lane only stores it.
pub(crate) struct Request {
    messages: Vec<Incoming>,
    claim: Option<IdempotencyClaim>,
    now: Timestamp,
}

struct Incoming {
    message: Arc<Message>,
    /// The message as JSON, as long as nothing is known of its actor.
    body: String,
    recipients: Recipients,
    dedupe_key: Option<String>,
    send_at: Option<Timestamp>,
    keep_for: Option<Duration>,
    job: bool,
}

impl Request {
    pub(crate) fn new(accept: ports::Accept) -> Result<Self> {
        let ports::Accept { messages, idempotency: claim, now } = accept;
        let too_many = immediate_items(&messages, now) > MAX_IMMEDIATE;
        let incoming = |new: NewMessage| {
            let job = too_many || is_job(&new, now);
            let NewMessage { message, recipients, dedupe_key, send_at, keep_for } = new;
            let recipients = match recipients {
                Recipients::Users(users) => Recipients::Users(each_once(users)),
                other => other,
            };
            let body = messages::encode(&message)?;
            let message = Arc::new(message);
            Ok(Incoming { message, body, recipients, dedupe_key, send_at, keep_for, job })
        };
        let messages = messages.into_iter().map(incoming).collect::<Result<_>>()?;
        Ok(Self { messages, claim, now })
    }

    /// What it costs while it waits, about.
    pub(crate) fn weight(&self) -> Weight {
        self.messages.iter().fold(Weight { rows: 1, bytes: 256 }, |weight, new| {
            let recipients = new.users().len().max(1);
            Weight {
                rows: weight.rows + 1 + recipients,
                bytes: weight.bytes + 512 + 2 * new.body.len() + 64 * recipients,
            }
        })
    }

    /// Requests that meet each other in a row or a key had best meet in one lane.
    pub(crate) fn route(&self) -> &str {
        if let Some(claim) = &self.claim {
            return &claim.key;
        }
        let first = self.messages.first().and_then(|new| new.users().first());
        first.map_or("", UserId::as_str)
    }
}

impl Incoming {
    fn users(&self) -> &[UserId] {
        match &self.recipients {
            Recipients::Users(users) => users,
            Recipients::Room(_) | Recipients::All => &[],
        }
    }
}

/// Whether it has to be an announcement, whatever else is in the request.
fn is_job(new: &NewMessage, now: Timestamp) -> bool {
    !matches!(new.recipients, Recipients::Users(_)) || new.send_at.is_some_and(|at| at > now)
}

/// Items that would be stored at once: the sum over the messages of their recipients.
fn immediate_items(messages: &[NewMessage], now: Timestamp) -> usize {
    let recipients = |new: &NewMessage| match &new.recipients {
        Recipients::Users(users) if !is_job(new, now) => users.len(),
        _ => 0,
    };
    messages.iter().map(recipients).sum()
}

fn each_once(users: Vec<UserId>) -> Vec<UserId> {
    if users.len() < 2 {
        return users;
    }
    let mut seen = HashSet::with_capacity(users.len());
    users.into_iter().filter(|user| seen.insert(user.clone())).collect()
}

pub(crate) fn want(wanted: &mut Wanted, request: &Request) {
    if let Some(claim) = &request.claim {
        wanted.claims.push(claim, request.now);
    }
    for new in &request.messages {
        wanted.ids.push(new.message.id.0);
        if let Some(actor) = &new.message.actor_id {
            wanted.actors.insert(actor.clone());
        }
        if new.job {
            continue;
        }
        wanted.recipients.extend(new.users().iter().cloned());
        if let Some(key) = &new.dedupe_key {
            new.users().iter().for_each(|user| wanted.dedupe.push(user, key, request.now));
        }
    }
}

/// The outcome counts once the books are written and committed.
pub(crate) async fn decide(
    tx: &Tx,
    books: &mut Books,
    request: &Request,
) -> Result<Outcome<AcceptOutcome>> {
    let key = request.claim.as_ref().map(|claim| (claim.scope.clone(), claim.key.clone()));
    if let (Some(claim), Some(key)) = (&request.claim, &key)
        && let Some(known) = books.claims.get(key).and_then(|claimed| claimed.of(claim))
    {
        return Ok(known);
    }
    if let Err(refused) = check_room(tx, books, request).await? {
        if let Some(claimed) = key.and_then(|key| books.claims.get_mut(&key)) {
            claimed.refused(&refused);
        }
        return Ok(Err(refused));
    }
    let mut accepted = Vec::with_capacity(request.messages.len());
    for new in &request.messages {
        accepted.push(accept_one(tx, books, new, request.now).await?);
    }
    if let Some(claimed) = key.and_then(|key| books.claims.get_mut(&key)) {
        claimed.done(&accepted);
    }
    let note = request.claim.as_ref().map(|claim| claim.note.clone()).unwrap_or_default();
    Ok(Ok(AcceptOutcome { accepted, replayed: false, note }))
}

/// Whether the announcements of this request find room, before anything of it is done.
async fn check_room(tx: &Tx, books: &Books, request: &Request) -> Result<Outcome<()>> {
    let due_now = |new: &&Incoming| {
        let now = new.send_at.is_none_or(|at| at <= request.now);
        new.job && now && !books.known.contains_key(&new.message.id)
    };
    let due = request.messages.iter().filter(due_now).count();
    if due == 0 || announcements::find_room(tx, due, MAX_DUE, request.now).await? {
        return Ok(Ok(()));
    }
    Ok(Err(StoreError::Busy))
}

async fn accept_one(
    tx: &Tx,
    books: &mut Books,
    new: &Incoming,
    now: Timestamp,
) -> Result<Accepted> {
    let id = new.message.id;
    if let Some(Known { recipients, announced }) = books.known.get(&id).copied() {
        return Ok(Accepted { id, recipients, duplicate: false, announced });
    }
    let accepted =
        if new.job { announce(tx, books, new, now).await? } else { add_at_once(books, new, now)? };
    if !accepted.duplicate {
        let Accepted { recipients, announced, .. } = accepted;
        books.known.insert(id, Known { recipients, announced });
    }
    Ok(accepted)
}

/// Its dedupe key is looked at when it reaches each recipient.
async fn announce(tx: &Tx, books: &mut Books, new: &Incoming, now: Timestamp) -> Result<Accepted> {
    let id = new.message.id;
    let run_at = new.send_at.map_or(now, |at| at.max(now));
    let key = new.dedupe_key.as_deref();
    let recipients = announcements::accept(tx, id, key, &new.recipients, now, run_at).await?;
    store_body(books, new, run_at, recipients)?;
    Ok(Accepted { id, recipients, duplicate: false, announced: true })
}

fn add_at_once(books: &mut Books, new: &Incoming, now: Timestamp) -> Result<Accepted> {
    let id = new.message.id;
    let (users, first) = without_those_who_have(books, new);
    if let (Some(first), true) = (first, users.is_empty()) {
        return Ok(Accepted { id: first, recipients: 0, duplicate: true, announced: false });
    }
    let recipients = users.len() as u64;
    let message = store_body(books, new, now, recipients)?;
    for user in users {
        books.add_item(&message, user, now)?;
        if let Some(key) = &new.dedupe_key {
            books.dedupe.save(user, key, id, now);
        }
    }
    Ok(Accepted { id, recipients, duplicate: false, announced: false })
}

/// The recipients who have no notification with this key yet, and the notification of the first
/// who has one.
fn without_those_who_have<'n>(
    books: &Books,
    new: &'n Incoming,
) -> (Vec<&'n UserId>, Option<NotificationId>) {
    let Some(key) = &new.dedupe_key else { return (new.users().iter().collect(), None) };
    let mut first = None;
    let mut left = Vec::with_capacity(new.users().len());
    for user in new.users() {
        match books.dedupe.find(user, key) {
            Some(id) => first = first.or(Some(id)),
            None => left.push(user),
        }
    }
    (left, first)
}

/// With the actor as the users table knows it now.
fn store_body(
    books: &mut Books,
    new: &Incoming,
    sent_at: Timestamp,
    recipients: u64,
) -> Result<Arc<Message>> {
    let actor = new.message.actor_id.as_ref().and_then(|id| books.actors.get(id)).cloned();
    let (message, body) = match actor {
        None => (new.message.clone(), new.body.clone()),
        Some(actor) => {
            let message = messages::with_actor(&new.message, actor);
            let body = messages::encode(&message)?;
            (Arc::new(message), body)
        }
    };
    let keep_for = new.keep_for;
    books.add_message(NewBody { message: &message, body, sent_at, keep_for, recipients });
    Ok(message)
}
