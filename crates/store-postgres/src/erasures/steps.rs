//! What goes, step by step, one of them in each transaction. Each does up to `limit` rows and
//! says how many. Locks go in the order that [`lane`](crate::lane) tells: messages before what
//! hangs on them; no inbox is locked, for nobody else finds the one that is taken apart.

use std::time::Duration;

use tidings_core::{
    announcement::AnnouncementState,
    audit::{AuditEntry, AuditId},
    connection::ConnectionId,
    ids::{NotificationId, RoomId, UserId},
};
use uuid::Uuid;

use super::Job;
use crate::{
    announcements, audit,
    failure::{Failure, Result},
    items,
    lane::Tx,
    rows::from_limit,
    sql,
};

/// Waiting announcements that were accepted before; a later one is for whoever comes back.
pub(crate) const LISTED: &str = "SELECT a.id FROM announcement_recipients r
    JOIN announcements a ON a.number = r.announcement
    WHERE r.user_id = $1 AND a.created_at <= $2 LIMIT $3";
const UNLIST: &str = "DELETE FROM announcement_recipients r USING announcements a
    WHERE a.id = ANY($2::uuid[]) AND r.announcement = a.number AND r.user_id = $1";
/// Of these announcements, those that wait for nobody any more and never reached anybody.
const FOR_NOBODY: &str = "SELECT a.id FROM announcements a
    WHERE a.id = ANY($1::uuid[]) AND a.finished_at IS NULL AND NOT a.to_all
        AND NOT EXISTS (SELECT 1 FROM announcement_recipients r WHERE r.announcement = a.number)
        AND NOT EXISTS (SELECT 1 FROM inbox_items i WHERE i.message_id = a.id)";

pub(crate) const ITEMS: &str = "SELECT message_id FROM inbox_items WHERE inbox = $1 LIMIT $2";
const DELETE_ITEMS: &str = "DELETE FROM inbox_items i USING unnest($1::uuid[]) w (id)
    WHERE i.message_id = w.id AND i.inbox = $2";
pub(crate) const TOMBSTONES: &str =
    "SELECT rev, message_id FROM tombstones WHERE inbox = $1 LIMIT $2";
const DELETE_TOMBSTONES: &str = "DELETE FROM tombstones t
    USING unnest($2::bigint[], $3::uuid[]) w (rev, id)
    WHERE t.inbox = $1 AND t.rev = w.rev AND t.message_id = w.id";
/// Before their items: whoever sweeps them takes them in this order too.
const LOCK_MESSAGES: &str =
    "SELECT 1 FROM messages WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE";
/// Nobody holds them, and nobody is going to.
const DELETE_ORPHANS: &str = "DELETE FROM messages m WHERE m.id = ANY($1::uuid[])
    AND NOT EXISTS (SELECT 1 FROM inbox_items i WHERE i.message_id = m.id)
    AND NOT EXISTS (SELECT 1 FROM announcements a WHERE a.id = m.id AND a.finished_at IS NULL)";
const DEVICES: &str = "DELETE FROM devices WHERE inbox = $1 AND id = ANY (ARRAY(
    SELECT id FROM devices WHERE inbox = $1 LIMIT $2))";
const DEDUPE: &str = "DELETE FROM dedupe WHERE inbox = $1 AND key = ANY (ARRAY(
    SELECT key FROM dedupe WHERE inbox = $1 LIMIT $2))";

pub(crate) const ACTED: &str = "SELECT id, body FROM messages
    WHERE actor_id = $1 AND id < $2 ORDER BY id LIMIT $3 FOR NO KEY UPDATE";
const REWRITE: &str = "UPDATE messages m SET body = w.body, actor_id = NULL
    FROM unnest($1::uuid[], $2::text[]) w (id, body) WHERE m.id = w.id";
pub(crate) const MEMBERSHIPS: &str = "DELETE FROM memberships WHERE user_id = $1
    AND room_id = ANY (ARRAY(SELECT room_id FROM memberships WHERE user_id = $1 LIMIT $2))";
