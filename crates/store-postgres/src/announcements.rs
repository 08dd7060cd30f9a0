//! Announcements: messages that reach their recipients in batches, each one transaction in
//! which inboxes and cursor move together. Whoever serves one holds its row: another node that
//! comes by goes on to the next.

use std::sync::Arc;

use tidings_core::{
    announcement::{Announcement, AnnouncementState, Progress},
    idempotency::KEPT,
    ids::{NotificationId, UserId},
    inbox::{ChangeKind, InboxChange},
    notification::{Item, Message, Recipients},
    time::Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    audience,
    connection::Connection,
    failure::{Failure, Result},
    inboxes,
    items::{self, to_millis, to_rev},
    lane::Tx,
    rows::{from_count, from_limit, to_count, to_time, to_user},
    sql::{self, together},
};

const INSERT: &str = "INSERT INTO announcements
    (id, state, to_all, last, total, dedupe_key, created_at, run_at)
    VALUES ($1, $2, false, 0, 0, $3, $4, $5) RETURNING number";
const SET_AUDIENCE: &str = "UPDATE announcements SET to_all = $2, last = $3, total = $4
    WHERE number = $1";
const FIND: &str = "SELECT state, total, processed, created_at, run_at, finished_at
    FROM announcements WHERE id = $1";
/// `finished_at IS NULL` names the index of those that have work to do.
pub(crate) const DUE: &str = "SELECT id FROM announcements
    WHERE finished_at IS NULL AND run_at <= $1 ORDER BY run_at, number LIMIT $2";
/// Whether as many as `$2` + 1 are due.
pub(crate) const MANY_DUE: &str = "SELECT EXISTS (SELECT 1 FROM announcements
    WHERE finished_at IS NULL AND run_at <= $1 OFFSET $2 LIMIT 1)";
pub(crate) const TAKE: &str =
    "SELECT a.number, a.to_all, a.cursor, a.last, a.processed, a.dedupe_key, a.run_at, m.body
    FROM announcements a JOIN messages m ON m.id = a.id
    WHERE a.id = $1 AND a.finished_at IS NULL FOR NO KEY UPDATE OF a SKIP LOCKED";
const IS_DUE: &str =
    "SELECT EXISTS (SELECT 1 FROM announcements WHERE id = $1 AND finished_at IS NULL)";
const PROGRESS: &str = "UPDATE announcements
    SET state = $2, cursor = $3, processed = $4, finished_at = $5 WHERE number = $1";
/// In their order; see the lock order in [`lane`](crate::lane).
const LOCK: &str = "SELECT number FROM announcements
    WHERE id = ANY($1::uuid[]) AND finished_at IS NULL ORDER BY number FOR NO KEY UPDATE";
const STOP: &str = "UPDATE announcements SET state = $2, finished_at = $3
    WHERE id = ANY($1::uuid[]) AND finished_at IS NULL";
const DELETE_RECIPIENTS: &str = "DELETE FROM announcement_recipients r USING announcements a
    WHERE a.id = ANY($1::uuid[]) AND r.announcement = a.number";
const DELETE: &str = "DELETE FROM announcements WHERE id = ANY($1::uuid[])";

/// The counters of a batch move and its items come from where they moved to. Whoever has the
/// dedupe key stays as it is.
pub(crate) const SERVE: &str = "WITH moved AS (
        UPDATE inboxes b SET last_rev = b.last_rev + 1, unread = b.unread + 1,
            changed_at = greatest(b.changed_at, $2)
        WHERE b.user_id = ANY($1::text[]) AND NOT EXISTS (
            SELECT 1 FROM dedupe d WHERE d.inbox = b.number AND d.key = $6 AND d.created_at > $7)
        RETURNING b.number, b.user_id, b.last_rev, b.unread, b.changed_at
    ), keyed AS (
        INSERT INTO dedupe (inbox, key, message_id, created_at)
        SELECT number, $6, $3, $2 FROM moved WHERE $6 IS NOT NULL
        ON CONFLICT (inbox, key) DO UPDATE SET message_id = excluded.message_id,
            created_at = excluded.created_at
    ), added AS (
        INSERT INTO inbox_items (message_id, inbox, seq, rev, changed_at, kind, tenant)
        SELECT $3::uuid, number, last_rev, last_rev, changed_at, $4, $5 FROM moved
    )
    SELECT user_id, last_rev, unread FROM moved";

