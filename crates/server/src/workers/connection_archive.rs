//! Takes old connections out of the store: into the archive, if there is one.

use tidings_core::connection::{Connection, ConnectionId};

use crate::state::AppState;

/// Connections in one object of the archive.
const OBJECT: usize = 10_000;
/// Rows in one transaction.
const LIMIT: usize = 1_000;

pub async fn tick(state: AppState) -> anyhow::Result<()> {
    let before = state.clock.now().minus(state.config.retention.connections);
    loop {
        let ended = state.store.ended_connections(before, OBJECT).await?;
        let is_whole = ended.len() == OBJECT;
        if ended.is_empty() || !is_whole && !is_time(&state, &ended) {
            return Ok(());
        }
        if let Some(archive) = &state.archive {
            archive.keep(&ended).await?;
        }
        let ids: Vec<ConnectionId> = ended.iter().map(|connection| connection.id).collect();
        for ids in ids.chunks(LIMIT) {
            state.store.remove_connections(ids).await?;
        }
    }
}

/// A few that are old enough wait for more, so that the archive has a few large objects rather
/// than one for each minute.
fn is_time(state: &AppState, ended: &[Connection]) -> bool {
    let gather = state.config.connections.archive_after;
    let oldest = state.clock.now().minus(state.config.retention.connections).minus(gather);
    let first = ended.first().and_then(|connection| connection.disconnected_at);
    state.archive.is_none() || first.is_some_and(|at| at < oldest)
}