pub(crate) const CONNECTIONS: &str = "DELETE FROM websocket_connections WHERE id = ANY (ARRAY(
    SELECT id FROM websocket_connections WHERE user_id = $1 AND id < $2 ORDER BY id LIMIT $3
    FOR UPDATE))";

/// What an application published and nobody could carry out, if it names the user (`$1` is the
/// id as JSON). There are few of these, and no index leads to them.
const DEAD: &str = "DELETE FROM outbox_dead WHERE number = ANY (ARRAY(
    SELECT number FROM outbox_dead WHERE position($1 IN body) > 0 AND created_at <= $2 LIMIT $3))";

macro_rules! audit_entries {
    ($condition:literal) => {
        concat!(
            "SELECT id, at, count, last_at, event, actor_kind, actor_id, ip, user_id, room_id, \
             target, detail FROM audit_log WHERE ",
            $condition,
            " AND id < $2 ORDER BY id LIMIT $3 FOR UPDATE"
        )
    };
}
pub(crate) const AUDIT_ABOUT: &str = audit_entries!("user_id = $1");
pub(crate) const AUDIT_BY: &str = audit_entries!("actor_kind = 'user' AND actor_id = $1");
const AUDIT_FORGET: &str = "UPDATE audit_log a SET actor_kind = w.actor_kind,
        actor_id = w.actor_id, ip = w.ip, user_id = w.user_id, room_id = w.room_id,
        target = w.target, detail = w.detail
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[]) w (id, actor_kind, actor_id, ip, user_id, room_id, target, detail)
    WHERE a.id = w.id";

/// The first step that finds something.
pub(super) async fn next(tx: &Tx, job: &Job, limit: usize) -> Result<u64> {
    let most = from_limit(limit);
    let mut rows = unlist(tx, job, most).await?;
    if let (0, Some(inbox)) = (rows, job.inbox) {
        rows = of_inbox(tx, inbox, most).await?;
    }
    if rows == 0 {
        rows = acted(tx, job, most).await?;
    }
    if rows == 0 {
        rows = sql::execute(&tx.conn, MEMBERSHIPS, &[&job.user.as_str(), &most]).await?;
    }
    if rows == 0 {
        let end = ConnectionId::first_of(job.requested_at.plus(Duration::from_millis(1)));
        let values: sql::Values<'_> = &[&job.user.as_str(), &end.0, &most];
        rows = sql::execute(&tx.conn, CONNECTIONS, values).await?;
    }
    if rows == 0 {
        let (named, before) = (format!("\"{}\"", job.user), job.requested_at.as_millis());
        rows = sql::execute(&tx.conn, DEAD, &[&named, &before, &most]).await?;
    }
    for query in [AUDIT_ABOUT, AUDIT_BY] {
        if rows == 0 {
            rows = audit_entries(tx, job, query, most).await?;
        }
    }
    Ok(rows)
}

