//! What users do to single items of their inboxes. Each operation that changes anything takes
//! exactly one rev for all the items that it touches; one that changes nothing takes none and
//! tells nobody. (Operations on everything up to a `seq` are in [`watermark`](crate::watermark).)

use std::collections::HashSet;

use tidings_core::{
    ids::{NotificationId, UserId},
    inbox::{
        ChangeKind, InboxOp, InboxState, OpOutcome,
        transition::{self, Transition},
    },
    notification::Item,
    time::Timestamp,
};

use crate::{
    books::{Books, Wanted},
    items::item_columns,
    lane::Weight,
};

pub(crate) const FIND: &str = concat!(
    "SELECT ",
    item_columns!(),
    ", i.inbox FROM unnest($1::text[], $2::uuid[]) w (user_id, id)
    JOIN inboxes b ON b.user_id = w.user_id
    CROSS JOIN LATERAL (SELECT * FROM inbox_items
        WHERE message_id = w.id AND inbox = b.number OFFSET 0) i"
);

/// An operation on items that are named by their ids.
pub(crate) struct Request {
    pub(crate) user: UserId,
    pub(crate) op: InboxOp,
    pub(crate) now: Timestamp,
}

pub(crate) fn ids_of(op: &InboxOp) -> &[NotificationId] {
    match op {
        InboxOp::Read(ids)
        | InboxOp::Unread(ids)
        | InboxOp::Seen(ids)
        | InboxOp::Archive(ids)
        | InboxOp::Unarchive(ids)
        | InboxOp::Delete(ids) => ids,
        InboxOp::ReadAll { .. } | InboxOp::Clear { .. } => &[],
    }
}

pub(crate) fn weight(op: &InboxOp) -> Weight {
    let ids = ids_of(op).len();
    Weight { rows: 1 + ids, bytes: 256 + 16 * ids }
}

pub(crate) fn want(wanted: &mut Wanted, request: &Request) {
    wanted.users.insert(request.user.clone());
    let ids = ids_of(&request.op).iter();
    wanted.items.0.extend(ids.map(|id| (request.user.clone(), *id)));
}

/// The outcome counts once the books are written and committed.
pub(crate) fn decide(books: &mut Books, request: &Request) -> OpOutcome {
    let Request { user, op, now } = request;
    let rule = match op {
        InboxOp::Read(_) => transition::read,
        InboxOp::Unread(_) => transition::unread,
        InboxOp::Seen(_) => transition::seen,
        InboxOp::Archive(_) => transition::archive,
        InboxOp::Unarchive(_) => transition::unarchive,
        InboxOp::Delete(ids) => return delete(books, user, ids, *now),
        InboxOp::ReadAll { .. } | InboxOp::Clear { .. } => {
            return nothing(InboxState::default(), 0);
        }
    };
    mark(books, user, ids_of(op), rule, *now)
}

fn nothing(state: InboxState, missing: u64) -> OpOutcome {
    OpOutcome { state, changed: 0, missing }
}

/// The items of these ids, each once, and how many of the ids are not in this inbox.
fn find(books: &Books, user: &UserId, ids: &[NotificationId]) -> (Vec<Item>, u64) {
    let inbox = books.inbox(user).map(|inbox| inbox.number);
    let ids: HashSet<_> = ids.iter().copied().collect();
    let item = |id: &NotificationId| books.item(inbox?, *id).cloned();
    let mut items: Vec<_> = ids.iter().filter_map(item).collect();
    items.sort_unstable_by_key(|item| item.seq);
    let missing = (ids.len() - items.len()) as u64;
    (items, missing)
}

/// Applies one rule to some items. Unread counts what is neither read nor archived: whatever
/// the rule changes of that, the counter follows in the same transaction.
fn mark(
    books: &mut Books,
    user: &UserId,
    ids: &[NotificationId],
    rule: Transition,
    now: Timestamp,
) -> OpOutcome {
    let (items, missing) = find(books, user, ids);
    let changed: Vec<_> =
        items.into_iter().filter_map(|old| rule(&old, now).map(|new| (old, new))).collect();
    let state = books.inbox(user).map(|inbox| inbox.state).unwrap_or_default();
    if changed.is_empty() {
        return nothing(state, missing);
    }
    let Some(inbox) = books.moving(user) else { return nothing(state, missing) };
    let rev = inbox.take_rev(now);
    let mut updated = Vec::with_capacity(changed.len());
    for (old, mut new) in changed {
        new.rev = rev;
        inbox.state.unread += u64::from(new.counts_as_unread());
        inbox.state.unread -= u64::from(old.counts_as_unread());
        updated.push(new);
    }
    let inbox = inbox.clone();
    updated.iter().for_each(|item| books.mark(&inbox, item.clone()));
    let changed = updated.len() as u64;
    books.tell(user, ChangeKind::Updated(updated));
    OpOutcome { state: inbox.state, changed, missing }
}

fn delete(books: &mut Books, user: &UserId, ids: &[NotificationId], now: Timestamp) -> OpOutcome {
    let (items, missing) = find(books, user, ids);
    let state = books.inbox(user).map(|inbox| inbox.state).unwrap_or_default();
    if items.is_empty() {
        return nothing(state, missing);
    }
    let Some(inbox) = books.moving(user) else { return nothing(state, missing) };
    inbox.take_rev(now);
    inbox.state.unread -= items.iter().filter(|item| item.counts_as_unread()).count() as u64;
    let inbox = inbox.clone();
    items.iter().for_each(|item| books.bury(&inbox, item.id));
    books.tell(user, ChangeKind::Removed(items.iter().map(|item| item.id).collect()));
    OpOutcome { state: inbox.state, changed: items.len() as u64, missing }
}
