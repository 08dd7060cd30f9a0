//! Sends connections to other nodes, one by one, when this one has more than its share.

use std::time::Duration;

use rand::seq::SliceRandom as _;
use tidings_gateway::DisconnectReason;

use super::guarded;
use crate::{bus::Departure, inbox::events, lifecycle::Phase, state::AppState};

/// How long one that goes waits before it comes back, at most: not all that go at about the same
/// time shall arrive at the same time.
const RETURN: Duration = Duration::from_secs(2);

pub(super) async fn run(state: AppState) {
    loop {
        tokio::select! {
            departure = state.departures.next() => drop(guarded(tick(&state, departure)).await),
            () = state.lifecycle.reached(Phase::Stopping) => return,
        }
    }
}

/// Has so many of the connections go, whoever they are.
pub async fn tick(state: &AppState, departure: Departure) {
    let mut sessions = state.hub.sessions_where(|session| session.socket.is_connected());
    sessions.shuffle(&mut rand::rng());
    sessions.truncate(usize::try_from(departure.connections).unwrap_or(usize::MAX));
    tracing::info!(event = "connections.departing", connections = sessions.len());
    let pause = departure.over / u32::try_from(sessions.len()).unwrap_or(u32::MAX).max(1);
    for session in sessions {
        let delay = rand::random_range(0..=RETURN.as_millis() as u64);
        // Who cannot take it comes back as after any break.
        let _ = session.socket.emit(&events::shutdown(delay));
        session.socket.close_transport(DisconnectReason::Shutdown);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // Then all go, at the pace of that.
            () = state.lifecycle.reached(Phase::Draining) => return,
        }
    }
}