/// Stores a job for later; its message is stored by the caller. Returns how many will get it.
pub(crate) async fn accept(
    tx: &Tx,
    id: NotificationId,
    dedupe_key: Option<&str>,
    recipients: &Recipients,
    now: Timestamp,
    run_at: Timestamp,
) -> Result<u64> {
    let state =
        if run_at > now { AnnouncementState::Scheduled } else { AnnouncementState::Running };
    let (created, run) = (now.as_millis(), run_at.as_millis());
    // Of one with this id that expired nothing is left but its job.
    delete(&tx.conn, &[id.0]).await?;
    let values: sql::Values<'_> = &[&id.0, &state.as_str(), &dedupe_key, &created, &run];
    let row = sql::row(&tx.conn, INSERT, values).await?;
    let number: i64 = row.ok_or_else(|| Failure::corrupt("no number"))?.try_get(0)?;
    let audience = audience::fix(&tx.conn, number, recipients).await?;
    let total = from_count(audience.total);
    sql::execute(&tx.conn, SET_AUDIENCE, &[&number, &audience.to_all, &audience.last, &total])
        .await?;
    Ok(audience.total)
}

/// Whether `more` can be due beside those that are; those for later do not count.
pub(crate) async fn find_room(tx: &Tx, more: usize, most: usize, now: Timestamp) -> Result<bool> {
    if more > most {
        return Ok(false);
    }
    let values: sql::Values<'_> = &[&now.as_millis(), &from_limit(most - more)];
    let row = sql::row(&tx.conn, MANY_DUE, values).await?;
    let full = row.map(|row| row.try_get::<_, bool>(0)).transpose()?;
    Ok(!full.unwrap_or(false))
}

pub(crate) async fn find(conn: &Connection, id: NotificationId) -> Result<Option<Announcement>> {
    let Some(row) = sql::row(conn, FIND, &[&id.0]).await? else { return Ok(None) };
    Ok(Some(Announcement {
        id,
        state: row.try_get::<_, &str>(0)?.parse().map_err(Failure::Corrupt)?,
        total: to_count(row.try_get(1)?),
        processed: to_count(row.try_get(2)?),
        created_at: to_time(row.try_get(3)?),
        run_at: to_time(row.try_get(4)?),
        finished_at: row.try_get::<_, Option<i64>>(5)?.map(to_time),
    }))
}

pub(crate) async fn due(
    conn: &Connection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<NotificationId>> {
    let rows = sql::rows(conn, DUE, &[&now.as_millis(), &from_limit(limit)]).await?;
    rows.iter().map(|row| Ok(NotificationId(row.try_get(0)?))).collect()
}

/// An announcement that is not finished and that this transaction holds, with its message.
struct Held {
    number: i64,
    to_all: bool,
    cursor: i64,
    last: i64,
    processed: u64,
    dedupe_key: Option<String>,
    run_at: Timestamp,
    message: Arc<Message>,
}

impl Held {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            number: row.try_get(0)?,
            to_all: row.try_get(1)?,
            cursor: row.try_get(2)?,
            last: row.try_get(3)?,
            processed: to_count(row.try_get(4)?),
            dedupe_key: row.try_get(5)?,
            run_at: to_time(row.try_get(6)?),
            message: Arc::new(items::body(row.try_get(7)?)?),
        })
    }

    async fn save(&self, conn: &Connection, finished: Option<Timestamp>) -> Result<u64> {
        let state =
            if finished.is_some() { AnnouncementState::Done } else { AnnouncementState::Running };
        let (processed, finished) = (from_count(self.processed), to_millis(finished));
        let values: sql::Values<'_> =
            &[&self.number, &state.as_str(), &self.cursor, &processed, &finished];
        sql::execute(conn, PROGRESS, values).await
    }

    async fn forget_served(&self, conn: &Connection) -> Result<u64> {
        let values: sql::Values<'_> = &[&self.number, &self.cursor];
        sql::execute_if(!self.to_all, conn, audience::FORGET_SERVED, values).await
    }
}

