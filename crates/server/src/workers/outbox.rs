//! Carries out what applications published from inside their own transactions.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    audit::{Actor, Happening},
    notification::NewMessage,
    ports::StoreError,
    time::Timestamp,
};
use tidings_store_postgres::{
    PostgresStore,
    outbox::{Check, Entry, Taken},
};

use crate::{api, lifecycle::Phase, state::AppState};

/// Entries in one transaction.
const LIMIT: usize = 500;
/// After a failure, so that a database that is away is not asked twenty times a second.
const REST: Duration = Duration::from_secs(1);

/// Everything that is in the outbox now.
pub(super) async fn tick(state: AppState, store: PostgresStore) -> anyhow::Result<()> {
    while state.lifecycle.phase() != Phase::Stopping {
        let now = state.clock.now();
        match store.take_outbox(LIMIT, now, check(&state, now)).await {
            Ok(taken) if taken.entries() == 0 => return Ok(()),
            Ok(taken) => report(&state, &taken),
            Err(problem) => return rest(&state, problem).await,
        }
    }
    Ok(())
}

/// The rules of `POST /notifications`.
fn check(state: &AppState, now: Timestamp) -> Check {
    let state = state.clone();
    Arc::new(move |entry: &Entry| -> Result<NewMessage, String> {
        let body = entry.body.as_bytes();
        api::read_notification(&state, body, entry.id, now).map_err(|problem| problem.to_string())
    })
}

fn report(state: &AppState, taken: &Taken) {
    state.metrics.outbox_taken(taken.accepted, taken.dead.len() as u64);
    for announced in &taken.announced {
        let happening = Happening::new("announcement.accepted", Actor::System).target(announced.id);
        state.audit.record_often(happening.with("recipients", announced.recipients));
    }
    if !taken.announced.is_empty() {
        state.announced.notify_one();
    }
    for (id, _) in &taken.dead {
        // Why may quote what was written.
        tracing::warn!(event = "outbox.dead", notification = %id, "outbox_dead has the reason");
    }
}

/// Looks at once when the database says that there is something, until the server stops.
pub(super) async fn listen(state: AppState, store: PostgresStore) {
    while state.lifecycle.phase() != Phase::Stopping {
        let ended = tokio::select! {
            ended = store.listen_outbox(|| state.published.notify_one()) => ended,
            () = state.lifecycle.reached(Phase::Stopping) => return,
        };
        let problem = ended.err().map(|problem| problem.to_string()).unwrap_or_default();
        tracing::warn!(event = "outbox.deaf", problem, "looked for after the usual pauses only");
        pause(&state).await;
    }
}

async fn pause(state: &AppState) {
    tokio::select! {
        () = tokio::time::sleep(REST) => {}
        () = state.lifecycle.reached(Phase::Stopping) => {}
    }
}

async fn rest(state: &AppState, problem: StoreError) -> anyhow::Result<()> {
    pause(state).await;
    Err(anyhow::Error::new(problem).context("the outbox"))
}
