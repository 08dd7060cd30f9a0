//! Writes what was recorded for the audit log.

use std::time::Duration;

use crate::state::AppState;

/// Between two looks, if nothing is recorded.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    if let Err(problem) = state.audit.flush(&*state.store).await {
        // What is recorded meanwhile must not make each try follow the last.
        tokio::time::sleep(PAUSE).await;
        return Err(problem.into());
    }
    Ok(())
}
