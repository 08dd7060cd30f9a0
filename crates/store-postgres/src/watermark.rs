//! Operations on everything up to a `seq`: read all and clear. Each is one rev and one small
//! change, however many items it touches.

use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    inbox::{ChangeKind, InboxState, OpOutcome},
    time::Timestamp,
};
use tokio_postgres::Row;

use crate::{
    failure::Result,
    inboxes::{self, Inbox},
    items::{self, from_rev, item_columns},
    lane::Tx,
    removal::{self, Doomed},
    rows::from_limit,
    sql,
};

/// A clear of more items than these leaves no tombstones: it raises the floor.
const MOST_TOMBSTONES: usize = 1_000;

/// Most items in one statement: a million of them in one would take longer than one may.
const STEP: i64 = 50_000;

macro_rules! read {
    ($rev:literal, $list:literal) => {
        concat!(
            "UPDATE inbox_items SET read_at = $4, seen_at = coalesce(seen_at, $4)",
            $rev,
            " WHERE inbox = $1 AND seq > $2 AND seq <= $3 AND read_at IS NULL AND ",
            $list
        )
    };
}

/// The items keep their rev: that they are read is told by the watermark.
pub(crate) const READ: &str = read!("", "archived_at IS NULL");
pub(crate) const READ_ARCHIVED: &str = read!("", "archived_at IS NOT NULL");
const READ_WITH_REV: &str = read!(", rev = $5, changed_at = $6", "archived_at IS NULL");
const READ_ARCHIVED_WITH_REV: &str =
    read!(", rev = $5, changed_at = $6", "archived_at IS NOT NULL");
pub(crate) const LOWEST: &str = "SELECT least(
    (SELECT min(seq) FROM inbox_items WHERE inbox = $1 AND archived_at IS NULL),
    (SELECT min(seq) FROM inbox_items WHERE inbox = $1 AND archived_at IS NOT NULL))";
pub(crate) const OF_REV: &str = concat!(
    "SELECT ",
    item_columns!(),
    " FROM inbox_items i WHERE i.inbox = $1 AND i.rev = $2 ORDER BY i.seq"
);
pub(crate) const ANY_UNREAD: &str = "SELECT EXISTS (SELECT 1 FROM inbox_items
        WHERE inbox = $1 AND seq <= $2 AND read_at IS NULL AND archived_at IS NULL)
    OR EXISTS (SELECT 1 FROM inbox_items
        WHERE inbox = $1 AND seq <= $2 AND read_at IS NULL AND archived_at IS NOT NULL)";
pub(crate) const UP_TO: &str = "
    (SELECT message_id, archived_at IS NULL AND read_at IS NULL FROM inbox_items
        WHERE inbox = $1 AND seq <= $2 AND archived_at IS NULL LIMIT $3)
    UNION ALL
    (SELECT message_id, false FROM inbox_items
        WHERE inbox = $1 AND seq <= $2 AND archived_at IS NOT NULL LIMIT $3)";
/// Returns how many went, and how many of them were unread.
pub(crate) const DELETE: &str = "WITH gone AS (
        DELETE FROM inbox_items
        WHERE inbox = $1 AND seq > $2 AND seq <= $3 AND archived_at IS NULL
        RETURNING read_at IS NULL AS unread
    ), archived AS (
        DELETE FROM inbox_items
        WHERE inbox = $1 AND seq > $2 AND seq <= $3 AND archived_at IS NOT NULL
        RETURNING 1
    )
    SELECT count(*) + (SELECT count(*) FROM archived), count(*) FILTER (WHERE unread) FROM gone";

const NOTHING: OpOutcome = OpOutcome {
    state: InboxState { rev: Rev(0), unread: 0, read_up_to: Rev(0), floor: Rev(0) },
    changed: 0,
    missing: 0,
};

/// Marks everything with `seq` up to `up_to` as read, archived items too.
///
/// Clients learn of it by the watermark alone, so the items' revs stay as they are. One case
/// is apart: below a watermark that stands already there are only items that were made unread
/// again since. No growth of the watermark tells of those, so they take the new rev.
pub(crate) async fn read_all(
    tx: &mut Tx,
    user: &UserId,
    up_to: Option<Rev>,
    now: Timestamp,
) -> Result<OpOutcome> {
    let Some(mut inbox) = inboxes::lock(&tx.conn, user).await? else { return Ok(NOTHING) };
    let up_to = up_to.unwrap_or(inbox.state.rev).min(inbox.state.rev);
    let grows = up_to > inbox.state.read_up_to;
    if !grows && !any_unread(tx, &inbox, up_to).await? {
        return Ok(OpOutcome { state: inbox.state, ..NOTHING });
    }
    inbox.read_all_rev = inbox.take_rev(now);
    inbox.read_all_at = inbox.changed_at;
    let [counted, archived] = mark_read(tx, &inbox, up_to, grows, now).await?;
    inbox.state.unread -= counted;
    inbox.state.read_up_to = inbox.state.read_up_to.max(up_to);
    inboxes::save(&tx.conn, &[&inbox]).await?;
    // Devices that follow know the watermark too: below it they are told item by item.
    let kind = match grows {
        true => ChangeKind::ReadAll { up_to },
        false => {
            let rev = from_rev(inbox.state.rev);
            let rows = sql::rows(&tx.conn, OF_REV, &[&inbox.number, &rev]).await?;
            ChangeKind::Updated(rows.iter().map(items::item).collect::<Result<_>>()?)
        }
    };
    tx.emit(inbox.changed(kind));
    Ok(OpOutcome { state: inbox.state, changed: counted + archived, missing: 0 })
}

