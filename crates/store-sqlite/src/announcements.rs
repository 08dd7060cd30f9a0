//! Announcements: messages that reach their recipients in batches, each one transaction in
//! which inboxes and cursor move together.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};
use tidings_core::{
    announcement::{Announcement, AnnouncementState, MAX_DUE, Progress},
    ids::{NotificationId, UserId},
    notification::NewMessage,
    ports::{Accepted, StoreError},
    time::Timestamp,
};

use crate::{
    audience, dedupe,
    failure::{Failure, Result},
    messages::{self, Stored},
    rows::{self, from_count, from_id, from_limit, to_count, to_id, to_time},
    writer::Tx,
};

const INSERT: &str = "INSERT INTO announcements
    (id, state, to_all, last, total, dedupe_key, created_at, run_at)
    VALUES (?1, ?2, 0, 0, 0, ?3, ?4, ?5)";
const SET_AUDIENCE: &str = "UPDATE announcements SET to_all = ?2, last = ?3, total = ?4
    WHERE number = ?1";
const FIND: &str = "SELECT state, total, processed, created_at, run_at, finished_at
    FROM announcements WHERE id = ?1";
/// `finished_at IS NULL` names the index of those that have work to do.
pub(crate) const DUE: &str = "SELECT id FROM announcements
    WHERE finished_at IS NULL AND run_at <= ?1 ORDER BY run_at, number LIMIT ?2";
/// Whether as many as `?2` + 1 are due.
pub(crate) const MANY_DUE: &str = "SELECT EXISTS (SELECT 1 FROM announcements
    WHERE finished_at IS NULL AND run_at <= ?1 LIMIT 1 OFFSET ?2)";
pub(crate) const JOB: &str =
    "SELECT a.number, a.to_all, a.cursor, a.last, a.processed, a.dedupe_key,
        a.run_at, m.number, m.body
    FROM announcements a CROSS JOIN messages m ON m.id = a.id
    WHERE a.id = ?1 AND a.finished_at IS NULL";
const PROGRESS: &str = "UPDATE announcements
    SET state = ?2, cursor = ?3, processed = ?4, finished_at = ?5 WHERE number = ?1";
const STOP: &str = "UPDATE announcements SET state = ?2, finished_at = ?3
    WHERE id = ?1 AND finished_at IS NULL";
const DELETE_RECIPIENTS: &str = "DELETE FROM announcement_recipients
    WHERE announcement = (SELECT number FROM announcements WHERE id = ?1)";
const DELETE: &str = "DELETE FROM announcements WHERE id = ?1";

/// Stores a message as a job for later. Its dedupe key is looked at when it reaches each
/// recipient.
pub(crate) fn accept(tx: &mut Tx<'_>, new: NewMessage, now: Timestamp) -> Result<Accepted> {
    let NewMessage { message, recipients, dedupe_key, send_at, keep_for } = new;
    let id = message.id;
    let run_at = send_at.map_or(now, |at| at.max(now));
    let state =
        if run_at > now { AnnouncementState::Scheduled } else { AnnouncementState::Running };
    if run_at <= now && is_full(tx.conn, now)? {
        return Err(StoreError::Busy.into());
    }
    // Of one with this id that expired nothing is left but its job.
    delete(tx, id)?;
    tx.conn.prepare_cached(INSERT)?.execute((
        from_id(&id),
        state.as_str(),
        dedupe_key,
        now.as_millis(),
        run_at.as_millis(),
    ))?;
    let number = tx.conn.last_insert_rowid();
    let audience = audience::fix(tx, number, recipients)?;
    let total = audience.total;
    let values = (number, audience.to_all, audience.last, from_count(total));
    tx.conn.prepare_cached(SET_AUDIENCE)?.execute(values)?;
    messages::insert(tx, message, run_at, keep_for, total)?;
    Ok(Accepted { id, recipients: total, duplicate: false, announced: true })
}

/// Whether as many are due as may wait; those for later do not count.
fn is_full(conn: &Connection, now: Timestamp) -> Result<bool> {
    let values = (now.as_millis(), from_limit(MAX_DUE - 1));
    Ok(conn.prepare_cached(MANY_DUE)?.query_row(values, |row| row.get(0))?)
}

pub(crate) fn find(conn: &Connection, id: NotificationId) -> Result<Option<Announcement>> {
    let mut statement = conn.prepare_cached(FIND)?;
    let found = statement.query_row([from_id(&id)], |row| Ok(from_row(id, row))).optional()?;
    found.transpose()
}

fn from_row(id: NotificationId, row: &Row<'_>) -> Result<Announcement> {
    let state: String = row.get(0)?;
    Ok(Announcement {
        id,
        state: state.parse().map_err(Failure::Corrupt)?,
        total: to_count(row.get(1)?),
        processed: to_count(row.get(2)?),
        created_at: to_time(row.get(3)?),
        run_at: to_time(row.get(4)?),
        finished_at: row.get::<_, Option<i64>>(5)?.map(to_time),
    })
}

