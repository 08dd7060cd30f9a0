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
    session::{Found, InboxSession, PageOutcome},
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
        // One that lags hears nothing until it was looked after, also if it misses nothing after all.
        if (session.sent() < last || session.lags())
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
        match send_page(state, session, since, &mut sync) {
            PageOutcome::Told if sync.has_more && !sync.reset => since = sync.to,
            PageOutcome::Told | PageOutcome::Refused => return Ok(()),
            PageOutcome::Stale(sent) => since = sent,
        }
    }
}

/// Sends one page. What the device shows already is confirmed in it, not sent again.
fn send_page(state: &AppState, session: &InboxSession, since: Rev, sync: &mut Sync) -> PageOutcome {
    let shown = session.shown();
    let mut ids = Vec::new();
    let mut frames = Vec::with_capacity(3);
    if sync.reset {
        // Takes the place of everything that the device holds.
        ids.clone_from(&shown);
    } else if !shown.is_empty() {
        ids.extend(sync.items.iter().map(|notification| notification.item.id));
        ids.extend(&sync.removed);
        let known = |notification: &mut Notification| shown.contains(&notification.item.id);
        let known: Vec<Notification> = sync.items.extract_if(.., known).collect();
        if !known.is_empty() {
            frames.push(events::confirmed(&known, sync.to, sync.unread));
        }
    }
    frames.push(events::pending(sync));
    let carry = frames.len();
    frames.push(events::count(sync.to, sync.unread));
    let found = Found { since, to: sync.to, frames: &frames, carry, ids: &ids };
    state.hub.page(session, &found)
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

#[cfg(test)]
mod tests {
    use tidings_core::{
        ids::NotificationId,
        notification::{Item, Message, MessageParts, Priority},
        time::Timestamp,
    };

    use super::*;

    fn notification(seq: u64, rev: u64) -> Notification {
        let id = NotificationId::new_v7(Timestamp::EPOCH, [7; 10]);
        let message: Message = MessageParts {
            id,
            kind: "like".into(),
            actor: None,
            actor_id: None,
            entity_type: None,
            entity_id: None,
            tenant: None,
            title: None,
            message: "x".repeat(1_000),
            data: serde_json::value::RawValue::from_string("{}".into()).unwrap().into(),
            actions: vec![],
            priority: Priority::Normal,
            group_key: None,
            collapse_key: None,
            trace_id: None,
            created_at: Timestamp::EPOCH,
            expires_at: None,
        }
        .into();
        Notification {
            recipient: UserId::new("alice").unwrap(),
            item: Item { rev: Rev(rev), ..Item::new(id, Rev(seq)) },
            message: Arc::new(message),
        }
    }

    fn sync(revs: &[u64], to: u64) -> Sync {
        Sync {
            items: revs.iter().map(|rev| notification(*rev, *rev)).collect(),
            removed: vec![],
            read_up_to: Rev(0),
            unread: 0,
            to: Rev(to),
            has_more: false,
            reset: false,
        }
    }

    fn revs(sync: &Sync) -> Vec<u64> {
        sync.items.iter().map(|notification| notification.item.rev.0).collect()
    }

    /// Each takes about 1.7 KB.
    const TWO: usize = 4_000;

    #[test]
    fn changes_are_cut_between_revs_and_the_rest_follows() {
        let mut cut = sync(&[3, 4, 6, 7], 9);
        fit_changes(&mut cut, TWO);
        assert_eq!((revs(&cut), cut.to, cut.has_more), (vec![3, 4], Rev(5), true));
        let mut whole = sync(&[3, 4], 9);
        fit_changes(&mut whole, TWO);
        assert_eq!((revs(&whole), whole.to, whole.has_more), (vec![3, 4], Rev(9), false));
    }

    #[test]
    fn a_rev_is_never_told_in_part() {
        let mut second_shared = sync(&[3, 4, 4, 7], 9);
        fit_changes(&mut second_shared, TWO);
        assert_eq!((revs(&second_shared), second_shared.to), (vec![3], Rev(3)));
        let mut first_shared = sync(&[3, 3, 3, 7], 9);
        fit_changes(&mut first_shared, TWO);
        assert_eq!((revs(&first_shared), first_shared.to), (vec![3, 3, 3], Rev(3)));
    }

    #[test]
    fn the_newest_are_kept() {
        let mut pending = sync(&[1, 2, 3, 4], 9);
        fit_newest(&mut pending, TWO);
        assert_eq!((revs(&pending), pending.to, pending.has_more), (vec![3, 4], Rev(9), true));
        let mut reset = Sync { reset: true, ..sync(&[4, 3, 2, 1], 9) };
        fit_changes(&mut reset, 1);
        assert_eq!((revs(&reset), reset.to, reset.has_more), (vec![4], Rev(9), true));
    }
}
