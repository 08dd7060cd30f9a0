//! Goes on with the erasures that are not done.

use std::time::Duration;

use tidings_core::{
    audit::{Actor, Happening},
    erasure::ErasureId,
};

use crate::state::AppState;

pub(super) const PAUSE: Duration = Duration::from_secs(1);
const SIDE_BY_SIDE: usize = 16;
/// Rows in one transaction.
const LIMIT: usize = 500;

pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    for id in state.store.due_erasures(SIDE_BY_SIDE).await? {
        go_on(&state, id).await?;
    }
    Ok(())
}

/// Until nothing is found. What is still on its way, a later round finds.
async fn go_on(state: &AppState, id: ErasureId) -> anyhow::Result<()> {
    loop {
        let progress = state.store.advance_erasure(id, LIMIT, state.clock.now()).await?;
        if progress.finished {
            state.audit.record(Happening::new("user.erasure_finished", Actor::System).target(id));
        }
        if progress.rows == 0 {
            return Ok(());
        }
    }
}