pub(crate) fn due(conn: &Connection, now: Timestamp, limit: usize) -> Result<Vec<NotificationId>> {
    let mut statement = conn.prepare_cached(DUE)?;
    let ids =
        statement.query_map((now.as_millis(), from_limit(limit)), |row| Ok(to_id(row.get(0)?)))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// An announcement that is not finished, with its message.
struct Job {
    number: i64,
    to_all: bool,
    cursor: i64,
    last: i64,
    processed: u64,
    dedupe_key: Option<String>,
    run_at: Timestamp,
    stored: Stored,
}

impl Job {
    fn find(conn: &Connection, id: NotificationId) -> Result<Option<Self>> {
        let mut statement = conn.prepare_cached(JOB)?;
        let found = statement.query_row([from_id(&id)], |row| Ok(Self::from_row(row)));
        found.optional()?.transpose()
    }

    fn from_row(row: &Row<'_>) -> Result<Self> {
        let body = row.get_ref(8)?.as_str().map_err(rusqlite::Error::from)?;
        let message = Arc::new(rows::body(body)?);
        Ok(Self {
            number: row.get(0)?,
            to_all: row.get(1)?,
            cursor: row.get(2)?,
            last: row.get(3)?,
            processed: to_count(row.get(4)?),
            dedupe_key: row.get(5)?,
            run_at: to_time(row.get(6)?),
            stored: Stored { number: row.get(7)?, message },
        })
    }

    fn save(&self, tx: &Tx<'_>, finished: Option<Timestamp>) -> Result<()> {
        let state =
            if finished.is_some() { AnnouncementState::Done } else { AnnouncementState::Running };
        tx.conn.prepare_cached(PROGRESS)?.execute((
            self.number,
            state.as_str(),
            self.cursor,
            from_count(self.processed),
            finished.map(Timestamp::as_millis),
        ))?;
        Ok(())
    }
}

/// Serves the next batch. A crash before the commit leaves it to be served again, one after it
/// finds the cursor moved: nobody is left out or served twice.
pub(crate) fn advance(
    tx: &mut Tx<'_>,
    id: NotificationId,
    batch: usize,
    now: Timestamp,
) -> Result<Progress> {
    let Some(mut job) = Job::find(tx.conn, id)? else {
        return Ok(Progress { added: 0, finished: true });
    };
    if job.run_at > now {
        return Ok(Progress { added: 0, finished: false });
    }
    if job.stored.message.expires_at.is_some_and(|at| at <= now) {
        job.save(tx, Some(now))?;
        return Ok(Progress { added: 0, finished: true });
    }
    let batch = batch.max(1);
    let range = (job.cursor, job.last);
    let mut recipients = audience::next(tx.conn, job.number, job.to_all, range, batch + 1)?;
    let finished = recipients.len() <= batch;
    recipients.truncate(batch);
    let mut added = 0;
    for (position, user) in &recipients {
        job.cursor = *position;
        added += u64::from(serve(tx, &job, user, now)?);
    }
    job.processed += recipients.len() as u64;
    if !job.to_all {
        audience::forget_served(tx, job.number, job.cursor)?;
    }
    job.save(tx, finished.then_some(now))?;
    Ok(Progress { added, finished })
}

/// `false`: the user already has a notification with this dedupe key.
fn serve(tx: &mut Tx<'_>, job: &Job, user: &UserId, now: Timestamp) -> Result<bool> {
    let Some(key) = &job.dedupe_key else {
        messages::add_item(tx, &job.stored, user, now)?;
        return Ok(true);
    };
    if dedupe::find(tx.conn, user, key, now)?.is_some() {
        return Ok(false);
    }
    let inbox = messages::add_item(tx, &job.stored, user, now)?;
    dedupe::save(tx, inbox, key, job.stored.message.id, now)?;
    Ok(true)
}

/// Stops what is still to be announced.
pub(crate) fn stop(
    tx: &Tx<'_>,
    id: NotificationId,
    state: AnnouncementState,
    now: Timestamp,
) -> Result<()> {
    let values = (from_id(&id), state.as_str(), now.as_millis());
    tx.conn.prepare_cached(STOP)?.execute(values)?;
    Ok(())
}

/// Forgets an announcement, done or not.
pub(crate) fn delete(tx: &Tx<'_>, id: NotificationId) -> Result<()> {
    tx.conn.prepare_cached(DELETE_RECIPIENTS)?.execute([from_id(&id)])?;
    tx.conn.prepare_cached(DELETE)?.execute([from_id(&id)])?;
    Ok(())
}
