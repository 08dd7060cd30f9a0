//! Carries on announcements, a batch each in turn, so that a long one does not keep a short
//! one waiting.

use tidings_core::{
    announcement::BATCH,
    audit::{Actor, Happening},
};

use crate::state::AppState;

/// Announcements that are carried on side by side.
const SIDE_BY_SIDE: usize = 16;

/// One batch of each that is due.
pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    let due = state.store.due_announcements(state.clock.now(), SIDE_BY_SIDE).await?;
    for id in due {
        let progress = state.store.advance_announcement(id, BATCH, state.clock.now()).await?;
        if progress.finished {
            tracing::info!(event = "announcement.done", notification = %id);
            state.audit.record(Happening::new("announcement.finished", Actor::System).target(id));
        }
    }
    Ok(())
}
