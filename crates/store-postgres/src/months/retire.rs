//! Taking a month out whole.

use tidings_core::{
    ids::{NotificationId, Rev},
    inbox::ChangeKind,
    time::Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Connection, Month, alone, attempt, partitions};
use crate::{
    failure::Result,
    inboxes::{self, Inbox},
    items::{from_rev, to_rev},
    lane::Tx,
    rows::{from_limit, to_count},
    sql,
};

/// Most removed items that a change names.
const MOST_NAMED: i64 = 1_000;
/// Months that end at or before `$1`.
const ENDED: &str = "SELECT to_char(month, 'YYYY_MM')
    FROM unnest($2::text[]) p (name),
        to_date(right(p.name, 7), 'YYYY_MM') month
    WHERE extract(epoch FROM (month + interval '1 month') AT TIME ZONE 'UTC') * 1000 <= $1::bigint::numeric
    ORDER BY month";

/// Detaches the oldest month of which everything was sent before `before`.
pub(super) async fn begin(conn: &Connection, before: Timestamp) -> Result<Option<String>> {
    let there = partitions(conn, "inbox_items").await?;
    let there: Vec<_> = there.into_iter().filter(|name| !name.ends_with("_default")).collect();
    let ended = sql::rows(conn, ENDED, &[&before.as_millis(), &there]).await?;
    for row in &ended {
        let month = Month { name: row.try_get(0)?, from: 0, to: 0 };
        if alone(conn, async || detach(conn, &month, before).await).await? == Some(true) {
            tracing::info!(event = "store_month_retired", month = month.name, "its time has come");
            return Ok(Some(month.name));
        }
    }
    Ok(None)
}

/// Takes the items out of sight and notes what is left to do. `false`: something of the month
/// still counts, and it goes by rows. Nothing is added to a month this old but by a clock that
/// is wrong; what is, is in the default partition then.
async fn detach(conn: &Connection, month: &Month, before: Timestamp) -> Result<bool> {
    let items = month.table("inbox_items");
    if !partitions(conn, "inbox_items").await?.contains(&items)
        || counts(conn, month, before).await?
    {
        return Ok(false);
    }
    conn.batch_execute(&format!("ALTER TABLE inbox_items DETACH PARTITION {items}")).await?;
    // Again: until the table was locked, something may have come.
    if counts(conn, month, before).await? {
        conn.batch_execute("ROLLBACK").await?;
        return Ok(false);
    }
    conn.execute("INSERT INTO retired_months (month) VALUES ($1)", &[&month.name]).await?;
    Ok(true)
}

/// Whether something of the month was sent later (it was written ahead), or is not yet sent.
async fn counts(conn: &Connection, month: &Month, before: Timestamp) -> Result<bool> {
    let messages = month.table("messages");
    let wanted = format!(
        "SELECT EXISTS (SELECT 1 FROM {messages} WHERE sent_at >= $1)
            OR EXISTS (SELECT 1 FROM announcements a JOIN {messages} m ON m.id = a.id
                WHERE a.finished_at IS NULL)"
    );
    // A month may lack its messages if it could not be made: then it goes by rows.
    let there = partitions(conn, "messages").await?;
    if !there.contains(&messages) {
        return Ok(true);
    }
    Ok(conn.query_one(&wanted, &[&before.as_millis()]).await?.try_get(0)?)
}

/// Subtracts the next inboxes' items, about `limit` of them, as a job of a lane. Zero: all is
/// done, the tables may go.
pub(crate) async fn retire(tx: &mut Tx, month: &str, now: Timestamp, limit: usize) -> Result<u64> {
    const TAKE: &str = "SELECT cursor FROM retired_months WHERE month = $1 FOR UPDATE SKIP LOCKED";
    const MOVE: &str = "UPDATE retired_months SET cursor = $2 WHERE month = $1";
    let Some(row) = sql::row(&tx.conn, TAKE, &[&month]).await? else { return Ok(0) };
    let found = next(tx, month, row.try_get(0)?, limit).await?;
    let Some(last) = found.last() else { return Ok(0) };
    let numbers: Vec<_> = found.iter().map(|left| left.inbox).collect();
    sql::execute(&tx.conn, MOVE, &[&month, &last.inbox]).await?;
    let mut inboxes = inboxes::lock_numbered(&tx.conn, &numbers).await?;
    let mut rows = 0;
    for left in &found {
        rows += to_count(left.items);
        if let Some(inbox) = inboxes.get_mut(&left.inbox) {
            subtract(tx, month, inbox, left, now).await?;
        }
    }
    inboxes::save(&tx.conn, &inboxes.values().collect::<Vec<_>>()).await?;
    Ok(rows)
}

