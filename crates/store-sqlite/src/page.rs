//! Lists of notifications, newest first, by keyset on `seq`.
//!
//! Each list is one walk of the table (clustered by inbox, archive and seq) or of the index on
//! unread items, from the newest down: it costs what it shows, whatever else the inbox holds.
//! A filter by type or tenant skips rows on the way, without touching their bodies.

use rusqlite::Connection;
use tidings_core::inbox::{MAX_PAGE, Page, PageQuery};

use crate::{
    failure::Result,
    inboxes,
    rows::{self, from_limit, from_rev, to_count},
};

macro_rules! select {
    ($index:literal, $where:literal) => {
        concat!(
            "SELECT m.id, i.seq, i.rev, i.delivered_at, i.seen_at, i.read_at, i.archived_at, \
             m.body FROM inbox_items i ",
            $index,
            " CROSS JOIN messages m ON m.number = i.message \
             WHERE i.inbox = ?1 AND i.archived = ?2 AND i.seq < ?3 \
             AND (?4 IS NULL OR i.kind = ?4) AND (?5 IS NULL OR i.tenant = ?5) ",
            $where,
            " ORDER BY i.seq DESC LIMIT ?6 OFFSET ?7"
        )
    };
}

macro_rules! count {
    ($index:literal, $where:literal) => {
        concat!(
            "SELECT count(*) FROM inbox_items i ",
            $index,
            " WHERE i.inbox = ?1 AND i.archived = ?2 AND i.seq < ?3 \
             AND (?4 IS NULL OR i.kind = ?4) AND (?5 IS NULL OR i.tenant = ?5) ",
            $where
        )
    };
}

pub(crate) const ALL: &str = select!("", "");
pub(crate) const UNREAD: &str = select!("INDEXED BY inbox_items_unread", "AND i.read_at IS NULL");
const COUNT_ALL: &str = count!("", "");
const COUNT_UNREAD: &str = count!("INDEXED BY inbox_items_unread", "AND i.read_at IS NULL");

pub(crate) fn page(conn: &Connection, query: &PageQuery) -> Result<Page> {
    let numbered = query.page.is_some();
    let Some(inbox) = inboxes::number_of(conn, &query.user)? else {
        let total = numbered.then_some(0);
        return Ok(Page { notifications: Vec::new(), has_more: false, total });
    };
    let limit = query.limit.clamp(1, MAX_PAGE);
    let mut notifications = list(conn, query, inbox, limit)?;
    let has_more = notifications.len() > limit;
    notifications.truncate(limit);
    let total = numbered.then(|| count(conn, query, inbox)).transpose()?;
    Ok(Page { notifications, has_more, total })
}

/// One more than the page shows tells whether there is another page.
fn list(
    conn: &Connection,
    query: &PageQuery,
    inbox: i64,
    limit: usize,
) -> Result<Vec<tidings_core::notification::Notification>> {
    let before = query.before.map_or(i64::MAX, from_rev);
    let pages_before = usize::try_from(query.page.unwrap_or(1).max(1) - 1).unwrap_or(usize::MAX);
    let offset = from_limit(pages_before.saturating_mul(limit));
    let mut statement = conn.prepare_cached(if query.unread_only { UNREAD } else { ALL })?;
    let mut found = statement.query((
        inbox,
        query.archived,
        before,
        &query.kind,
        &query.tenant,
        from_limit(limit + 1),
        offset,
    ))?;
    let mut notifications = Vec::with_capacity(limit + 1);
    while let Some(row) = found.next()? {
        notifications.push(rows::notification(&query.user, row)?);
    }
    Ok(notifications)
}

fn count(conn: &Connection, query: &PageQuery, inbox: i64) -> Result<u64> {
    let before = query.before.map_or(i64::MAX, from_rev);
    let sql = if query.unread_only { COUNT_UNREAD } else { COUNT_ALL };
    let values = (inbox, query.archived, before, &query.kind, &query.tenant);
    let total = conn.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
    Ok(to_count(total))
}