async fn any_unread(tx: &Tx, inbox: &Inbox, up_to: Rev) -> Result<bool> {
    let row = sql::row(&tx.conn, ANY_UNREAD, &[&inbox.number, &from_rev(up_to)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// Items of the inbox, then of its archive.
async fn mark_read(
    tx: &Tx,
    inbox: &Inbox,
    up_to: Rev,
    by_watermark: bool,
    now: Timestamp,
) -> Result<[u64; 2]> {
    let (now, rev, at) = (now.as_millis(), from_rev(inbox.state.rev), inbox.changed_at.as_millis());
    let mut read = [0, 0];
    for (above, up_to) in steps(tx, inbox, up_to).await? {
        let values: sql::Values<'_> = &[&inbox.number, &above, &up_to, &now, &rev, &at];
        let (statements, values) = match by_watermark {
            true => ([READ, READ_ARCHIVED], &values[..4]),
            false => ([READ_WITH_REV, READ_ARCHIVED_WITH_REV], values),
        };
        for (read, statement) in read.iter_mut().zip(statements) {
            *read += sql::execute(&tx.conn, statement, values).await?;
        }
    }
    Ok(read)
}

/// The seqs up to `up_to` that items may have, in parts: each above one and up to another.
async fn steps(
    tx: &Tx,
    inbox: &Inbox,
    up_to: Rev,
) -> Result<impl Iterator<Item = (i64, i64)> + use<>> {
    let row = sql::row(&tx.conn, LOWEST, &[&inbox.number]).await?;
    let lowest: Option<i64> = row.and_then(|row| row.try_get(0).transpose()).transpose()?;
    let up_to = from_rev(up_to);
    let first = lowest.map_or(up_to, |lowest| lowest - 1);
    Ok((first..up_to).step_by(STEP as usize).map(move |above| (above, up_to.min(above + STEP))))
}

/// Deletes everything with `seq` up to `up_to`. Up to [`MOST_TOMBSTONES`] items leave
/// tombstones with the new rev; more raise the floor to it instead, and clients from below
/// start over.
pub(crate) async fn clear(
    tx: &mut Tx,
    user: &UserId,
    up_to: Option<Rev>,
    now: Timestamp,
) -> Result<OpOutcome> {
    let Some(mut inbox) = inboxes::lock(&tx.conn, user).await? else { return Ok(NOTHING) };
    let up_to = up_to.unwrap_or(inbox.state.rev).min(inbox.state.rev);
    let doomed = items_up_to(tx, &inbox, up_to).await?;
    if doomed.is_empty() {
        return Ok(OpOutcome { state: inbox.state, ..NOTHING });
    }
    let changed = if doomed.len() <= MOST_TOMBSTONES {
        let mut gone = removal::Gone::default();
        gone.add(&mut inbox, &doomed, now);
        gone.write(tx).await?;
        doomed.len() as u64
    } else {
        delete_without_tombstones(tx, &mut inbox, up_to, now).await?
    };
    inboxes::save(&tx.conn, &[&inbox]).await?;
    tx.emit(inbox.changed(ChangeKind::Cleared { up_to }));
    Ok(OpOutcome { state: inbox.state, changed, missing: 0 })
}

/// One more than may have tombstones is enough to know.
async fn items_up_to(tx: &Tx, inbox: &Inbox, up_to: Rev) -> Result<Vec<Doomed>> {
    let values: sql::Values<'_> =
        &[&inbox.number, &from_rev(up_to), &from_limit(MOST_TOMBSTONES + 1)];
    let doomed =
        |row: &Row| Ok(Doomed { id: NotificationId(row.try_get(0)?), unread: row.try_get(1)? });
    sql::rows(&tx.conn, UP_TO, values).await?.iter().map(doomed).collect()
}

async fn delete_without_tombstones(
    tx: &Tx,
    inbox: &mut Inbox,
    up_to: Rev,
    now: Timestamp,
) -> Result<u64> {
    let (mut deleted, mut unread) = (0, 0);
    for (above, up_to) in steps(tx, inbox, up_to).await? {
        let values: sql::Values<'_> = &[&inbox.number, &above, &up_to];
        if let Some(row) = sql::row(&tx.conn, DELETE, values).await? {
            deleted += row.try_get::<_, i64>(0)?;
            unread += row.try_get::<_, i64>(1)?;
        }
    }
    inbox.state.unread -= crate::rows::to_count(unread);
    inbox.state.floor = inbox.take_rev(now);
    inbox.floor_at = inbox.changed_at;
    Ok(crate::rows::to_count(deleted))
}
