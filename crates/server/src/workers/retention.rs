//! Removes what is older than the configuration keeps.

use tidings_core::{idempotency::KEPT, ports::PruneBefore};

use crate::state::AppState;

/// Rows in one transaction.
const LIMIT: usize = 1_000;

pub(super) async fn tick(state: AppState) -> anyhow::Result<()> {
    let now = state.clock.now();
    let keep = &state.config.retention;
    while state.store.retain(now.minus(keep.notifications), now, LIMIT).await? > 0 {}
    let before = PruneBefore {
        tombstones: now.minus(keep.tombstones),
        idempotency: now.minus(KEPT),
        announcements: now.minus(keep.announcements),
    };
    while state.store.prune(before, LIMIT).await? > 0 {}
    while state.store.purge_revocations(now, LIMIT).await? > 0 {}
    while state.store.purge_audit(now.minus(keep.audit), LIMIT).await? > 0 {}
    Ok(())
}
