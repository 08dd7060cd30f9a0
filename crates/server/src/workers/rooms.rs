//! Takes connections out of rooms that they may not be in any more.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_core::room::RoomSignal;

use super::Lost;
use super::guarded;
use crate::{
    lifecycle::Phase,
    rooms::{Which, decide_again},
    state::AppState,
};

/// Between two looks at all memberships held. Losses are heard of at once; this is for those
/// whose word was lost.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

/// Connections that are decided about at the same time: the application takes its time.
const SIDE_BY_SIDE: usize = 16;

pub(super) async fn run(state: AppState, mut lost: Lost) {
    loop {
        let signal = tokio::select! {
            signal = lost.recv() => signal,
            () = state.lifecycle.reached(Phase::Stopping) => return,
        };
        let Some(signal) = signal else { return };
        guarded(take_out(&state, &signal)).await;
        if state.rooms.take_overrun()
            && let Some(Err(problem)) = guarded(tick(state.clone())).await
        {
            tracing::warn!(%problem, "memberships could not be read; they are in a minute");
        }
    }
}

async fn take_out(state: &AppState, signal: &Arc<RoomSignal>) {
    let RoomSignal::MembershipLost { room, users } = &**signal else { return };
    if let Some(application) = &state.application {
        // Said before, by whoever took them away, but that word may have been lost.
        application.forget(room, users);
    }
    let sessions = users.iter().flat_map(|user| state.hub.sessions_of(user));
    stream::iter(sessions)
        .for_each_concurrent(SIDE_BY_SIDE, |session| async move {
            if let Err(problem) = decide_again(state, &session, Which::Lost(room)).await {
                tracing::warn!(%problem, %room, "a membership was taken to be lost unasked");
            }
        })
        .await;
}

/// Looks at all rooms that somebody is in because the store or the application said so.
pub async fn tick(state: AppState) -> anyhow::Result<()> {
    let sessions = state.hub.sessions_where(|session| session.rooms.has_asked());
    let state = &state;
    stream::iter(sessions.into_iter().map(Ok))
        .try_for_each_concurrent(SIDE_BY_SIDE, |session| async move {
            decide_again(state, &session, Which::Asked).await
        })
        .await?;
    Ok(())
}
