//! Closes connections whose token has ended. Their clients come back with a new one, if they
//! have one; told why, they do not try the old one for ever.

use crate::{inbox::events, state::AppState};

pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    let now = state.clock.now();
    for session in state.hub.sessions_where(|session| session.is_expired(now)) {
        tracing::info!(event = "token.expired", user_id = %session.user);
        let _ = session.socket.emit(&events::error("TOKEN_EXPIRED", "Token expired"));
        session.socket.disconnect(true);
    }
    Ok(())
}
