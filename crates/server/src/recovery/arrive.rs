//! Going on with a session that another node left.

use std::collections::HashMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_core::{
    ids::Rev,
    presence::Card,
    room::{RoomName, RoomSignal},
    time::Timestamp,
};
use tidings_gateway::{Arrival, Claim};
use tokio::time::timeout;

use super::{key, record::Record};
use crate::{
    inbox::InboxSession,
    rooms::{self, Held, LeftRoom, Parked, Resumed},
    state::AppState,
};

/// Rooms that are asked about at the same time.
const SIDE_BY_SIDE: usize = 16;

/// A client of another node.
pub(crate) struct Arrived {
    pub(crate) arrival: Arrival,
    pub(crate) rooms: Resumed,
    /// What is said in its rooms meanwhile.
    pub(crate) held: Held,
    /// It certainly has its inbox up to here.
    pub(crate) rev: Option<Rev>,
    pub(crate) card: Option<Card>,
}

/// Takes back a session of this node that others could have taken. `Err`: one has; with what was left since, if there is
/// something.
pub(crate) async fn take_back(
    state: &AppState,
    pid: &str,
    left: &rooms::Left,
) -> Result<(), Option<String>> {
    // Who writes it down just now is about to end, or waits for a Redis that is away.
    let Ok(mut parked) = timeout(state.config.cluster.patience, left.parked.lock()).await else {
        return Ok(());
    };
    let text = match std::mem::replace(&mut *parked, Parked::Taken) {
        Parked::No => return Ok(()),
        Parked::As(text) => text,
        Parked::Taken => return Err(None),
    };
    match state.cluster.take_parked(&key(pid, &left.user)).await {
        Some(Some(found)) if found != text => Err(Some(found)),
        Some(None) => Err(None),
        // Without Redis nobody else could take it.
        Some(Some(_)) | None => Ok(()),
    }
}

/// A session that another node left for this client. `found`: it was taken already.
pub(crate) async fn arrive(
    state: &AppState,
    session: &InboxSession,
    claim: &Claim,
    found: Option<String>,
) -> Option<Arrived> {
    state.recovery.memory()?;
    let text = match found {
        Some(text) => Some(text),
        None => take(state, session, claim).await,
    };
    let record = text.and_then(|text| serde_json::from_str::<Record>(&text).ok());
    let arrived = match record.filter(|record| record.user == session.user) {
        Some(record) => go_on(state, session, claim, record).await,
        None => None,
    };
    if arrived.is_none() {
        state.recovery.metrics.arrived(false);
    }
    arrived
}

async fn take(state: &AppState, session: &InboxSession, claim: &Claim) -> Option<String> {
    let key = key(claim.pid(), &session.user);
    if let Some(text) = state.cluster.take_parked(&key).await? {
        return Some(text);
    }
    // Its node may believe that it is still there.
    let is_there = state.recovery.ask(state, claim.log(), claim.pid(), &session.user).await;
    if is_there { state.cluster.take_parked(&key).await? } else { None }
}

async fn go_on(
    state: &AppState,
    session: &InboxSession,
    claim: &Claim,
    record: Record,
) -> Option<Arrived> {
    let Record { passport, rooms: left, card, .. } = record;
    let missing = passport.missing(claim)?;
    let own = RoomName::of_user(&session.user).ok();
    let others = left.iter().filter(|room| Some(&room.left.room) != own.as_ref());
    // From now on they are in the log of this node.
    let others: Vec<LeftRoom> =
        others.map(|room| LeftRoom { since: 0, ..room.left.clone() }).collect();
    let mut resumed = rooms::authorise(state, session, &others).await;
    let own = resumed.with_own(state, &session.user).await;
    let mut trails: HashMap<RoomName, _> =
        left.into_iter().map(|room| (room.left.room.clone(), (room.left, room.trail))).collect();
    let listened: Vec<_> = resumed
        .rooms()
        .chain(own.as_ref())
        .map(|room| trails.remove(room))
        .collect::<Option<_>>()?;
    let socket = passport.socket_id().to_owned();
    let held = Held::begin(state, &socket, listened.iter().map(|(left, _)| &left.room));
    let asked = stream::iter(listened.clone()).map(|(left, trail)| async move {
        rooms::missed(state, &left, &trail?, missing.after).await
    });
    let asked = asked.buffered(SIDE_BY_SIDE).map(|missed| missed.ok_or(()));
    let asked: Result<Vec<_>, ()> =
        timeout(state.config.cluster.patience, asked.try_collect()).await.ok()?;
    let mut missed = Vec::new();
    for ((left, _), answer) in listened.iter().zip(asked.ok()?) {
        held.heard(&left.room, &answer);
        let mut latest = Timestamp::EPOCH;
        missed.extend(answer.events.into_iter().filter_map(|signal| {
            let RoomSignal::Event(event) = &*signal else { return None };
            // In each room they are in order, and stay so whatever the clocks of nodes say.
            latest = latest.max(event.at);
            let frame = rooms::frame_for(session, &socket, left.filter.as_ref(), event)?;
            Some((latest, frame))
        }));
    }
    missed.sort_by_key(|(at, _)| *at);
    let missed = missed.into_iter().map(|(_, frame)| frame).collect();
    let names = resumed.names(session);
    Some(Arrived {
        arrival: Arrival { passport, rooms: names, missed },
        rooms: resumed,
        held,
        rev: missing.mark.map(Rev),
        card,
    })
}
