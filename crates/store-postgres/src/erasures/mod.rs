//! Erasures: the inbox is renamed at once, so that it is nobody's; then everything about the
//! user goes in batches, each one transaction, until a round finds nothing. Whoever is at one
//! holds its row: another node that comes by goes on to the next.

pub(crate) mod steps;

use tidings_core::{
    erasure::{Erasure, ErasureId, ErasureProgress, NewErasure, name_of_remains, subject},
    ids::UserId,
    time::Timestamp,
};
use tokio_postgres::Row;

use crate::{
    connection::Connection,
    failure::Result,
    inboxes,
    items::{from_rev, to_millis},
    lane::Tx,
    rows::{from_limit, to_time, to_user},
    sql,
};

const FIND: &str = "SELECT id, requested_at, finished_at FROM erasures WHERE id = $1";
const FORGET_EARLIER: &str =
    "DELETE FROM erasures WHERE subject = $1 AND finished_at IS NOT NULL RETURNING last_rev";
const INSERT: &str = "INSERT INTO erasures
    (id, subject, user_id, inbox, last_rev, requested_at, settles_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
/// Who waited for the row does not find it under its old name any more: its transaction is
/// repeated, and makes a new inbox.
const RENAME: &str = "UPDATE inboxes SET user_id = $2 WHERE number = $1";
const DELETE_USER: &str = "DELETE FROM users WHERE id = $1";
pub(crate) const DUE: &str =
    "SELECT id FROM erasures WHERE finished_at IS NULL ORDER BY requested_at LIMIT $1";
const TAKE: &str = "SELECT user_id, inbox, requested_at, settles_at FROM erasures
    WHERE id = $1 AND finished_at IS NULL FOR UPDATE SKIP LOCKED";
const IS_DUE: &str = "SELECT EXISTS (SELECT 1 FROM erasures WHERE id = $1 AND finished_at IS NULL)";
const DELETE_INBOX: &str = "DELETE FROM inboxes WHERE number = $1";
const FINISH: &str = "UPDATE erasures SET user_id = NULL, inbox = NULL, finished_at = $2
    WHERE id = $1";

pub(crate) async fn begin(tx: &Tx, new: &NewErasure) -> Result<Erasure> {
    if let Some(known) = find(&tx.conn, new.id).await? {
        return Ok(known);
    }
    let subject = subject(&new.user);
    let inbox = inboxes::lock(&tx.conn, &new.user).await?;
    let mut last_rev = inbox.as_ref().map_or(0, |inbox| from_rev(inbox.state.rev));
    for row in sql::rows(&tx.conn, FORGET_EARLIER, &[&subject.as_slice()]).await? {
        last_rev = last_rev.max(row.try_get(0)?);
    }
    if let Some(inbox) = &inbox {
        let name = name_of_remains(new.id);
        sql::execute(&tx.conn, RENAME, &[&inbox.number, &name]).await?;
    }
    sql::execute(&tx.conn, DELETE_USER, &[&new.user.as_str()]).await?;
    sql::execute(
        &tx.conn,
        INSERT,
        &[
            &new.id.0,
            &subject.as_slice(),
            &new.user.as_str(),
            &inbox.map(|inbox| inbox.number),
            &last_rev,
            &new.requested_at.as_millis(),
            &new.settles_at.as_millis(),
        ],
    )
    .await?;
    Ok(Erasure { id: new.id, requested_at: new.requested_at, finished_at: None })
}

pub(crate) async fn find(conn: &Connection, id: ErasureId) -> Result<Option<Erasure>> {
    let Some(row) = sql::row(conn, FIND, &[&id.0]).await? else { return Ok(None) };
    let finished: Option<i64> = row.try_get(2)?;
    let requested_at = to_time(row.try_get(1)?);
    Ok(Some(Erasure { id, requested_at, finished_at: finished.map(to_time) }))
}

pub(crate) async fn due(conn: &Connection, limit: usize) -> Result<Vec<ErasureId>> {
    let rows = sql::rows(conn, DUE, &[&from_limit(limit)]).await?;
    rows.iter().map(|row| Ok(ErasureId(row.try_get(0)?))).collect()
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
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            user: to_user(row.try_get(0)?)?,
            inbox: row.try_get(1)?,
            requested_at: to_time(row.try_get(2)?),
            settles_at: to_time(row.try_get(3)?),
        })
    }
}

pub(crate) async fn advance(
    tx: &Tx,
    id: ErasureId,
    limit: usize,
    now: Timestamp,
) -> Result<ErasureProgress> {
    let Some(row) = sql::row(&tx.conn, TAKE, &[&id.0]).await? else {
        // Done, unknown, or in the hands of another node.
        let due = sql::row(&tx.conn, IS_DUE, &[&id.0]).await?;
        let due: Option<bool> = due.map(|row| row.try_get(0)).transpose()?;
        return Ok(ErasureProgress { rows: 0, finished: !due.unwrap_or(false) });
    };
    let job = Job::from_row(&row)?;
    let rows = steps::next(tx, &job, limit.max(1)).await?;
    let finished = rows == 0 && now >= job.settles_at;
    if finished {
        if let Some(inbox) = job.inbox {
            sql::execute(&tx.conn, DELETE_INBOX, &[&inbox]).await?;
        }
        sql::execute(&tx.conn, FINISH, &[&id.0, &to_millis(Some(now))]).await?;
    }
    Ok(ErasureProgress { rows, finished })
}
