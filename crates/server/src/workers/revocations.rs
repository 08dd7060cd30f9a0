//! Closes connections whose token was taken back.

use std::time::Duration;

use tidings_core::{revocation::MAX_STANDING, time::Timestamp};

use crate::{inbox::REVOKED, state::AppState};

/// Between two looks at what the store holds. Revocations are heard of at once; this is for
/// those whose word was lost.
pub(super) const PAUSE: Duration = Duration::from_secs(60);
/// As far back each look goes: longer than a commit takes, or clocks differ.
const OVERLAP: Duration = Duration::from_secs(15 * 60);

/// Closes those concerned.
pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    let concerned =
        |session: &crate::inbox::InboxSession| state.revocations.cover(&session.claims());
    for session in state.hub.sessions_where(concerned) {
        tracing::info!(event = "token.revoked", user_id = %session.user);
        session.dismiss(&state.metrics, REVOKED.0, REVOKED.1);
    }
    Ok(())
}

/// Looks at what other nodes revoked lately.
pub async fn reload(state: AppState) -> anyhow::Result<()> {
    state.revocations.forget_ended();
    let since = state.clock.now().minus(OVERLAP);
    let news = state.store.revocations(since, MAX_STANDING).await?;
    if !news.is_empty() {
        state.revocations.add(news);
    }
    Ok(())
}

/// Everything that stands, before the first token is looked at.
pub(crate) async fn load(state: &AppState) -> anyhow::Result<()> {
    let all = state.store.revocations(Timestamp::EPOCH, MAX_STANDING).await?;
    state.revocations.add(all);
    state.revocations.forget_ended();
    Ok(())
}
