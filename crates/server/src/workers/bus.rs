//! Catches up with what the bus lost; while it is away, with what it would have brought.

use std::time::Duration;

use futures_util::FutureExt as _;
use rand::Rng as _;
use tokio::time::Instant;

use super::guarded;
use crate::{inbox, lifecycle::Phase, rooms, state::AppState};

/// Between two looks at how the bus is.
const PAUSE: Duration = Duration::from_millis(500);

/// Between the ends and beginnings of two looks, when it was said that something was missed, and how much later it may
/// be: neither does one word after the other keep the store busy, nor do all nodes ask at the same time.
const REST: Duration = Duration::from_millis(500);
const SPREAD: Duration = Duration::from_millis(250);

pub(super) async fn run(state: AppState) {
    let mut next_look = state.clock.now();
    let mut rested = Instant::now();
    loop {
        let missed = tokio::select! {
            () = state.missed.told.notified() => true,
            () = tokio::time::sleep(PAUSE) => false,
            () = state.lifecycle.reached(Phase::Stopping) => return,
        };
        let now = state.clock.now();
        let in_doubt = !state.bus.health().connected || state.missed.may_miss(now);
        let is_due = missed || (in_doubt && now >= next_look);
        if !is_due {
            continue;
        }
        if missed {
            let begin = rested.max(Instant::now()) + SPREAD.mul_f64(rand::random());
            tokio::select! {
                () = tokio::time::sleep_until(begin) => {}
                () = state.lifecycle.reached(Phase::Stopping) => return,
            }
            // What was said meanwhile is looked for now.
            let _ = state.missed.told.notified().now_or_never();
        }
        // Each a little different, so that nodes do not all ask at the same time.
        let pause = state.config.redis.catch_up_interval;
        next_look = now.plus(pause.mul_f64(rand::rng().random_range(0.75..1.25)));
        guarded(tick(&state, missed)).await;
        rested = Instant::now() + REST;
    }
}

/// One round. What could not be asked for now is with the next.
pub async fn tick(state: &AppState, missed: bool) {
    if missed {
        state.presence.read_again();
        if !rooms::catch_up(state).await {
            state.missed.told.notify_one();
        }
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
