//! Tells rooms who came, changed and went; looks for connections that are silent for too long;
//! and writes down when users were last seen.

use std::time::Duration;

use tidings_core::time::Timestamp;

use crate::{inbox::InboxSession, lifecycle::Phase, presence, state::AppState};

/// Between two writes.
const WRITE_PAUSE: Duration = Duration::from_secs(1);
/// Users in one write.
const BATCH: usize = 1_000;

/// One tick at this instant.
pub async fn tick(state: &AppState, now: Timestamp) -> anyhow::Result<()> {
    presence::tell_typing(state, now).await;
    presence::tell(state, now).await;
    Ok(())
}

/// Connections that are silent for too long at this instant cease to count.
pub async fn sweep(state: &AppState, now: Timestamp) -> anyhow::Result<()> {
    let ttl = state.config.presence.ttl;
    // A stream of events has no way to say anything: it counts while it is open.
    let is_silent =
        |session: &InboxSession| session.idle(now) >= ttl && !session.socket.is_stream();
    for session in state.hub.sessions_where(is_silent) {
        state.presence.lapse(&session, now, ttl);
    }
    Ok(())
}

/// Writes until the server stops, and then once more: by then everybody has gone.
pub(super) async fn write(state: AppState) {
    loop {
        let stopping = tokio::select! {
            () = tokio::time::sleep(WRITE_PAUSE) => false,
            () = state.lifecycle.reached(Phase::Stopping) => true,
        };
        if stopping {
            let end = state.clock.now().plus(state.config.presence.grace);
            presence::tell(&state, end).await;
        }
        if let Err(problem) = write_once(&state).await {
            tracing::warn!(%problem, "when users were last seen was not written; it is tried again");
        }
        if stopping {
            return;
        }
    }
}

async fn write_once(state: &AppState) -> anyhow::Result<()> {
    loop {
        let seen = state.presence.unwritten(BATCH);
        if seen.is_empty() {
            return Ok(());
        }
        state.store.saw_users(&seen).await?;
        state.presence.written(&seen);
    }
}
