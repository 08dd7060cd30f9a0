//! After the bus may have lost something, and again and again while it is away: what the store
//! has and the devices here were not told.

use std::time::Duration;

use tidings_core::{
    ids::{Rev, UserId},
    ports::StoreError,
};

use crate::state::AppState;

/// Users in one query.
const AT_ONCE: usize = 1_000;
/// For what is on its way by itself: only what has not come by then is asked for.
const SETTLE: Duration = Duration::from_millis(100);

/// Compares how far everybody with a device here is, and has those repaired who are behind.
/// Gives how many they are.
pub async fn catch_up(state: &AppState) -> Result<usize, StoreError> {
    let mut behind = 0;
    for users in state.hub.users().chunks(AT_ONCE) {
        let missing = behind_now(state, users).await?;
        if missing.is_empty() {
            continue;
        }
        tokio::time::sleep(SETTLE).await;
        for (user, rev) in missing {
            if state.hub.misses(&user, rev) {
                state.hub.ask_for(&user, rev);
                behind += 1;
            }
        }
    }
    Ok(behind)
}

async fn behind_now(state: &AppState, users: &[UserId]) -> Result<Vec<(UserId, Rev)>, StoreError> {
    let states = state.store.states(users).await?;
    let revs = states.into_iter().map(|(user, inbox)| (user, inbox.rev));
    Ok(revs.filter(|(user, rev)| state.hub.misses(user, *rev)).collect())
}
