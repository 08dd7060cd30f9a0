//! The rev of an inbox at an instant, for clients that say `since` with a date.

use tidings_core::{
    ids::{Rev, UserId},
    time::Timestamp,
};

use crate::{
    failure::Result,
    inboxes::Inbox,
    items::{from_rev, to_rev},
    rows::to_time,
    snapshot::Snapshot,
    sql,
};

/// The first record that is left of any rev from `$2` on, and when that rev was taken.
pub(crate) const ITEM: &str = "SELECT rev, changed_at FROM inbox_items
    WHERE inbox = $1 AND rev >= $2 ORDER BY rev LIMIT 1";
pub(crate) const TOMBSTONE: &str = "SELECT rev, deleted_at FROM tombstones
    WHERE inbox = $1 AND rev >= $2 ORDER BY rev LIMIT 1";

/// One below the first rev that was taken after `at`, as far as there are traces of it: items,
/// tombstones, the last read-all, and the floor in place of tombstones that are gone.
pub(crate) async fn rev_at(snapshot: &Snapshot, user: &UserId, at: Timestamp) -> Result<Rev> {
    let Some(inbox) = Inbox::of(snapshot, user).await? else { return Ok(Rev(0)) };
    let read_all = (inbox.read_all_at > at).then_some(inbox.read_all_rev);
    let floor = (inbox.floor_at > at).then_some(inbox.state.floor);
    let first = [
        first_after(snapshot, ITEM, &inbox, at).await?,
        first_after(snapshot, TOMBSTONE, &inbox, at).await?,
        read_all,
        floor,
    ]
    .into_iter()
    .flatten()
    .min();
    Ok(first.map_or(inbox.state.rev, |rev| Rev(rev.0.saturating_sub(1))))
}

/// The first rev with a record from after `at`. The times of an inbox's revs never fall (see
/// `inboxes.changed_at`), so a binary search finds it in a few probes of an index.
async fn first_after(
    snapshot: &Snapshot,
    query: &str,
    inbox: &Inbox,
    at: Timestamp,
) -> Result<Option<Rev>> {
    let (mut low, mut high) = (Rev(1), Rev(inbox.state.rev.0 + 1));
    while low < high {
        let middle = Rev(low.0 + (high.0 - low.0) / 2);
        match probe(snapshot, query, inbox, middle).await? {
            Some((rev, taken)) if taken <= at => low = Rev(rev.0 + 1),
            _ => high = middle,
        }
    }
    Ok(probe(snapshot, query, inbox, low).await?.map(|(rev, _)| rev))
}

async fn probe(
    snapshot: &Snapshot,
    query: &str,
    inbox: &Inbox,
    rev: Rev,
) -> Result<Option<(Rev, Timestamp)>> {
    let Some(row) = sql::row(snapshot, query, &[&inbox.number, &from_rev(rev)]).await? else {
        return Ok(None);
    };
    Ok(Some((to_rev(row.try_get(0)?), to_time(row.try_get(1)?))))
}
