//! Leaving sessions for other nodes.

use std::sync::{Arc, Weak};

use tidings_core::{
    ids::{NodeId, UserId},
    signal::NodeSignal,
};
use tidings_gateway::SavedSession;

use super::{Job, key, record};
use crate::{
    inbox::session_of,
    rooms::{self, Parked},
    state::AppState,
};

pub(crate) async fn carry_out(state: &AppState, job: Job) {
    match job {
        Job::Park(session) => {
            park(state, session).await;
        }
        Job::Release { pid, user, to } => release(state, pid, &user, &to).await,
    }
}

/// Whether others can take the session, until its client comes back here.
async fn park(state: &AppState, session: Weak<SavedSession>) -> bool {
    let Some(saved) = session.upgrade() else { return false };
    let Some(left) = saved.kept::<rooms::Left>() else { return false };
    let mut parked = left.parked.lock().await;
    match *parked {
        Parked::No => {}
        Parked::As(_) => return true,
        Parked::Taken => return false,
    }
    let key = key(saved.pid(), &left.user);
    let Some(text) = record::write(state, &saved, &left).await else {
        state.recovery.metrics.not_parked();
        return false;
    };
    if !state.cluster.park(&key, &text, state.config.gateway.recovery).await {
        state.recovery.metrics.not_parked();
        return false;
    }
    state.recovery.metrics.parked();
    *parked = Parked::As(text.clone());
    drop(parked);
    drop((left, saved));
    if session.strong_count() == 0 {
        // Its client has come back meanwhile, or it is too old.
        state.cluster.withdraw(&key, &text).await;
        return false;
    }
    true
}

/// A client is on another node: here it is gone.
async fn release(state: &AppState, pid: String, user: &UserId, to: &NodeId) {
    let saved = state.rooms.gateway().and_then(|gateway| {
        gateway.release("/", &pid, |socket| {
            session_of(socket).is_some_and(|session| session.user == *user)
        })
    });
    let is_users = |saved: &Arc<SavedSession>| {
        saved.kept::<rooms::Left>().is_some_and(|left| left.user == *user)
    };
    let parked = match saved.filter(is_users) {
        Some(saved) => park(state, Arc::downgrade(&saved)).await,
        None => false,
    };
    let answer = Arc::new(NodeSignal::Released { pid, parked });
    if let Err(problem) = state.bus.publish_to_node(to, &answer).await {
        tracing::debug!(%problem, "a node was not told that a client was let go");
    }
}