/// What an inbox had in the month.
struct Left {
    inbox: i64,
    items: i64,
    unread: u64,
    highest: Rev,
    /// Of the first of them.
    ids: Vec<Uuid>,
}

/// Whole inboxes, until there are `limit` items, at least one.
async fn next(tx: &Tx, month: &str, cursor: i64, limit: usize) -> Result<Vec<Left>> {
    let next = format!(
        "SELECT inbox, count(*), count(*) FILTER (WHERE archived_at IS NULL AND read_at IS NULL),
            max(seq), (array_agg(message_id ORDER BY seq))[1:{MOST_NAMED}]
        FROM inbox_items_{month} WHERE inbox > $1 AND inbox <= (
            SELECT max(inbox) FROM (SELECT inbox FROM inbox_items_{month}
                WHERE inbox > $1 ORDER BY inbox LIMIT $2) w)
        GROUP BY inbox ORDER BY inbox"
    );
    let left = |row: &Row| {
        Ok(Left {
            inbox: row.try_get(0)?,
            items: row.try_get(1)?,
            unread: to_count(row.try_get(2)?),
            highest: to_rev(row.try_get(3)?),
            ids: row.try_get(4)?,
        })
    };
    let rows = tx.conn.query(&next, &[&cursor, &from_limit(limit.max(1))]).await?;
    rows.iter().map(left).collect()
}

/// One rev for all of it, and the floor rises to that. Devices that follow are told by name what
/// is gone if that is little; else by `seq` if nothing else is below; else in several changes.
async fn subtract(
    tx: &mut Tx,
    month: &str,
    inbox: &mut Inbox,
    left: &Left,
    now: Timestamp,
) -> Result<()> {
    inbox.state.unread = inbox.state.unread.saturating_sub(left.unread);
    if left.items <= MOST_NAMED {
        tell(tx, inbox, removed(&left.ids), now);
    } else if is_lowest(tx, inbox, left.highest).await? {
        tell(tx, inbox, ChangeKind::Cleared { up_to: left.highest }, now);
    } else {
        let all = format!("SELECT message_id FROM inbox_items_{month} WHERE inbox = $1");
        let rows = tx.conn.query(&all, &[&inbox.number]).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        for part in ids.chunks(left.ids.len().max(1)) {
            tell(tx, inbox, removed(part), now);
        }
    }
    Ok(())
}

fn removed(ids: &[Uuid]) -> ChangeKind {
    ChangeKind::Removed(ids.iter().map(|id| NotificationId(*id)).collect())
}

fn tell(tx: &mut Tx, inbox: &mut Inbox, kind: ChangeKind, now: Timestamp) {
    inbox.state.floor = inbox.take_rev(now);
    inbox.floor_at = inbox.changed_at;
    tx.emit(inbox.changed(kind));
}

async fn is_lowest(tx: &Tx, inbox: &Inbox, seq: Rev) -> Result<bool> {
    const BELOW: &str = "SELECT EXISTS (SELECT 1 FROM inbox_items
            WHERE inbox = $1 AND seq <= $2 AND archived_at IS NULL)
        OR EXISTS (SELECT 1 FROM inbox_items
            WHERE inbox = $1 AND seq <= $2 AND archived_at IS NOT NULL)";
    let row = sql::row(&tx.conn, BELOW, &[&inbox.number, &from_rev(seq)]).await?;
    Ok(!row.map(|row| row.try_get::<_, bool>(0)).transpose()?.unwrap_or(false))
}

/// Drops the tables of a month of which nothing is left to do, and the announcements that it
/// held the messages of.
pub(crate) async fn finish(conn: &Connection, month: &str) -> Result<()> {
    let messages = format!("messages_{month}");
    let detach = format!("ALTER TABLE messages DETACH PARTITION {messages}");
    let drop = format!(
        "DELETE FROM announcements a USING {messages} m WHERE m.id = a.id;
        DROP TABLE inbox_items_{month}, {messages};
        DELETE FROM retired_months WHERE month = '{month}'"
    );
    attempt(
        alone(conn, async || {
            if partitions(conn, "messages").await?.contains(&messages) {
                conn.batch_execute(&detach).await?;
            }
            Ok(())
        })
        .await,
    )?;
    let left = "SELECT EXISTS (SELECT 1 FROM retired_months WHERE month = $1)";
    alone(conn, async || {
        let detached = !partitions(conn, "messages").await?.contains(&messages);
        if detached && conn.query_one(left, &[&month]).await?.try_get(0)? {
            conn.batch_execute(&drop).await?;
            tracing::info!(event = "store_month_dropped", month, "a month is gone");
        }
        Ok(())
    })
    .await
    .map(std::mem::drop)
}
