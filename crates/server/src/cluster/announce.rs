//! Writes what has changed here, and tells it to the nodes that it concerns.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tidings_core::{
    ids::UserId,
    registry::{Incarnation, Record, Seats},
    room::{RoomName, RoomSignal},
    signal::NodeSignal,
};

use super::{Cluster, LONG_PATIENCE, Touch, within};
use crate::state::AppState;

/// Users, or places in rooms, in one question.
const BATCH: usize = 256;
/// What comes in a crowd goes together.
const GATHER: Duration = Duration::from_millis(10);
/// After the registry refused.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn announce(state: AppState) -> anyhow::Result<()> {
    tokio::time::sleep(GATHER).await;
    let written = write_all(&state).await;
    if written.is_err() {
        state.cluster.got_no_answer();
        // What is noted meanwhile must not make each try follow the last.
        tokio::time::sleep(PAUSE).await;
    }
    written
}

/// Writes until nothing is left.
pub(super) async fn write_all(state: &AppState) -> anyhow::Result<()> {
    let _turn = state.cluster.writing.lock().await;
    while write_users(state).await? {}
    while write_seats(state).await? {}
    Ok(())
}

impl Cluster {
    fn take_users(&self) -> Vec<(UserId, Touch)> {
        let mut noted = self.noted.lock();
        let next: Vec<UserId> = noted.users.keys().take(BATCH).cloned().collect();
        let touched = next.into_iter().filter_map(|user| {
            let touch = noted.users.remove(&user)?;
            noted.under_way.insert(user.clone());
            Some((user, touch))
        });
        touched.collect()
    }

    fn wrote_users(&self) {
        self.noted.lock().under_way.clear();
        self.written.notify_waiters();
    }

    fn put_users_back(&self, users: Vec<(UserId, Touch)>) {
        let mut noted = self.noted.lock();
        for (user, touch) in users {
            let again = noted.users.entry(user).or_default();
            again.is_news |= touch.is_news;
            again.left.extend(touch.left);
        }
    }

    fn take_seats(&self) -> Vec<(RoomName, UserId)> {
        let mut noted = self.noted.lock();
        let next: Vec<_> = noted.seats.iter().take(BATCH).cloned().collect();
        for seats in &next {
            noted.seats.remove(seats);
        }
        next
    }
}

/// Whether there was something.
async fn write_users(state: &AppState) -> anyhow::Result<bool> {
    let cluster = &state.cluster;
    let Some((registry, me)) = cluster.open() else { return Ok(false) };
    let touched = cluster.take_users();
    if touched.is_empty() {
        return Ok(false);
    }
    let as_it_is = |(user, _): &(UserId, Touch)| {
        (user.clone(), state.presence.of_this_node(&state.hub, user, me))
    };
    let users: Vec<_> = touched.iter().map(as_it_is).collect();
    let records = match within(LONG_PATIENCE, registry.put(me, &users)).await {
        Ok(records) => records,
        Err(problem) => {
            cluster.put_users_back(touched);
            cluster.wrote_users();
            return Err(problem.into());
        }
    };
    for record in &records {
        state.presence.hear_all(&state.hub, record, state.clock.now());
    }
    cluster.wrote_users();
    for (record, (_, touch)) in records.into_iter().zip(touched) {
        close_surplus(state, &record, me).await;
        if touch.is_news {
            tell(state, &record, touch.left, me).await;
        }
    }
    Ok(true)
}

/// The user has connected once too often, on whatever nodes: the oldest connections go.
async fn close_surplus(state: &AppState, record: &Record, me: Incarnation) {
    let cluster = &state.cluster;
    let surplus = {
        let most = state.config.limits.connections_per_user;
        record.surplus(most, |at| at == me || cluster.lives(at))
    };
    let (here, elsewhere): (Vec<_>, Vec<_>) = surplus.into_iter().partition(|one| one.at == me);
    let sockets = |of: Vec<&tidings_core::registry::Connection>| {
        of.into_iter().map(|one| Arc::clone(&one.socket)).collect::<Vec<_>>()
    };
    state.hub.close_surplus(&record.user, &sockets(here));
    if !elsewhere.is_empty() {
        let sockets = sockets(elsewhere);
        let signal = NodeSignal::Surplus { user: record.user.clone(), sockets };
        if let Err(problem) = state.bus.publish_to_nodes(&Arc::new(signal)).await {
            tracing::debug!(%problem, "a connection that is too many was not closed");
        }
    }
}

/// Tells the nodes that have somebody in a room with the user, or connections of the user.
async fn tell(state: &AppState, record: &Record, left: Vec<RoomName>, me: Incarnation) {
    let mut rooms: BTreeSet<RoomName> = record.rooms();
    rooms.extend(left);
    if record.is_shared(me)
        && let Ok(own) = RoomName::of_user(&record.user)
    {
        rooms.insert(own);
    }
    for room in rooms {
        let is_own = room.kind() == "user";
        // The user's own devices are told everything.
        let record = if is_own { record.clone() } else { record.as_told_to(&room) };
        let signal = RoomSignal::Presence { room, record: Arc::new(record) };
        if let Err(problem) = state.bus.publish_room(&Arc::new(signal)).await {
            tracing::debug!(%problem, "a user's presence was not published");
            // The others read everything anew when the bus is back.
            return;
        }
    }
}

async fn write_seats(state: &AppState) -> anyhow::Result<bool> {
    let cluster = &state.cluster;
    let Some((registry, me)) = cluster.open() else { return Ok(false) };
    let taken = cluster.take_seats();
    if taken.is_empty() {
        return Ok(false);
    }
    let as_it_is = |(room, user): &(RoomName, UserId)| Seats {
        room: room.clone(),
        user: user.clone(),
        connections: state.rooms.connections_of(room, user),
    };
    let seats: Vec<Seats> = taken.iter().map(as_it_is).collect();
    if let Err(problem) = within(LONG_PATIENCE, registry.put_seats(me, &seats)).await {
        cluster.noted.lock().seats.extend(taken);
        return Err(problem.into());
    }
    Ok(true)
}
