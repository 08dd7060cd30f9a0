//! Takes away what dead nodes left in the registry. Every node has taken their connections for
//! ended already; this frees the places that they hold.

use std::time::Duration;

use tidings_core::{
    ids::UserId,
    ports::Registry,
    registry::{Connection, Incarnation, Leftover, Seats},
};

use super::{LONG_PATIENCE, within};
use crate::state::AppState;

/// Leftovers in one question.
const BATCH: usize = 256;
/// How long another node leaves it to this one.
const HOLD: Duration = Duration::from_secs(15);

pub(crate) async fn reap(state: AppState) -> anyhow::Result<()> {
    let verdict = std::mem::take(&mut *state.cluster.verdict.lock());
    let Some((registry, me)) = state.cluster.open() else { return Ok(()) };
    for node in verdict.to_reap {
        let mut taken = 0;
        // A dead run stays dead, and only it wrote what is taken away: two who did this at the same time would do no
        // harm, but twice the work.
        while within(LONG_PATIENCE, registry.claim(me, node, HOLD)).await? {
            let left = within(LONG_PATIENCE, registry.leftovers(node, BATCH)).await?;
            taken += left.len();
            if left.is_empty() {
                if verdict.to_bury.contains(&node) {
                    within(LONG_PATIENCE, registry.bury(node)).await?;
                }
                break;
            }
            take_away(&state, registry, node, left).await?;
        }
        if taken > 0 {
            tracing::info!(event = "cluster.node_cleared", incarnation = node.0, taken);
            state.cluster.metrics.reaped(taken);
        }
    }
    Ok(())
}

async fn take_away(
    state: &AppState,
    registry: &dyn Registry,
    node: Incarnation,
    left: Vec<Leftover>,
) -> anyhow::Result<()> {
    let (mut users, mut seats): (Vec<(UserId, Vec<Connection>)>, Vec<Seats>) = Default::default();
    for one in left {
        match one {
            Leftover::User(user) => users.push((user, Vec::new())),
            Leftover::Seats(room, user) => seats.push(Seats { room, user, connections: 0 }),
        }
    }
    if !users.is_empty() {
        let names: Vec<UserId> = users.iter().map(|(user, _)| user.clone()).collect();
        let before = within(LONG_PATIENCE, registry.records(&names)).await?;
        let after = within(LONG_PATIENCE, registry.put(node, &users)).await?;
        // Its node cannot say any more when they were last seen: just now, those who were.
        let now = state.clock.now();
        let gone = before
            .into_iter()
            .zip(after)
            .filter(|(before, after)| after.connections.is_empty() && before.is_seen());
        state.presence.remember_seen(gone.map(|(record, _)| (record.user, now)).collect());
    }
    if !seats.is_empty() {
        within(LONG_PATIENCE, registry.put_seats(node, &seats)).await?;
    }
    Ok(())
}
