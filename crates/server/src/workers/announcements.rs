//! Carries on announcements, a batch each in turn, so that a long one does not keep a short
//! one waiting.

use std::time::Duration;

use tidings_core::{
    announcement::BATCH,
    audit::{Actor, Happening},
};

use crate::{config::Config, state::AppState};

/// Announcements that are carried on side by side.
const SIDE_BY_SIDE: usize = 16;
/// How often a node on its own looks whether the time of one has come. What it accepts is begun at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Until it is looked again when none was due. Nodes that only serve clients leave theirs to others, who are not told.
pub(super) fn pause(config: &Config) -> Duration {
    if config.redis_url.is_some() { config.lifecycle.announcement_pause } else { PAUSE }
}

/// One batch of each that is due. If there was any, the next round is due a short while later.
pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    let due = state.store.due_announcements(state.clock.now(), SIDE_BY_SIDE).await?;
    if due.is_empty() {
        return Ok(());
    }
    for id in due {
        let progress = state.store.advance_announcement(id, BATCH, state.clock.now()).await?;
        if progress.finished {
            tracing::info!(event = "announcement.done", notification = %id);
            state.audit.record(Happening::new("announcement.finished", Actor::System).target(id));
        }
    }
    tokio::time::sleep(state.config.lifecycle.announcement_pause).await;
    state.announced.notify_one();
    Ok(())
}
