//! Lists of notifications, newest first, by keyset on `seq`.
//!
//! Each list is a walk of its own partial index from the newest item down, merged over the
//! months: it costs what it shows, whatever else the inbox holds. A filter by type or tenant
//! skips rows on the way, without touching their bodies.

use tidings_core::inbox::{MAX_PAGE, Page, PageQuery};

use crate::{
    failure::Result,
    items::{self, from_rev, with_bodies},
    rows::{from_limit, to_count},
    snapshot::Snapshot,
    sql,
};

macro_rules! of_list {
    ($list:literal) => {
        concat!(
            " FROM inbox_items i WHERE i.inbox = (SELECT number FROM inboxes WHERE user_id = $1) \
             AND ",
            $list,
            " AND i.seq < $2 AND ($3::text IS NULL OR i.kind = $3) \
             AND ($4::text IS NULL OR i.tenant = $4)"
        )
    };
}
macro_rules! select {
    ($list:literal) => {
        with_bodies!(concat!(
            "SELECT i.*",
            of_list!($list),
            " ORDER BY i.seq DESC LIMIT $5 OFFSET $6"
        ))
    };
}
macro_rules! count {
    ($list:literal) => {
        concat!("SELECT count(*)", of_list!($list))
    };
}

/// One list: how it is read and how it is counted.
pub(crate) struct List {
    pub(crate) select: &'static str,
    count: &'static str,
}

macro_rules! list {
    ($list:literal) => {
        List { select: select!($list), count: count!($list) }
    };
}

pub(crate) const ALL: List = list!("i.archived_at IS NULL");
pub(crate) const UNREAD: List = list!("i.archived_at IS NULL AND i.read_at IS NULL");
pub(crate) const ARCHIVE: List = list!("i.archived_at IS NOT NULL");
pub(crate) const ARCHIVED_UNREAD: List = list!("i.archived_at IS NOT NULL AND i.read_at IS NULL");

fn list(query: &PageQuery) -> List {
    match (query.archived, query.unread_only) {
        (false, false) => ALL,
        (false, true) => UNREAD,
        (true, false) => ARCHIVE,
        (true, true) => ARCHIVED_UNREAD,
    }
}

pub(crate) async fn page(snapshot: Snapshot, query: &PageQuery) -> Result<Page> {
    let list = list(query);
    let limit = query.limit.clamp(1, MAX_PAGE);
    let before = query.before.map_or(i64::MAX, from_rev);
    let pages_before = usize::try_from(query.page.unwrap_or(1).max(1) - 1).unwrap_or(usize::MAX);
    let offset = from_limit(pages_before.saturating_mul(limit));
    // One more than the page shows tells whether there is another page.
    let (user, shown) = (query.user.as_str(), from_limit(limit + 1));
    let values: sql::Values<'_> = &[&user, &before, &query.kind, &query.tenant, &shown, &offset];
    let rows = sql::rows(&snapshot, list.select, values).await?;
    let mut notifications = items::notifications(&query.user, &rows)?;
    let total = match query.page {
        Some(_) => Some(count(&snapshot, list.count, &values[..4]).await?),
        None => None,
    };
    snapshot.end().await?;
    let has_more = notifications.len() > limit;
    notifications.truncate(limit);
    Ok(Page { notifications, has_more, total })
}

async fn count(snapshot: &Snapshot, query: &str, values: sql::Values<'_>) -> Result<u64> {
    let row = sql::row(snapshot, query, values).await?;
    Ok(to_count(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0)))
}
