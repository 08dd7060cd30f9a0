//! The rev of an inbox at an instant, for clients that say `since` with a date.

use rusqlite::{Connection, OptionalExtension};
use tidings_core::{
    ids::{Rev, UserId},
    time::Timestamp,
};

use crate::{
    failure::Result,
    inboxes::Inbox,
    rows::{from_rev, to_rev, to_time},
};

/// The first record that is left of any rev from `?2` on, and when that rev was taken.
const ITEM: &str = "SELECT rev, changed_at FROM inbox_items INDEXED BY inbox_items_rev
    WHERE inbox = ?1 AND rev >= ?2 ORDER BY rev LIMIT 1";
const TOMBSTONE: &str = "SELECT rev, deleted_at FROM tombstones
    WHERE inbox = ?1 AND rev >= ?2 ORDER BY rev LIMIT 1";

/// One below the first rev that was taken after `at`, as far as there are traces of it: items,
/// tombstones, the last read-all, and the floor in place of tombstones that are gone.
pub(crate) fn rev_at(conn: &Connection, user: &UserId, at: Timestamp) -> Result<Rev> {
    let Some(inbox) = Inbox::of(conn, user)? else { return Ok(Rev(0)) };
    let read_all = (inbox.read_all_at > at).then_some(inbox.read_all_rev);
    let floor = (inbox.floor_at > at).then_some(inbox.state.floor);
    let first = [
        first_after(conn, ITEM, &inbox, at)?,
        first_after(conn, TOMBSTONE, &inbox, at)?,
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
fn first_after(
    conn: &Connection,
    query: &str,
    inbox: &Inbox,
    at: Timestamp,
) -> Result<Option<Rev>> {
    let mut statement = conn.prepare_cached(query)?;
    let mut probe = |rev: Rev| {
        let read = |row: &rusqlite::Row<'_>| Ok((to_rev(row.get(0)?), to_time(row.get(1)?)));
        statement.query_row((inbox.number, from_rev(rev)), read).optional()
    };
    let (mut low, mut high) = (Rev(1), Rev(inbox.state.rev.0 + 1));
    while low < high {
        let middle = Rev(low.0 + (high.0 - low.0) / 2);
        match probe(middle)? {
            Some((rev, taken)) if taken <= at => low = Rev(rev.0 + 1),
            _ => high = middle,
        }
    }
    Ok(probe(low)?.map(|(rev, _)| rev))
}
