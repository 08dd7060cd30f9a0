//! Opening a session.
//!
//! The order is what makes it complete: the session is registered and holds what comes; the bus
//! confirms the subscription; state and pending are read in one snapshot and sent; then what
//! was held and is newer than the snapshot follows.

use std::sync::Arc;

use tidings_core::{
    ids::{DeviceId, Rev, UserId},
    inbox::{OpenFrom, Opening},
    ports::StoreError,
};
use tidings_gateway::DisconnectReason;

use super::{events, repair, session::InboxSession};
use crate::state::AppState;

/// From where a client asked to be told.
#[derive(Debug, Clone)]
pub enum Since {
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
    let subscribed = state.bus.subscribe(&session.user).await;
    if let Err(problem) = &subscribed {
        // The store has everything: the device gets what is there now and the rest by repair.
        tracing::warn!(%problem, "the bus did not confirm a subscription");
    }
    match state.store.see_user(&session.user, state.clock.now()).await {
        // Nothing can be written. As long as the inbox can be read, that is for another time.
        Err(StoreError::Unavailable(problem)) => {
            tracing::debug!(problem, user_id = %session.user, "a user was not noted");
        }
        seen => seen?,
    }
    let from = from(state, &session.user, request).await?;
    let mut opening = state.store.open(&session.user, from).await?;
    let budget = state.config.gateway.send_buffer / 2;
    match opening.since {
        Some(_) => repair::fit_changes(&mut opening.pending, budget),
        None => repair::fit_newest(&mut opening.pending, budget),
    }
    if !send(session, &opening) {
        // Nothing waited before these, so this client takes nothing at all. It comes back with
        // what it knows.
        session.socket.close_transport(DisconnectReason::SlowConsumer);
        return Ok(());
    }
    // Far behind: the next pages follow by themselves, so that no client has to know that there
    // are pages.
    let more = opening.pending.to < opening.state.rev;
    state.hub.go_live(session, opening.pending.to, more);
    if subscribed.is_err() {
        // When it was confirmed at last, and everybody was compared, this one may not have been ready.
        state.missed.told.notify_one();
    }
    repair::repair_session(state, session).await
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

fn send(session: &InboxSession, opening: &Opening) -> bool {
    let socket = &session.socket;
    let connected = events::connected(socket, &session.user, &opening.state);
    let pending = events::pending(&opening.pending);
    socket.emit(&connected).is_ok() && socket.emit(&pending).is_ok()
}
