//! Writes the history of connections, says that this node lives, and closes what nodes left
//! open that do not.

use std::time::Duration;

use tidings_core::{connection::Lost, time::Timestamp};

use crate::{connections::Happened, state::AppState};

/// Between two looks, if nothing is noted.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// Rows in one transaction.
const LIMIT: usize = 1_000;

/// Gathers what is noted for a moment: connections come and go in crowds.
const GATHER: Duration = Duration::from_millis(100);

pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    tokio::time::sleep(GATHER).await;
    if let Err(problem) = state.connections.flush(&*state.store).await {
        // What is noted meanwhile must not make each try follow the last.
        tokio::time::sleep(PAUSE).await;
        return Err(problem.into());
    }
    Ok(())
}

/// What a node of this name held before this one was started has ended.
pub(crate) async fn close_previous(state: &AppState) -> anyhow::Result<()> {
    if !state.connections.is_kept() {
        return Ok(());
    }
    let lost = Lost::Restarted { node: state.node_id.clone(), at: state.started_at };
    while state.store.close_lost(lost.clone(), LIMIT).await? > 0 {}
    state.store.heartbeat(&state.node_id, state.started_at).await?;
    Ok(())
}

pub async fn heartbeat(state: &AppState, now: Timestamp) -> anyhow::Result<()> {
    if !state.store.heartbeat(&state.node_id, now).await? {
        // Taken for lost, though it only slept: all that it holds was closed.
        for session in state.hub.sessions_where(|_| true) {
            state.connections.note(Happened::Opened(session));
        }
    }
    let lost = Lost::Silent { since: now.minus(state.config.connections.lost_after) };
    while state.store.close_lost(lost.clone(), LIMIT).await? > 0 {}
    Ok(())
}
