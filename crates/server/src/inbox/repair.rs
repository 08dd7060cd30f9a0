//! Repairing sessions that missed something: a hint was lost, a send buffer was full, or the
//! device is pages behind. Whatever it was, the store is asked from where the device is.

use std::{collections::BTreeMap, sync::Arc};

use tidings_core::{
    ids::{Rev, UserId},
    inbox::{SYNC_PAGE, Sync},
    notification::Notification,
    ports::StoreError,
};

use super::{
    events,
    session::{InboxSession, PageOutcome},
};
use crate::state::AppState;

/// Brings the devices of users with gaps up to date: one query for the counters of all, then
/// one for each device that really misses something. Who could not be helped is reported again.
pub async fn repair(state: &AppState, users: &[UserId]) -> Result<(), StoreError> {
    let gapped: Vec<_> = users.iter().flat_map(|user| state.hub.take_gapped(user)).collect();
    let revs: BTreeMap<UserId, Rev> = match state.store.states(users).await {
        Ok(states) => states.into_iter().map(|(user, inbox)| (user, inbox.rev)).collect(),
        Err(problem) => {
            gapped.iter().for_each(|session| state.hub.report(&session.user));
            return Err(problem);
        }
    };
    let mut outcome = Ok(());
    for session in gapped {
        let last = revs.get(&session.user).copied().unwrap_or_default();
        if session.sent() < last
            && let Err(problem) = repair_session(state, &session).await
        {
            outcome = Err(problem);
        }
    }
    outcome
}

/// Sends a session what it misses, page by page. Does nothing if somebody is at it already.
pub(super) async fn repair_session(
    state: &AppState,
    session: &Arc<InboxSession>,
) -> Result<(), StoreError> {
    let Some(since) = session.begin_repair() else { return Ok(()) };
    let outcome = send_pages(state, session, since).await;
    if session.end_repair(outcome.is_err()) {
        state.hub.report(&session.user);
    }
    outcome
}

async fn send_pages(
    state: &AppState,
    session: &Arc<InboxSession>,
    mut since: Rev,
) -> Result<(), StoreError> {
    loop {
        let mut sync = state.store.sync(&session.user, since, SYNC_PAGE).await?;
        fit_changes(&mut sync, state.config.gateway.send_buffer / 2);
        if sync.to == since && !sync.reset {
            return Ok(());
        }
        let frames = [events::pending(&sync), events::count(sync.to, sync.unread)];
        match state.hub.page(session, since, &frames, sync.to) {
            PageOutcome::Told if sync.has_more && !sync.reset => since = sync.to,
            PageOutcome::Told | PageOutcome::Refused => return Ok(()),
            PageOutcome::Stale(sent) => since = sent,
        }
    }
}

/// What a notification's fields of its own take in JSON, at most, in bytes.
const HEAD: usize = 512;

/// How many notifications, in this order, take about `budget` bytes; at least one.
fn count_within<'a>(notifications: impl Iterator<Item = &'a Notification>, budget: usize) -> usize {
    let mut used = 0;
    let fits = |notification: &&Notification| {
        used += notification.message.tail().len() + HEAD;
        used <= budget
    };
    notifications.take_while(fits).count().max(1)
}

/// Cuts changes to what finds room in a send buffer. The rest follows with `since` = `to`, so
/// they are cut between revs: one that would be told in part goes next time, unless it is all
/// there is.
pub(super) fn fit_changes(sync: &mut Sync, budget: usize) {
    let keep = count_within(sync.items.iter(), budget);
    if keep >= sync.items.len() {
        return;
    }
    sync.has_more = true;
    if sync.reset {
        // No changes but the newest, the newest first: the older ones can be listed.
        sync.items.truncate(keep);
        return;
    }
    let rev_at = |n: usize| sync.items.get(n).map_or(sync.to, |n| n.item.rev);
    let last = if rev_at(keep) == rev_at(0) { rev_at(0) } else { Rev(rev_at(keep).0 - 1) };
    sync.items.retain(|notification| notification.item.rev <= last);
    sync.to = last;
}

/// Cuts the newest unread, which stand the oldest first; the older ones can be listed.
pub(super) fn fit_newest(sync: &mut Sync, budget: usize) {
    let keep = count_within(sync.items.iter().rev(), budget);
    if keep < sync.items.len() {
        sync.has_more = true;
        sync.items.drain(..sync.items.len() - keep);
    }
}
