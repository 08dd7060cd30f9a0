//! Opening a session, and repairing one that missed something.
//!
//! The order is what makes it complete: the session is registered and holds what comes; the bus
//! confirms the subscription; state and pending are read in one snapshot and sent; then what
//! was held and is newer than the snapshot follows.

use std::{collections::BTreeMap, sync::Arc};

use tidings_core::{
    ids::{DeviceId, Rev, UserId},
    inbox::{OpenFrom, Opening, SYNC_PAGE, Sync},
    ports::StoreError,
};

use super::{events, session::InboxSession};
use crate::state::AppState;

/// From where a client asked to be told.
#[derive(Debug, Clone)]
pub(super) enum Since {
    Rev(Rev),
    /// The client knows only a time.
    Date(tidings_core::time::Timestamp),
}

/// What the client said about itself in CONNECT.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenRequest {
    pub(super) since: Option<Since>,
    pub(super) device: Option<DeviceId>,
}

pub(super) async fn open(
    state: &AppState,
    session: &Arc<InboxSession>,
    request: OpenRequest,
) -> Result<(), StoreError> {
    if let Err(problem) = state.bus.subscribe(&session.user).await {
        // The store has everything: the device gets what is there now and the rest by repair.
        tracing::warn!(%problem, "the bus did not confirm a subscription");
    }
    state.store.see_user(&session.user, state.clock.now()).await?;
    let from = from(state, &session.user, request).await?;
    let opening = state.store.open(&session.user, from).await?;
    send(session, &opening);
    state.hub.go_live(session, opening.pending.to);
    if opening.pending.has_more && opening.pending.to < opening.state.rev {
        // The client is far behind: the next pages follow at once, so that it never has to
        // know that there are pages.
        catch_up(state, session).await?;
    }
    Ok(())
}

async fn from(
    state: &AppState,
    user: &UserId,
    request: OpenRequest,
) -> Result<OpenFrom, StoreError> {
    Ok(match (request.since, request.device) {
        (Some(Since::Rev(rev)), _) => OpenFrom::Since(rev),
        (Some(Since::Date(at)), _) => OpenFrom::Since(state.store.rev_at(user, at).await?),
        (None, Some(device)) => OpenFrom::Device(device),
        (None, None) => OpenFrom::Newest,
    })
}

fn send(session: &InboxSession, opening: &Opening) {
    let socket = &session.socket;
    let frames = [
        events::connected(socket.id(), &session.user, &opening.state),
        events::pending(&opening.pending),
    ];
    for frame in &frames {
        // A buffer that is full this early belongs to a client that does not read; it will be
        // closed, or repaired when it drains.
        if socket.emit(frame).is_err() {
            tracing::debug!("a client did not take its pending notifications");
        }
    }
}

/// Sends everything after what the device has been told, page by page.
pub(super) async fn catch_up(
    state: &AppState,
    session: &Arc<InboxSession>,
) -> Result<(), StoreError> {
    loop {
        let sync = state.store.sync(&session.user, session.sent(), SYNC_PAGE).await?;
        if !send_page(state, session, &sync) || !sync.has_more || sync.reset {
            return Ok(());
        }
    }
}

fn send_page(state: &AppState, session: &InboxSession, sync: &Sync) -> bool {
    let frames = [events::pending(sync), events::count(sync.to, sync.unread)];
    state.hub.catch_up(session, &frames, sync.to)
}

/// Brings the devices of users with gaps up to date: one query for the counters of all, then
/// one for each user who really misses something.
pub async fn repair(state: &AppState, users: &[UserId]) -> Result<(), StoreError> {
    let revs: BTreeMap<UserId, Rev> =
        state.store.states(users).await?.into_iter().map(|(user, s)| (user, s.rev)).collect();
    for user in users {
        let Some(last) = revs.get(user) else { continue };
        for session in state.hub.take_gapped(user) {
            if session.sent() < *last || session.needs_repair() {
                catch_up(state, &session).await?;
            }
        }
    }
    Ok(())
}
