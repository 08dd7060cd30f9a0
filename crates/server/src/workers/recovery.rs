//! Leaves the sessions of clients that have gone for other nodes.

use futures_util::{StreamExt as _, stream};

use crate::{lifecycle::Phase, recovery, state::AppState};

/// Sessions that are written down at the same time.
const SIDE_BY_SIDE: usize = 16;

pub(super) async fn run(state: AppState) {
    let Some(mut jobs) = state.recovery.jobs() else { return };
    let work = stream::poll_fn(|context| jobs.poll_recv(context)).for_each_concurrent(
        SIDE_BY_SIDE,
        |job| {
            let state = &state;
            async move {
                recovery::carry_out(state, job).await;
                state.recovery.is_done();
            }
        },
    );
    tokio::select! {
        () = work => {}
        () = state.lifecycle.reached(Phase::Stopping) => {}
    }
}
