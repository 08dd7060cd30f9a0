//! Accepting messages: everything of one request in one savepoint, all or none.

use std::collections::HashSet;

use tidings_core::{
    announcement::MAX_IMMEDIATE,
    ids::{NotificationId, UserId},
    notification::{NewMessage, Recipients},
    ports::{Accept, AcceptOutcome, Accepted, StoreError},
    time::Timestamp,
};

use crate::{
    announcements, dedupe,
    failure::{Failure, Result},
    idempotency, messages,
    writer::{Tx, Weight},
};

/// What a request costs while it waits, about.
pub(crate) fn weight(accept: &Accept) -> Weight {
    accept.messages.iter().fold(Weight { rows: 1, bytes: 256 }, |weight, new| {
        let recipients = match &new.recipients {
            Recipients::Users(users) => users.len(),
            Recipients::Room(_) | Recipients::All => 1,
        };
        let text = new.message.message.len() + new.message.data.get().len();
        Weight {
            rows: weight.rows + 1 + recipients,
            bytes: weight.bytes + 512 + text + 64 * recipients,
        }
    })
}

pub(crate) fn accept(tx: &mut Tx<'_>, request: Accept) -> Result<AcceptOutcome> {
    let Accept { messages, idempotency: claim, now } = request;
    if let Some(claim) = &claim
        && let Some(outcome) = idempotency::outcome(tx.conn, claim, now)?
    {
        return Ok(outcome);
    }
    let too_many = immediate_items(&messages, now) > MAX_IMMEDIATE;
    let accepted = messages
        .into_iter()
        .map(|new| accept_one(tx, new, too_many, now))
        .collect::<Result<Vec<_>>>()?;
    if let Some(claim) = &claim {
        idempotency::save(tx, claim, &accepted, now)?;
    }
    let note = claim.map(|claim| claim.note).unwrap_or_default();
    Ok(AcceptOutcome { accepted, replayed: false, note })
}

/// Ends with the first that finds no room.
pub(crate) fn accept_in_order(
    tx: &mut Tx<'_>,
    requests: Vec<Accept>,
) -> Result<Vec<Result<AcceptOutcome, StoreError>>> {
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in requests {
        match tx.part(|tx| accept(tx, request)) {
            Ok(outcome) => outcomes.push(Ok(outcome)),
            Err(Failure::Store(mismatch @ StoreError::IdempotencyMismatch)) => {
                outcomes.push(Err(mismatch));
            }
            Err(Failure::Store(busy @ StoreError::Busy)) => {
                outcomes.push(Err(busy));
                break;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(outcomes)
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

fn accept_one(
    tx: &mut Tx<'_>,
    mut new: NewMessage,
    too_many: bool,
    now: Timestamp,
) -> Result<Accepted> {
    let id = new.message.id;
    if let Some(known) = messages::known(tx.conn, id)? {
        let messages::Known { recipients, announced } = known;
        return Ok(Accepted { id, recipients, duplicate: false, announced });
    }
    let job = too_many || is_job(&new, now);
    match &mut new.recipients {
        Recipients::Users(users) if !job => {
            let users = each_once(std::mem::take(users));
            add_at_once(tx, new, users, now)
        }
        _ => announcements::accept(tx, new, now),
    }
}

fn add_at_once(
    tx: &mut Tx<'_>,
    new: NewMessage,
    mut users: Vec<UserId>,
    now: Timestamp,
) -> Result<Accepted> {
    let NewMessage { message, dedupe_key, keep_for, .. } = new;
    let id = message.id;
    if let Some(key) = &dedupe_key
        && let Some(first) = leave_out_those_who_have(tx, key, &mut users, now)?
        && users.is_empty()
    {
        return Ok(Accepted { id: first, recipients: 0, duplicate: true, announced: false });
    }
    let recipients = users.len() as u64;
    let stored = messages::insert(tx, message, now, keep_for, recipients)?;
    for user in &users {
        let inbox = messages::add_item(tx, &stored, user, now)?;
        if let Some(key) = &dedupe_key {
            dedupe::save(tx, inbox, key, id, now)?;
        }
    }
    Ok(Accepted { id, recipients, duplicate: false, announced: false })
}

/// Takes out of `users` who already has a notification with this key. Returns one such
/// notification: the one of the first user left out.
fn leave_out_those_who_have(
    tx: &Tx<'_>,
    key: &str,
    users: &mut Vec<UserId>,
    now: Timestamp,
) -> Result<Option<NotificationId>> {
    let mut first = None;
    let mut left = Vec::with_capacity(users.len());
    for user in users.drain(..) {
        match dedupe::find(tx.conn, &user, key, now)? {
            Some(id) => first = first.or(Some(id)),
            None => left.push(user),
        }
    }
    *users = left;
    Ok(first)
}

pub(crate) fn each_once(users: Vec<UserId>) -> Vec<UserId> {
    if users.len() < 2 {
        return users;
    }
    let mut seen = HashSet::with_capacity(users.len());
    users.into_iter().filter(|user| seen.insert(user.clone())).collect()
}
