//! Knows the API keys, for when the database is away.

use std::time::Duration;

use crate::state::AppState;

pub(super) const PAUSE: Duration = Duration::from_secs(60);

pub(crate) async fn tick(state: AppState) -> anyhow::Result<()> {
    state.known_keys.replace(state.store.api_keys().await?);
    Ok(())
}
