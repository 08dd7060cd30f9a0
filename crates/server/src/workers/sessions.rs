//! Closes connections whose token has ended, and (where configured) those that are idle.
//! Told why, their clients do not try the old token for ever.

use crate::state::AppState;

pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    let now = state.clock.now();
    for session in state.hub.sessions_where(|session| session.is_expired(now)) {
        tracing::info!(event = "token.expired", user_id = %session.user);
        session.dismiss(&state.metrics, "TOKEN_EXPIRED", "Token expired");
    }
    let idle = state.config.limits.idle;
    if !idle.is_zero() {
        for session in state.hub.sessions_where(|session| session.idle(now) >= idle) {
            session.dismiss(&state.metrics, "IDLE", "Nothing was said for too long");
        }
    }
    Ok(())
}
