//! What changed in an inbox since some rev, in one snapshot.

use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    inbox::{InboxState, Sync},
    notification::Notification,
};

use crate::{
    failure::Result,
    inboxes::Inbox,
    items::{self, from_rev, to_rev, with_bodies},
    rows::from_limit,
    snapshot::Snapshot,
    sql::{self, together},
};

/// The revs that rows of the answer have, without the rows: both walk an index alone.
pub(crate) const ITEM_REVS: &str = "SELECT rev FROM inbox_items
    WHERE inbox = $1 AND rev > $2 ORDER BY rev LIMIT $3";
pub(crate) const TOMBSTONE_REVS: &str = "SELECT rev FROM tombstones
    WHERE inbox = $1 AND rev > $2 ORDER BY rev LIMIT $3";

pub(crate) const ITEMS: &str = with_bodies!(
    "SELECT i.* FROM inbox_items i WHERE i.inbox = $1 AND i.rev > $2 AND i.rev <= $3
    ORDER BY i.rev"
);
pub(crate) const TOMBSTONES: &str = "SELECT message_id FROM tombstones
    WHERE inbox = $1 AND rev > $2 AND rev <= $3 ORDER BY rev, message_id";
pub(crate) const NEWEST: &str = with_bodies!(
    "SELECT i.* FROM inbox_items i WHERE i.inbox = $1 AND i.archived_at IS NULL
    ORDER BY i.seq DESC LIMIT $2"
);

/// An answer without rows that takes the client to where the inbox is.
pub(crate) fn nothing(state: InboxState) -> Sync {
    Sync {
        items: Vec::new(),
        removed: Vec::new(),
        read_up_to: state.read_up_to,
        unread: state.unread,
        to: state.rev,
        has_more: false,
        reset: false,
    }
}

pub(crate) async fn sync(
    snapshot: &Snapshot,
    user: &UserId,
    since: Rev,
    limit: usize,
) -> Result<Sync> {
    of_inbox(snapshot, Inbox::of(snapshot, user).await?.as_ref(), since, limit).await
}

pub(crate) async fn of_inbox(
    snapshot: &Snapshot,
    inbox: Option<&Inbox>,
    since: Rev,
    limit: usize,
) -> Result<Sync> {
    let Some(inbox) = inbox else {
        // A rev of an inbox that is not there is of another life of this database.
        return Ok(Sync { reset: since > Rev(0), ..nothing(InboxState::default()) });
    };
    let limit = limit.max(1);
    if since < inbox.state.floor || since > inbox.state.rev {
        return start_over(snapshot, inbox, limit).await;
    }
    if since == inbox.state.rev {
        return Ok(nothing(inbox.state));
    }
    let cut = last_whole_rev(snapshot, inbox, since, limit).await?;
    let to = cut.unwrap_or(inbox.state.rev);
    sql::prepare(snapshot, &[ITEMS, TOMBSTONES]).await?;
    let (items, removed) =
        together!(items(snapshot, inbox, since, to), tombstones(snapshot, inbox, since, to));
    let (items, removed) = (items?, removed?);
    Ok(Sync { items, removed, to, has_more: cut.is_some(), ..nothing(inbox.state) })
}

/// The newest notifications in place of everything that the client holds.
async fn start_over(snapshot: &Snapshot, inbox: &Inbox, limit: usize) -> Result<Sync> {
    let mut items = newest(snapshot, NEWEST, inbox, limit.saturating_add(1)).await?;
    let has_more = items.len() > limit;
    items.truncate(limit);
    Ok(Sync { items, has_more, reset: true, ..nothing(inbox.state) })
}

/// Runs one of the queries for the newest items of an inbox.
pub(crate) async fn newest(
    snapshot: &Snapshot,
    query: &str,
    inbox: &Inbox,
    limit: usize,
) -> Result<Vec<Notification>> {
    let rows = sql::rows(snapshot, query, &[&inbox.number, &from_limit(limit)]).await?;
    items::notifications(&inbox.user, &rows)
}

/// With more than `limit` rows to tell: the last rev whose rows all find room, or, if the
/// first rev alone has more rows than that, the first. A rev is never told in part.
async fn last_whole_rev(
    snapshot: &Snapshot,
    inbox: &Inbox,
    since: Rev,
    limit: usize,
) -> Result<Option<Rev>> {
    sql::prepare(snapshot, &[ITEM_REVS, TOMBSTONE_REVS]).await?;
    let (since, most) = (from_rev(since), from_limit(limit.saturating_add(1)));
    let values: sql::Values<'_> = &[&inbox.number, &since, &most];
    let (items, tombstones) = together!(
        sql::rows(snapshot, ITEM_REVS, values),
        sql::rows(snapshot, TOMBSTONE_REVS, values),
    );
    let (items, tombstones) = (items?, tombstones?);
    let revs = items.iter().chain(&tombstones).map(|row| Ok(to_rev(row.try_get(0)?)));
    let mut revs: Vec<_> = revs.collect::<Result<_>>()?;
    revs.sort_unstable();
    let Some(&left_out) = revs.get(limit) else { return Ok(None) };
    let whole = revs.iter().rev().find(|rev| **rev < left_out);
    // `left_out` is the first rev itself when there is none before it.
    Ok(Some(*whole.unwrap_or(&left_out)))
}

async fn items(
    snapshot: &Snapshot,
    inbox: &Inbox,
    since: Rev,
    to: Rev,
) -> Result<Vec<Notification>> {
    let values: sql::Values<'_> = &[&inbox.number, &from_rev(since), &from_rev(to)];
    let rows = sql::rows(snapshot, ITEMS, values).await?;
    let mut items = items::notifications(&inbox.user, &rows)?;
    // The index has them by rev; within a rev they go by id.
    items.sort_by_key(|notification| (notification.item.rev, notification.item.id));
    Ok(items)
}

async fn tombstones(
    snapshot: &Snapshot,
    inbox: &Inbox,
    since: Rev,
    to: Rev,
) -> Result<Vec<NotificationId>> {
    let values: sql::Values<'_> = &[&inbox.number, &from_rev(since), &from_rev(to)];
    let rows = sql::rows(snapshot, TOMBSTONES, values).await?;
    rows.iter().map(|row| Ok(NotificationId(row.try_get(0)?))).collect()
}
