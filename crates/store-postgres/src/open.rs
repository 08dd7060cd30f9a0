//! What a client gets when it connects: state and pending in one snapshot.

use tidings_core::{
    ids::{DeviceId, Rev, UserId},
    inbox::{OpenFrom, Opening, PENDING, SYNC_PAGE, Sync},
};

use crate::{
    connection::Connection,
    failure::Result,
    inboxes::Inbox,
    items::{to_rev, with_bodies},
    snapshot::Snapshot,
    sql, sync,
};

pub(crate) const NEWEST_UNREAD: &str = with_bodies!(
    "SELECT i.* FROM inbox_items i
    WHERE i.inbox = $1 AND i.archived_at IS NULL AND i.read_at IS NULL
    ORDER BY i.seq DESC LIMIT $2"
);
const CURSOR: &str = "SELECT cursor FROM devices WHERE inbox = $1 AND id = $2";

pub(crate) async fn open(snapshot: &Snapshot, user: &UserId, from: &OpenFrom) -> Result<Opening> {
    let inbox = Inbox::of(snapshot, user).await?;
    let state = inbox.as_ref().map(|inbox| inbox.state).unwrap_or_default();
    let since = match (from, &inbox) {
        (OpenFrom::Since(rev), _) => Some(*rev),
        (OpenFrom::Device(device), Some(inbox)) => cursor(snapshot, inbox.number, device).await?,
        (OpenFrom::Device(_) | OpenFrom::Newest, _) => None,
    };
    let pending = match (since, &inbox) {
        (Some(since), _) => sync::of_inbox(snapshot, inbox.as_ref(), since, SYNC_PAGE).await?,
        (None, Some(inbox)) if state.unread > 0 => newest_unread(snapshot, inbox).await?,
        (None, _) => sync::nothing(state),
    };
    Ok(Opening { state, pending, since })
}

/// Where this device's acknowledgements got to, if it ever sent one and was not forgotten.
pub(crate) async fn cursor(
    conn: &Connection,
    inbox: i64,
    device: &DeviceId,
) -> Result<Option<Rev>> {
    let row = sql::row(conn, CURSOR, &[&inbox, &device.as_str()]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.map(to_rev))
}

/// The newest unread, oldest first, so that a client shows them in the order they came.
async fn newest_unread(snapshot: &Snapshot, inbox: &Inbox) -> Result<Sync> {
    let mut items = sync::newest(snapshot, NEWEST_UNREAD, inbox, PENDING + 1).await?;
    let has_more = items.len() > PENDING;
    items.truncate(PENDING);
    items.reverse();
    Ok(Sync { items, has_more, ..sync::nothing(inbox.state) })
}