async fn ids(tx: &Tx, query: &str, values: sql::Values<'_>) -> Result<Vec<Uuid>> {
    let rows = sql::rows(&tx.conn, query, values).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Takes the user off the lists of waiting announcements, and those away that were for nobody
/// else.
async fn unlist(tx: &Tx, job: &Job, most: i64) -> Result<u64> {
    let before = job.requested_at.as_millis();
    let found = ids(tx, LISTED, &[&job.user.as_str(), &before, &most]).await?;
    if found.is_empty() {
        return Ok(0);
    }
    announcements::lock(&tx.conn, &found).await?;
    sql::execute(&tx.conn, UNLIST, &[&job.user.as_str(), &found]).await?;
    let for_nobody = ids(tx, FOR_NOBODY, &[&found]).await?;
    let (state, at) = (AnnouncementState::Cancelled, job.requested_at);
    announcements::stop(&tx.conn, &for_nobody, state, at).await?;
    sql::execute(&tx.conn, DELETE_ORPHANS, &[&for_nobody]).await?;
    Ok(found.len() as u64)
}

/// What hangs on the inbox.
async fn of_inbox(tx: &Tx, inbox: i64, most: i64) -> Result<u64> {
    let found = ids(tx, ITEMS, &[&inbox, &most]).await?;
    if !found.is_empty() {
        sql::rows(&tx.conn, LOCK_MESSAGES, &[&found]).await?;
        sql::execute(&tx.conn, DELETE_ITEMS, &[&found, &inbox]).await?;
        sql::execute(&tx.conn, DELETE_ORPHANS, &[&found]).await?;
        return Ok(found.len() as u64);
    }
    let rows = tombstones(tx, inbox, most).await?;
    if rows > 0 {
        return Ok(rows);
    }
    let rows = sql::execute(&tx.conn, DEVICES, &[&inbox, &most]).await?;
    if rows > 0 {
        return Ok(rows);
    }
    sql::execute(&tx.conn, DEDUPE, &[&inbox, &most]).await
}

/// What the user deleted is told by its tombstones: it may be that nobody else had it.
async fn tombstones(tx: &Tx, inbox: i64, most: i64) -> Result<u64> {
    let rows = sql::rows(&tx.conn, TOMBSTONES, &[&inbox, &most]).await?;
    let mut revs: Vec<i64> = Vec::with_capacity(rows.len());
    let mut found: Vec<Uuid> = Vec::with_capacity(rows.len());
    for row in &rows {
        revs.push(row.try_get(0)?);
        found.push(row.try_get(1)?);
    }
    if !found.is_empty() {
        sql::rows(&tx.conn, LOCK_MESSAGES, &[&found]).await?;
        sql::execute(&tx.conn, DELETE_TOMBSTONES, &[&inbox, &revs, &found]).await?;
        sql::execute(&tx.conn, DELETE_ORPHANS, &[&found]).await?;
    }
    Ok(found.len() as u64)
}

/// In other people's notifications the user is nobody.
async fn acted(tx: &Tx, job: &Job, most: i64) -> Result<u64> {
    let end = NotificationId::new_v7(job.requested_at.plus(Duration::from_millis(1)), [0; 10]);
    let rows = sql::rows(&tx.conn, ACTED, &[&job.user.as_str(), &end.0, &most]).await?;
    let mut found: Vec<Uuid> = Vec::with_capacity(rows.len());
    let mut bodies: Vec<String> = Vec::with_capacity(rows.len());
    for row in &rows {
        let body: String = row.try_get(1)?;
        let without = items::body(&body)?.without_actor(&job.user);
        let without = without.map(|message| serde_json::to_string(&message)).transpose();
        found.push(row.try_get(0)?);
        bodies.push(without.map_err(Failure::corrupt)?.unwrap_or(body));
    }
    sql::execute_if(!found.is_empty(), &tx.conn, REWRITE, &[&found, &bodies]).await?;
    Ok(found.len() as u64)
}

/// What happened stays on record; who it was does not.
async fn audit_entries(tx: &Tx, job: &Job, query: &str, most: i64) -> Result<u64> {
    let end = AuditId::first_of(job.settles_at);
    let rows = sql::rows(&tx.conn, query, &[&job.user.as_str(), &end.0, &most]).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let mut entries = rows.iter().map(audit::from_row).collect::<Result<Vec<_>>>()?;
    entries.iter_mut().for_each(|entry| entry.forget(&job.user));
    let details = entries.iter().map(|entry| serde_json::to_string(&entry.detail));
    let details = details.collect::<Result<Vec<_>, _>>().map_err(Failure::corrupt)?;
    let values: sql::Values<'_> = &[
        &column(&entries, |entry| entry.id.0),
        &column(&entries, |entry| entry.actor.kind()),
        &column(&entries, |entry| entry.actor.id()),
        &column(&entries, |entry| entry.ip.map(|ip| ip.to_string())),
        &column(&entries, |entry| entry.user.as_ref().map(UserId::as_str)),
        &column(&entries, |entry| entry.room.as_ref().map(RoomId::as_str)),
        &column(&entries, |entry| entry.target.as_deref()),
        &details,
    ];
    sql::execute(&tx.conn, AUDIT_FORGET, values).await?;
    Ok(entries.len() as u64)
}

fn column<'e, T>(entries: &'e [AuditEntry], value: impl Fn(&'e AuditEntry) -> T) -> Vec<T> {
    entries.iter().map(value).collect()
}
