//! What devices are shown before it is stored: while the database is away, what was spooled.
//!
//! It has no `seq` and no `rev` and moves no cursor. The change that stores it confirms it; if it is not stored, it
//! is withdrawn. A device that comes back in between knows nothing of it and gets the change.

use std::{collections::HashMap, sync::Arc};

use tidings_core::{
    ids::{NotificationId, UserId},
    notification::Message,
    signal::NodeSignal,
};

use crate::{spool::Record, state::AppState};

/// Users whose confirmation is looked after, at most; those beyond find the gap at their next change.
const MAX_EXPECTED: usize = 10_000;

/// Who was shown something that the store has taken, and how often that was looked at.
#[derive(Default)]
pub(super) struct Expected(HashMap<(UserId, NotificationId), u8>);

/// Whether this user may be shown this before the store was asked. Preferences will be asked here: only those that
/// are known without the database count, and who has unknown ones is shown nothing. Until there are any, everybody's
/// are the defaults, which are known.
fn may_be_shown(_user: &UserId, _message: &Message) -> bool {
    true
}

/// Shows what was spooled to those who are connected.
pub(crate) async fn show(state: &AppState, record: &Record) {
    for (message, users) in record.at_once() {
        let users: Vec<_> =
            users.iter().filter(|user| may_be_shown(user, message)).cloned().collect();
        if users.is_empty() {
            continue;
        }
        let body = Arc::from(String::from_utf8_lossy(&message.tail()));
        tell(state, NodeSignal::Provisional { id: message.id, users, body }).await;
    }
}

/// Takes back what was shown: it was not stored, or another one in its place.
pub(crate) async fn withdraw(
    state: &AppState,
    id: NotificationId,
    users: &[UserId],
    replaced_by: Option<NotificationId>,
) {
    tell(state, NodeSignal::Withdrawn { id, users: users.to_vec(), replaced_by }).await;
}

/// The store has taken it, so that its change is on its way. If that is lost, it is asked for.
pub(crate) fn expect(state: &AppState, id: NotificationId, users: &[UserId]) {
    for user in users.iter().filter(|user| state.hub.was_shown(user, id)) {
        let mut expected = state.hub.expected.lock();
        if expected.0.len() < MAX_EXPECTED {
            expected.0.insert((user.clone(), id), 0);
        }
    }
}

/// Looks whether what the store has taken was confirmed. A commit whose outcome was lost is published by nobody.
pub(crate) fn look_after(state: &AppState) {
    let mut late = Vec::new();
    state.hub.expected.lock().0.retain(|(user, id), rounds| {
        if !state.hub.was_shown(user, *id) {
            return false;
        }
        *rounds += 1;
        // It may be on its way in the first round.
        let is_late = *rounds > 1;
        if is_late {
            late.push(user.clone());
        }
        !is_late
    });
    late.iter().for_each(|user| state.hub.fall_behind(user));
}

async fn tell(state: &AppState, signal: NodeSignal) {
    if let Err(problem) = state.bus.publish_to_nodes(&Arc::new(signal)).await {
        tracing::warn!(%problem, "what is provisional was not told");
    }
}
