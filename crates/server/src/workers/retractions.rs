//! Takes retracted messages out of the inboxes that the request itself did not reach.

use tidings_core::announcement::BATCH;

use crate::state::AppState;

const SIDE_BY_SIDE: usize = 16;

pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    for id in state.store.due_retractions(SIDE_BY_SIDE).await? {
        state.store.advance_retraction(id, BATCH, state.clock.now()).await?;
    }
    Ok(())
}
