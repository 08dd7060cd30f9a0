//! Takes connections out of rooms that they may not be in any more.

use std::{sync::Arc, time::Duration};

use tidings_core::room::RoomSignal;

use super::Lost;
use crate::{
    lifecycle::Phase,
    rooms::{Which, decide_again},
    state::AppState,
};

/// Between two looks at all memberships held. Losses are heard of at once; this is for those
/// whose word was lost.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

pub(super) async fn run(state: AppState, mut lost: Lost) {
    loop {
        let signal = tokio::select! {
            signal = lost.recv() => signal,
            () = state.lifecycle.reached(Phase::Stopping) => return,
        };
        let Some(signal) = signal else { return };
        take_out(&state, &signal).await;
        if state.rooms.take_overrun()
            && let Err(problem) = tick(state.clone()).await
        {
            tracing::warn!(%problem, "memberships could not be read; they are in a minute");
        }
    }
}

async fn take_out(state: &AppState, signal: &Arc<RoomSignal>) {
    let RoomSignal::MembershipLost { room, users } = &**signal else { return };
    for session in users.iter().flat_map(|user| state.hub.sessions_of(user)) {
        if let Err(problem) = decide_again(state, &session, Which::Lost(room)).await {
            tracing::warn!(%problem, %room, "a membership was taken to be lost unasked");
        }
    }
}

/// Looks at all memberships that somebody is in a room by.
pub async fn tick(state: AppState) -> anyhow::Result<()> {
    for session in state.hub.sessions_where(|session| session.rooms.has_memberships()) {
        decide_again(&state, &session, Which::Memberships).await?;
    }
    Ok(())
}
