//! Questions about all nodes. What the registry does not answer in time is answered by what is
//! known here.

use tidings_core::{ids::UserId, presence::Entry, registry::Record, room::RoomName};

use crate::{presence::RoomView, rooms::Presence, state::AppState};

/// Users in one question.
const BATCH: usize = 256;

/// How many are in a room.
pub(crate) async fn room_presence(state: &AppState, room: &RoomName) -> Presence {
    let here = state.rooms.presence(room);
    let Some((registry, me)) = state.cluster.open() else { return here };
    if room.kind() == "user" {
        // A user's own room has nobody else in it.
        let Ok(user) = UserId::new(room.local()) else { return here };
        let elsewhere = match records(state, &[user]).await {
            Some(records) => records
                .iter()
                .flat_map(|record| &record.connections)
                .filter(|one| one.at != me && one.gone.is_none() && state.cluster.lives(one.at))
                .count(),
            None => 0,
        };
        let connections = here.connections + elsewhere;
        return Presence { users: connections.min(1), connections };
    }
    match state.cluster.ask(registry.room(room)).await {
        Some(mut record) => {
            // Of this node it may be a moment behind.
            for nodes in record.users.values_mut() {
                nodes.remove(&me);
            }
            for (user, connections) in state.rooms.users_in(room) {
                record.users.entry(user).or_default().insert(me, connections);
            }
            let (users, connections) = record.count(|at| at == me || state.cluster.lives(at));
            Presence { users, connections }
        }
        None => here,
    }
}

/// Who is seen in a room, by id, after `after`.
pub(crate) async fn room_view(
    state: &AppState,
    room: &RoomName,
    after: Option<&UserId>,
    limit: usize,
) -> RoomView {
    let presence = &state.presence;
    if !presence.knows_room(room)
        && state.room_kinds.shows_presence(room.kind())
        && let Some(there) = users_in(state, room).await
    {
        let now = state.clock.now();
        let here = |record: &Record| presence.of_user(&record.user);
        let entry =
            |record: &Record| presence.of_record(&state.hub, record, now).or_else(|| here(record));
        let users: Vec<Entry> = there.iter().filter_map(entry).collect();
        if !users.is_empty() {
            return presence.as_room(users, after, limit);
        }
    }
    presence.in_room(room, after, limit)
}

/// What is known of users, in their order.
pub(crate) async fn users(state: &AppState, users: &[UserId]) -> Vec<Entry> {
    let mut entries = state.presence.of_users(&state.hub, users);
    let now = state.clock.now();
    let elsewhere = records(state, users).await.unwrap_or_default();
    for (entry, record) in entries.iter_mut().zip(elsewhere) {
        if let Some(shared) = state.presence.of_record(&state.hub, &record, now) {
            let last_seen = entry.last_seen;
            *entry = shared;
            entry.last_seen =
                entry.last_seen.or(last_seen).filter(|_| entry.connected_at.is_none());
        }
    }
    entries
}

/// Who is in a room, with all that is known of them. `None`: nobody can tell.
async fn users_in(state: &AppState, room: &RoomName) -> Option<Vec<Record>> {
    let (registry, _) = state.cluster.open()?;
    let there = state.cluster.ask(registry.room(room)).await?;
    let users: Vec<UserId> = there.users.into_keys().collect();
    records(state, &users).await
}

/// What the registry knows of users, in their order. `None`: nobody can tell.
async fn records(state: &AppState, users: &[UserId]) -> Option<Vec<Record>> {
    let (registry, _) = state.cluster.open()?;
    let mut records = Vec::with_capacity(users.len());
    for batch in users.chunks(BATCH) {
        records.extend(state.cluster.ask(registry.records(batch)).await?);
    }
    Some(records)
}
