//! Closes connections whose token has ended, and (where configured) those that are idle.
//! Told why, their clients do not try the old token for ever.

use crate::{inbox::events, state::AppState};

pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    let now = state.clock.now();
    for session in state.hub.sessions_where(|session| session.is_expired(now)) {
        tracing::info!(event = "token.expired", user_id = %session.user);
        let _ = session.socket.emit(&events::error("TOKEN_EXPIRED", "Token expired"));
        session.socket.disconnect(true);
    }
    let idle = state.config.limits.idle;
    if !idle.is_zero() {
        for session in state.hub.sessions_where(|session| session.idle(now) >= idle) {
            let _ = session.socket.emit(&events::error("IDLE", "Nothing was said for too long"));
            session.socket.disconnect(true);
        }
    }
    Ok(())
}
