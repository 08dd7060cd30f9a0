//! Repairs what devices missed: hints that were lost, or a send buffer that was full.

use std::{collections::HashSet, time::Duration};

use tidings_core::ids::UserId;
use tokio::sync::mpsc;

use super::guarded;
use crate::{inbox::repair, lifecycle::Phase, state::AppState};

/// How long a missing change may still come by itself.
const WAIT: Duration = Duration::from_millis(100);
/// Pause after the store could not answer.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Users in one query.
const MOST: usize = 1_000;

pub(super) async fn run(state: AppState, mut reported: mpsc::UnboundedReceiver<UserId>) {
    let mut users = Vec::new();
    loop {
        tokio::select! {
            _ = reported.recv_many(&mut users, MOST) => {}
            () = state.lifecycle.reached(Phase::Stopping) => return,
        }
        tokio::time::sleep(WAIT).await;
        let distinct: HashSet<UserId> = users.drain(..).collect();
        let distinct: Vec<UserId> = distinct.into_iter().collect();
        if let Some(Err(problem)) = guarded(repair(&state, &distinct)).await {
            // They are reported again, and tried again.
            tracing::warn!(%problem, users = distinct.len(), "gaps could not be repaired");
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
}
