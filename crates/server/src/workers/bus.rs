//! Catches up with what the bus lost; while it is away, with what it would have brought.

use std::time::Duration;

use rand::Rng as _;

use crate::{inbox, lifecycle::Phase, rooms, state::AppState};

/// Between two looks at how the bus is.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn run(state: AppState) {
    let mut next_look = state.clock.now();
    loop {
        let missed = tokio::select! {
            () = state.missed.told.notified() => true,
            () = tokio::time::sleep(PAUSE) => false,
            () = state.lifecycle.reached(Phase::Stopping) => return,
        };
        let now = state.clock.now();
        let away = !state.bus.health().connected && now >= next_look;
        if !missed && !away {
            continue;
        }
        // Each a little different, so that nodes do not all ask at the same time.
        let pause = state.config.redis.catch_up_interval;
        next_look = now.plus(pause.mul_f64(rand::rng().random_range(0.75..1.25)));
        tick(&state, missed).await;
    }
}

/// One round. What could not be asked for now is with the next.
pub async fn tick(state: &AppState, missed: bool) {
    if missed {
        state.presence.read_again();
        rooms::catch_up(state).await;
    }
    match inbox::catch_up(state).await {
        Ok(0) if !missed => {}
        Ok(users) => {
            tracing::info!(event = "bus.caught_up", users, missed);
            state.metrics.bus.caught_up(users);
        }
        Err(problem) => {
            tracing::warn!(%problem, "what the bus lost could not be asked for; it is tried again");
            if missed {
                state.missed.told.notify_one();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
