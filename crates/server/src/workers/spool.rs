//! Carries out what waits in the spool, in order, many records in one transaction.

use tidings_core::{
    audit::{Actor, Happening},
    ids::{NotificationId, UserId},
    notification::Message,
    ports::{AcceptOutcome, Accepted, StoreError},
};

use crate::{
    inbox::provisional,
    lifecycle::Phase,
    spool::{Reason, Record, Spool, Waiting},
    state::AppState,
};

/// So often a record is tried that the store fails on, before it is looked at whether the store takes others.
const ATTEMPTS: u32 = 5;
/// Items of inboxes in one transaction, unless one record has more.
const ITEMS: usize = 2_000;

/// Carries out what waits, until nothing does or the store is away.
pub async fn tick(state: AppState) -> anyhow::Result<()> {
    state.metrics.spool.breaker("read", state.breakers.reads_open());
    state.metrics.spool.breaker("write", state.breakers.writes_open());
    provisional::look_after(&state);
    let Some(spool) = &state.spool else { return Ok(()) };
    let outcome = replay(&state, spool).await;
    if outcome.is_err() {
        spool.settle(false).await;
    }
    state.metrics.spool.level(spool.level(), state.clock.now());
    outcome
}

async fn replay(state: &AppState, spool: &Spool) -> anyhow::Result<()> {
    while state.lifecycle.phase() < Phase::Stopping {
        let front = spool.front().await?;
        if front.is_empty() {
            if spool.is_empty() {
                spool.settle(true).await;
            }
            return Ok(());
        }
        let goes_on = round(state, spool, &front).await?;
        spool.settle(goes_on).await;
        state.metrics.spool.level(spool.level(), state.clock.now());
        if !goes_on {
            return Ok(());
        }
    }
    Ok(())
}

/// Carries out the first records in one transaction. `false`: not now.
async fn round(state: &AppState, spool: &Spool, front: &[Waiting]) -> anyhow::Result<bool> {
    let first = first_together(front, spool.pace());
    if first.is_empty() {
        let Some(first) = front.first() else { return Ok(true) };
        bury(state, spool, first, Reason::Unreadable).await?;
        return Ok(true);
    }
    state.breakers.hasten_write(state.config.spool.retry);
    let requests = first.iter().map(|(_, record)| record.to_accept()).collect();
    let outcomes = state.store.accept_in_order(requests).await;
    spool.paced(outcomes.is_ok());
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(StoreError::Internal(_)) => return one_by_one(state, spool, first).await,
        Err(away) => vec![Err(away)],
    };
    for ((waiting, record), outcome) in first.into_iter().zip(outcomes) {
        if !settled(state, spool, (waiting, record), outcome).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// As many of the first records as one transaction should hold, at most `most`.
fn first_together(front: &[Waiting], most: usize) -> Vec<(&Waiting, &Record)> {
    let mut items = 0;
    let readable = front.iter().map_while(|waiting| Some((waiting, waiting.record.as_ref().ok()?)));
    let together = readable.take_while(|(_, record)| {
        let before = items;
        items += record.at_once().map(|(_, users)| users.len()).sum::<usize>();
        before == 0 || items <= ITEMS
    });
    together.take(most).collect()
}

/// One of them spoils it for the others: up to that one.
async fn one_by_one(
    state: &AppState,
    spool: &Spool,
    records: Vec<(&Waiting, &Record)>,
) -> anyhow::Result<bool> {
    for (waiting, record) in records {
        let outcome = state.store.accept(record.to_accept()).await;
        if !settled(state, spool, (waiting, record), outcome).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What becomes of the first record. `false`: it has to be tried again.
async fn settled(
    state: &AppState,
    spool: &Spool,
    (waiting, record): (&Waiting, &Record),
    outcome: Result<AcceptOutcome, StoreError>,
) -> anyhow::Result<bool> {
    match outcome {
        Ok(outcome) => {
            state.breakers.hasten_read();
            taken(state, record, &outcome).await;
            spool.done(waiting);
        }
        Err(StoreError::IdempotencyMismatch) => {
            bury(state, spool, waiting, Reason::IdempotencyMismatch).await?;
        }
        Err(StoreError::Internal(problem)) => {
            tracing::error!(event = "spool.refused", problem, "the store fails on a request");
            return poisoned(state, spool, waiting).await;
        }
        Err(StoreError::Unavailable(_) | StoreError::Busy) => return Ok(false),
    }
    Ok(true)
}

/// The store has it: says so to those who were shown it, and withdraws what did not get in.
async fn taken(state: &AppState, record: &Record, outcome: &AcceptOutcome) {
    let mut won = true;
    for (id, accepted) in record.ids().zip(&outcome.accepted) {
        won &= accepted.id == id;
        if accepted.announced {
            state.announced.notify_one();
            if !outcome.replayed {
                audit(state, record, accepted);
            }
        }
    }
    state.metrics.spool.replayed(won);
    let accepted = |message: &Message| {
        let at = record.ids().position(|id| id == message.id)?;
        outcome.accepted.get(at)
    };
    for (message, users) in record.at_once() {
        let Some(accepted) = accepted(message) else { continue };
        if accepted.id != message.id {
            provisional::withdraw(state, message.id, users, Some(accepted.id)).await;
        } else if accepted.recipients < users.len() as u64 {
            left_out(state, message.id, users).await;
        } else {
            provisional::expect(state, message.id, users);
        }
    }
}

fn audit(state: &AppState, record: &Record, Accepted { id, recipients, .. }: &Accepted) {
    let actor = Actor::ApiKey(record.sender().to_owned());
    let happening = Happening::new("announcement.accepted", actor).from(record.ip()).target(id);
    state.audit.record(happening.with("recipients", recipients));
}

/// Some had one with this dedupe key already.
async fn left_out(state: &AppState, id: NotificationId, users: &[UserId]) {
    for user in users.iter().filter(|user| state.hub.was_shown(user, id)) {
        let one = std::slice::from_ref(user);
        match state.store.notification(user, id).await {
            Ok(None) => provisional::withdraw(state, id, one, None).await,
            // If it cannot be asked now: the change itself says so, or nobody does until the device comes back.
            Ok(Some(_)) | Err(_) => provisional::expect(state, id, one),
        }
    }
}

/// The store fails on this record. If it takes other writes, it is the record.
async fn poisoned(state: &AppState, spool: &Spool, waiting: &Waiting) -> anyhow::Result<bool> {
    if spool.failed(waiting) < ATTEMPTS {
        return Ok(false);
    }
    if state.store.purge_revocations(state.clock.now(), 1).await.is_err() {
        return Ok(false);
    }
    bury(state, spool, waiting, Reason::Poison).await?;
    Ok(true)
}

async fn bury(
    state: &AppState,
    spool: &Spool,
    waiting: &Waiting,
    reason: Reason,
) -> anyhow::Result<()> {
    spool.bury(waiting, reason, state.clock.now()).await?;
    state.metrics.spool.buried(reason);
    let ids: Vec<String> = match &waiting.record {
        Ok(record) => record.ids().map(|id| id.to_string()).collect(),
        Err(_) => Vec::new(),
    };
    tracing::error!(
        event = "spool.dead",
        reason = reason.as_str(),
        notifications = ids.join(" "),
        "an accepted request was not stored; it is kept in dead.jsonl"
    );
    if let Ok(record) = &waiting.record {
        for (message, users) in record.at_once() {
            provisional::withdraw(state, message.id, users, None).await;
        }
    }
    Ok(())
}
