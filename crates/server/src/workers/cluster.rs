//! Keeps this node known to the others, and the others known to it.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{every, every_or_when};
use crate::{cluster, state::AppState};

/// Between two looks at what is left to be done, if nobody says that there is something.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn start(loops: &mut JoinSet<()>, state: &AppState) {
    if !state.cluster.is_shared() {
        return;
    }
    let heartbeat = state.config.cluster.heartbeat;
    every(loops, state, heartbeat, |state| async move { cluster::heartbeat(&state).await });
    every_or_when(loops, state, PAUSE, |s| Some(&s.cluster.touched), cluster::announce);
    every_or_when(loops, state, PAUSE, |s| Some(&s.cluster.unread), cluster::follow);
    every_or_when(loops, state, PAUSE, |s| Some(&s.cluster.dead), cluster::reap);
}

/// Writes and reads all that is to be, now.
pub async fn settle(state: &AppState) -> anyhow::Result<()> {
    cluster::announce(state.clone()).await?;
    cluster::follow(state.clone()).await
}
