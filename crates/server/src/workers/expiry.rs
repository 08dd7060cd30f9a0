//! Removes notifications whose `expiresAt` has come. That is a change like any other: readers
//! never compare with their own clock.

use crate::state::AppState;

/// Items in one transaction.
const LIMIT: usize = 1_000;

pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    while state.store.expire(state.clock.now(), LIMIT).await? > 0 {}
    Ok(())
}
