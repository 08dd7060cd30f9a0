//! Finds out who is on other nodes in the rooms that somebody here is in. From then on the bus
//! tells: its subscription was there before.

use futures_util::{StreamExt as _, stream};
use tidings_core::{
    ids::UserId,
    ports::{Registry, RegistryError},
    registry::Incarnation,
    room::RoomName,
};

use super::{LONG_PATIENCE, within};
use crate::state::AppState;

/// Users in one question.
const BATCH: usize = 256;
/// Rooms that are read at the same time.
const SIDE_BY_SIDE: usize = 16;

pub(crate) async fn follow(state: AppState) -> anyhow::Result<()> {
    let _turn = state.cluster.reading.lock().await;
    let rooms = state.presence.take_unread();
    if rooms.is_empty() {
        return Ok(());
    }
    let Some((registry, me)) = state.cluster.open() else {
        // Nobody waits for an answer that does not come. After the break all are read.
        rooms.iter().for_each(|room| state.presence.has_been_read(room));
        return Ok(());
    };
    let state = &state;
    let read = |room: RoomName| async move {
        let outcome = read(state, registry, me, &room).await;
        outcome.map_err(|problem| (room, problem))
    };
    let outcomes: Vec<_> =
        stream::iter(rooms).map(read).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let mut failure = None;
    let failed = outcomes.into_iter().filter_map(Result::err).map(|(room, problem)| {
        failure = Some(problem);
        room
    });
    state.presence.put_off(failed.collect::<Vec<_>>());
    match failure {
        None => Ok(()),
        Some(problem) => {
            state.cluster.metrics.failed();
            Err(problem.into())
        }
    }
}

async fn read(
    state: &AppState,
    registry: &dyn Registry,
    me: Incarnation,
    room: &RoomName,
) -> Result<(), RegistryError> {
    let there = within(LONG_PATIENCE, registry.room(room)).await?;
    let is_elsewhere = |at: &Incarnation| *at != me && state.cluster.lives(*at);
    let users = there.users.into_iter();
    let elsewhere = users.filter(|(_, nodes)| nodes.keys().any(is_elsewhere));
    let mut users: Vec<UserId> = elsewhere.map(|(user, _)| user).collect();
    // Those, too, who were there when it was read before.
    users.extend(state.presence.elsewhere_in(room));
    users.sort_unstable();
    users.dedup();
    for batch in users.chunks(BATCH) {
        let records = within(LONG_PATIENCE, registry.records(batch)).await?;
        state.presence.hear_each(&records, state.clock.now());
    }
    state.presence.has_been_read(room);
    Ok(())
}
