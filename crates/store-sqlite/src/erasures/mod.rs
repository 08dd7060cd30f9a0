//! Erasures: the inbox is renamed at once, so that it is nobody's; then everything about the
//! user goes in batches, each one transaction, until a round finds nothing.

pub(crate) mod steps;

use rusqlite::{Connection, OptionalExtension, Row};
use tidings_core::{
    erasure::{Erasure, ErasureId, ErasureProgress, NewErasure, name_of_remains, subject},
    ids::UserId,
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    failure::Result,
    inboxes::Inbox,
    rows::{from_limit, from_rev, to_time, to_user},
    writer::Tx,
};

const FIND: &str = "SELECT requested_at, finished_at FROM erasures WHERE id = ?1";
const FORGET_EARLIER: &str =
    "DELETE FROM erasures WHERE subject = ?1 AND finished_at IS NOT NULL RETURNING last_rev";
const INSERT: &str = "INSERT INTO erasures
    (id, subject, user_id, inbox, last_rev, requested_at, settles_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const RENAME: &str = "UPDATE inboxes SET user_id = ?2 WHERE number = ?1";
const DELETE_USER: &str = "DELETE FROM users WHERE id = ?1";
pub(crate) const DUE: &str =
    "SELECT id FROM erasures WHERE finished_at IS NULL ORDER BY requested_at LIMIT ?1";
const JOB: &str = "SELECT user_id, inbox, requested_at, settles_at FROM erasures
    WHERE id = ?1 AND finished_at IS NULL";
const DELETE_INBOX: &str = "DELETE FROM inboxes WHERE number = ?1";
const FINISH: &str = "UPDATE erasures SET user_id = NULL, inbox = NULL, finished_at = ?2
    WHERE id = ?1";

pub(crate) fn begin(tx: &mut Tx<'_>, new: &NewErasure) -> Result<Erasure> {
    if let Some(known) = find(tx.conn, new.id)? {
        return Ok(known);
    }
    let subject = subject(&new.user);
    let inbox = Inbox::of(tx.conn, &new.user)?;
    let mut last_rev = inbox.as_ref().map_or(0, |inbox| from_rev(inbox.state.rev));
    let mut earlier = tx.conn.prepare_cached(FORGET_EARLIER)?;
    for rev in earlier.query_map([subject.as_slice()], |row| row.get::<_, i64>(0))? {
        last_rev = last_rev.max(rev?);
    }
    if let Some(inbox) = &inbox {
        let name = name_of_remains(new.id);
        tx.conn.prepare_cached(RENAME)?.execute((inbox.number, name))?;
    }
    tx.conn.prepare_cached(DELETE_USER)?.execute([new.user.as_str()])?;
    tx.conn.prepare_cached(INSERT)?.execute((
        new.id.0.as_bytes().as_slice(),
        subject.as_slice(),
        new.user.as_str(),
        inbox.map(|inbox| inbox.number),
        last_rev,
        new.requested_at.as_millis(),
        new.settles_at.as_millis(),
    ))?;
    tx.touched.users.push(new.user.clone());
    Ok(Erasure { id: new.id, requested_at: new.requested_at, finished_at: None })
}

pub(crate) fn find(conn: &Connection, id: ErasureId) -> Result<Option<Erasure>> {
    let mut statement = conn.prepare_cached(FIND)?;
    let found = statement.query_row([id.0.as_bytes()], |row| {
        Ok(Erasure {
            id,
            requested_at: to_time(row.get(0)?),
            finished_at: row.get::<_, Option<i64>>(1)?.map(to_time),
        })
    });
    Ok(found.optional()?)
}

pub(crate) fn due(conn: &Connection, limit: usize) -> Result<Vec<ErasureId>> {
    let mut statement = conn.prepare_cached(DUE)?;
    let id = |row: &Row<'_>| Ok(ErasureId(Uuid::from_bytes(row.get(0)?)));
    let ids = statement.query_map([from_limit(limit)], id)?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// What is left to erase.
pub(crate) struct Job {
    user: UserId,
    /// What was the user's inbox.
    inbox: Option<i64>,
    requested_at: Timestamp,
    settles_at: Timestamp,
}

impl Job {
    fn find(conn: &Connection, id: ErasureId) -> Result<Option<Self>> {
        let mut statement = conn.prepare_cached(JOB)?;
        let found = statement.query_row([id.0.as_bytes()], |row| Ok(Self::from_row(row)));
        found.optional()?.transpose()
    }

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            user: to_user(&row.get::<_, String>(0)?)?,
            inbox: row.get(1)?,
            requested_at: to_time(row.get(2)?),
            settles_at: to_time(row.get(3)?),
        })
    }
}

pub(crate) fn advance(
    tx: &mut Tx<'_>,
    id: ErasureId,
    limit: usize,
    now: Timestamp,
) -> Result<ErasureProgress> {
    let Some(job) = Job::find(tx.conn, id)? else {
        return Ok(ErasureProgress { rows: 0, finished: true });
    };
    let rows = steps::next(tx, &job, limit.max(1))?;
    let finished = rows == 0 && now >= job.settles_at;
    if finished {
        if let Some(inbox) = job.inbox {
            tx.conn.prepare_cached(DELETE_INBOX)?.execute([inbox])?;
        }
        let values = (id.0.as_bytes().as_slice(), now.as_millis());
        tx.conn.prepare_cached(FINISH)?.execute(values)?;
    }
    Ok(ErasureProgress { rows: rows as u64, finished })
}