/// Serves the next batch. A crash before the commit leaves it to be served again, one after it
/// finds the cursor moved: nobody is left out or served twice.
pub(crate) async fn advance(
    tx: &mut Tx,
    id: NotificationId,
    batch: usize,
    now: Timestamp,
) -> Result<Progress> {
    let Some(row) = sql::row(&tx.conn, TAKE, &[&id.0]).await? else {
        // Finished, unknown, or in the hands of another node.
        let row = sql::row(&tx.conn, IS_DUE, &[&id.0]).await?;
        let due: Option<bool> = row.map(|row| row.try_get(0)).transpose()?;
        return Ok(Progress { added: 0, finished: !due.unwrap_or(false) });
    };
    let mut held = Held::from_row(&row)?;
    if held.run_at > now {
        return Ok(Progress { added: 0, finished: false });
    }
    if held.message.expires_at.is_some_and(|at| at <= now) {
        held.save(&tx.conn, Some(now)).await?;
        return Ok(Progress { added: 0, finished: true });
    }
    let batch = batch.max(1);
    let range = (held.cursor, held.last);
    let next = audience::next(&tx.conn, held.number, held.to_all, range, batch.saturating_add(1));
    let mut recipients = next.await?;
    let finished = recipients.len() <= batch;
    recipients.truncate(batch);
    if let Some((position, _)) = recipients.last() {
        held.cursor = *position;
    }
    held.processed += recipients.len() as u64;
    let added = serve(tx, &held, &recipients, finished, now).await?;
    Ok(Progress { added, finished })
}

/// Moves inboxes and cursor in one round trip.
async fn serve(
    tx: &mut Tx,
    held: &Held,
    recipients: &[(i64, UserId)],
    finished: bool,
    now: Timestamp,
) -> Result<u64> {
    let mut users: Vec<_> = recipients.iter().map(|(_, user)| user.as_str()).collect();
    users.sort_unstable();
    let some = !users.is_empty();
    let conn = &tx.conn;
    sql::prepare(conn, TOGETHER).await?;
    let message = &held.message;
    let oldest = now.minus(KEPT).as_millis();
    let (made, locked, served, forgotten, saved) = together!(
        sql::execute_if(some, conn, inboxes::MAKE, &[&users]),
        sql::rows_if(some, conn, inboxes::LOCK, &[&users]),
        sql::rows_if(
            some,
            conn,
            SERVE,
            &[
                &users,
                &now.as_millis(),
                &message.id.0,
                &message.kind,
                &message.tenant,
                &held.dedupe_key,
                &oldest,
            ],
        ),
        held.forget_served(conn),
        held.save(conn, finished.then_some(now)),
    );
    made?;
    locked?;
    let served = served?;
    forgotten?;
    saved?;
    for row in &served {
        let rev = to_rev(row.try_get(1)?);
        tx.emit(Arc::new(InboxChange {
            user: to_user(row.try_get(0)?)?,
            rev,
            unread: to_count(row.try_get(2)?),
            at: now,
            kind: ChangeKind::Added { message: message.clone(), item: Item::new(message.id, rev) },
        }));
    }
    Ok(served.len() as u64)
}

const TOGETHER: &[&str] = &[inboxes::MAKE, inboxes::LOCK, SERVE, audience::FORGET_SERVED, PROGRESS];

/// Locks those of these announcements that are not finished: nothing more of them is served
/// until this transaction ends.
pub(crate) async fn lock(conn: &Connection, ids: &[Uuid]) -> Result<()> {
    sql::rows(conn, LOCK, &[&ids]).await.map(drop)
}

/// Stops what is still to be announced.
pub(crate) async fn stop(
    conn: &Connection,
    ids: &[Uuid],
    state: AnnouncementState,
    now: Timestamp,
) -> Result<()> {
    sql::execute(conn, STOP, &[&ids, &state.as_str(), &now.as_millis()]).await.map(drop)
}

/// Forgets announcements, done or not.
pub(crate) async fn delete(conn: &Connection, ids: &[Uuid]) -> Result<()> {
    sql::execute(conn, DELETE_RECIPIENTS, &[&ids]).await?;
    sql::execute(conn, DELETE, &[&ids]).await.map(drop)
}
