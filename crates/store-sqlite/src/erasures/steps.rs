//! What goes, step by step. Each does up to `limit` rows and says how many.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use tidings_core::{
    announcement::AnnouncementState,
    audit::{AuditEntry, AuditId},
    connection::ConnectionId,
    ids::NotificationId,
};

use super::Job;
use crate::{
    announcements, audit,
    failure::{Failure, Result},
    messages,
    rows::{self, from_id, from_limit, to_id},
    writer::Tx,
};

/// Waiting announcements that were accepted before; a later one is for whoever comes back.
pub(crate) const LISTED: &str = "SELECT r.announcement, r.position, a.id
    FROM announcement_recipients r CROSS JOIN announcements a ON a.number = r.announcement
    WHERE r.user_id = ?1 AND a.created_at <= ?2 LIMIT ?3";
const UNLIST: &str = "DELETE FROM announcement_recipients
    WHERE announcement = ?1 AND position = ?2";
const ANY_LISTED: &str =
    "SELECT EXISTS (SELECT 1 FROM announcement_recipients WHERE announcement = ?1)";
const IS_LIST: &str =
    "SELECT EXISTS (SELECT 1 FROM announcements WHERE number = ?1 AND to_all = 0)";

pub(crate) const ITEMS: &str =
    "SELECT archived, seq, message FROM inbox_items WHERE inbox = ?1 LIMIT ?2";
const DELETE_ITEM: &str = "DELETE FROM inbox_items WHERE inbox = ?1 AND archived = ?2 AND seq = ?3";
pub(crate) const TOMBSTONES: &str =
    "SELECT rev, message_id FROM tombstones WHERE inbox = ?1 LIMIT ?2";
const DELETE_TOMBSTONE: &str =
    "DELETE FROM tombstones WHERE inbox = ?1 AND rev = ?2 AND message_id = ?3";
const NUMBER: &str = "SELECT number FROM messages WHERE id = ?1";
/// Nobody holds it, and nobody is going to.
const DELETE_ORPHAN: &str = "DELETE FROM messages WHERE number = ?1
    AND NOT EXISTS (SELECT 1 FROM inbox_items WHERE message = ?1)
    AND NOT EXISTS (SELECT 1 FROM announcements a
        WHERE a.id = messages.id AND a.finished_at IS NULL)";
const DEVICES: &str = "DELETE FROM devices WHERE (inbox, id) IN (
    SELECT inbox, id FROM devices WHERE inbox = ?1 LIMIT ?2)";
const DEDUPE: &str = "DELETE FROM dedupe WHERE (inbox, key) IN (
    SELECT inbox, key FROM dedupe WHERE inbox = ?1 LIMIT ?2)";

pub(crate) const ACTED: &str = "SELECT number, body FROM messages
    WHERE actor_id = ?1 AND id < ?2 LIMIT ?3";
const REWRITE: &str = "UPDATE messages SET body = ?2, actor_id = NULL WHERE number = ?1";
pub(crate) const MEMBERSHIPS: &str = "DELETE FROM memberships WHERE (room_id, user_id) IN (
    SELECT room_id, user_id FROM memberships WHERE user_id = ?1 LIMIT ?2)";
pub(crate) const CONNECTIONS: &str = "DELETE FROM websocket_connections WHERE id IN (
    SELECT id FROM websocket_connections WHERE user_id = ?1 AND id < ?2 LIMIT ?3)";

macro_rules! audit_entries {
    ($condition:literal) => {
        concat!(
            "SELECT id, at, count, last_at, event, actor_kind, actor_id, ip, user_id, room_id, \
             target, detail FROM audit_log WHERE ",
            $condition,
            " AND id < ?2 LIMIT ?3"
        )
    };
}
pub(crate) const AUDIT_ABOUT: &str = audit_entries!("user_id = ?1");
pub(crate) const AUDIT_BY: &str = audit_entries!("actor_kind = 'user' AND actor_id = ?1");
const AUDIT_FORGET: &str = "UPDATE audit_log SET actor_kind = ?2, actor_id = ?3, ip = ?4,
        user_id = ?5, room_id = ?6, target = ?7, detail = ?8
    WHERE id = ?1";

type Step = fn(&mut Tx<'_>, &Job, usize) -> Result<usize>;

/// The first step that finds something.
pub(super) fn next(tx: &mut Tx<'_>, job: &Job, limit: usize) -> Result<usize> {
    const STEPS: [Step; 9] = [
        unlist,
        items,
        tombstones,
        devices,
        dedupe_keys,
        acted,
        memberships,
        connections,
        audit_entries,
    ];
    for step in STEPS {
        let rows = step(tx, job, limit)?;
        if rows > 0 {
            return Ok(rows);
        }
    }
    Ok(0)
}

/// Takes the user off the lists of waiting announcements, and those away that were for nobody
/// else.
fn unlist(tx: &mut Tx<'_>, job: &Job, limit: usize) -> Result<usize> {
    let values = (job.user.as_str(), job.requested_at.as_millis(), from_limit(limit));
    let found: Vec<(i64, i64, NotificationId)> = tx
        .conn
        .prepare_cached(LISTED)?
        .query_map(values, |row| Ok((row.get(0)?, row.get(1)?, to_id(row.get(2)?))))?
        .collect::<rusqlite::Result<_>>()?;
    for (announcement, position, id) in &found {
        tx.conn.prepare_cached(UNLIST)?.execute((announcement, position))?;
        let asks = |sql| -> Result<bool> {
            Ok(tx.conn.prepare_cached(sql)?.query_row([announcement], |row| row.get(0))?)
        };
        let Some(message) = number_of(tx.conn, *id)? else { continue };
        if asks(IS_LIST)? && !asks(ANY_LISTED)? && !messages::is_held(tx.conn, message)? {
            announcements::stop(tx, *id, AnnouncementState::Cancelled, job.requested_at)?;
            messages::delete(tx, message)?;
        }
    }
    Ok(found.len())
}

fn number_of(conn: &Connection, id: NotificationId) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached(NUMBER)?;
    Ok(statement.query_row([from_id(&id)], |row| row.get(0)).optional()?)
}

fn items(tx: &mut Tx<'_>, job: &Job, limit: usize) -> Result<usize> {
    let Some(inbox) = job.inbox else { return Ok(0) };
    let found: Vec<(bool, i64, i64)> = tx
        .conn
        .prepare_cached(ITEMS)?
        .query_map((inbox, from_limit(limit)), |row| row.try_into())?
        .collect::<rusqlite::Result<_>>()?;
    let mut delete = tx.conn.prepare_cached(DELETE_ITEM)?;
    let mut orphan = tx.conn.prepare_cached(DELETE_ORPHAN)?;
    for (archived, seq, message) in &found {
        delete.execute((inbox, archived, seq))?;
        orphan.execute([message])?;
    }
    Ok(found.len())
}

/// What the user deleted is told by its tombstones: it may be that nobody else had it.
fn tombstones(tx: &mut Tx<'_>, job: &Job, limit: usize) -> Result<usize> {
    let Some(inbox) = job.inbox else { return Ok(0) };
    let found: Vec<(i64, NotificationId)> = tx
        .conn
        .prepare_cached(TOMBSTONES)?
        .query_map((inbox, from_limit(limit)), |row| Ok((row.get(0)?, to_id(row.get(1)?))))?
        .collect::<rusqlite::Result<_>>()?;
    for (rev, id) in &found {
        tx.conn.prepare_cached(DELETE_TOMBSTONE)?.execute((inbox, rev, from_id(id)))?;
        if let Some(message) = number_of(tx.conn, *id)? {
            tx.conn.prepare_cached(DELETE_ORPHAN)?.execute([message])?;
        }
    }
    Ok(found.len())
}

fn devices(tx: &mut Tx<'_>, job: &Job, limit: usize) -> Result<usize> {
    let Some(inbox) = job.inbox else { return Ok(0) };
    Ok(tx.conn.prepare_cached(DEVICES)?.execute((inbox, from_limit(limit)))?)
}

fn dedupe_keys(tx: &mut Tx<'_>, job: &Job, limit: usize) -> Result<usize> {
    let Some(inbox) = job.inbox else { return Ok(0) };
    Ok(tx.conn.prepare_cached(DEDUPE)?.execute((inbox, from_limit(limit)))?)
}

/// In other people's notifications the user is nobody.
fn acted(tx: &mut Tx<'_>, job: &Job, limit: usize) -> Result<usize> {
    let end = NotificationId::new_v7(job.requested_at.plus(Duration::from_millis(1)), [0; 10]);
    let found: Vec<(i64, String)> = tx
        .conn
        .prepare_cached(ACTED)?
        .query_map((job.user.as_str(), from_id(&end), from_limit(limit)), |row| row.try_into())?
        .collect::<rusqlite::Result<_>>()?;
    let mut rewrite = tx.conn.prepare_cached(REWRITE)?;
    for (number, body) in &found {
        let without = rows::body(body)?.without_actor(&job.user);
        let without = without.map(|message| serde_json::to_string(&message)).transpose();
        let without = without.map_err(Failure::corrupt)?;
        rewrite.execute((number, without.as_ref().unwrap_or(body)))?;
    }
    Ok(found.len())
}

fn memberships(tx: &mut Tx<'_>, job: &Job, limit: usize) -> Result<usize> {
    let values = (job.user.as_str(), from_limit(limit));
    Ok(tx.conn.prepare_cached(MEMBERSHIPS)?.execute(values)?)
}

fn connections(tx: &mut Tx<'_>, job: &Job, limit: usize) -> Result<usize> {
    let end = ConnectionId::first_of(job.requested_at.plus(Duration::from_millis(1)));
    let values = (job.user.as_str(), end.0.as_bytes().as_slice(), from_limit(limit));
    Ok(tx.conn.prepare_cached(CONNECTIONS)?.execute(values)?)
}

/// What happened stays on record; who it was does not.
fn audit_entries(tx: &mut Tx<'_>, job: &Job, limit: usize) -> Result<usize> {
    let end = AuditId::first_of(job.settles_at);
    let mut found = Vec::<AuditEntry>::new();
    for query in [AUDIT_ABOUT, AUDIT_BY] {
        let left = from_limit(limit - found.len());
        let mut statement = tx.conn.prepare_cached(query)?;
        let values = (job.user.as_str(), end.0.as_bytes().as_slice(), left);
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            found.push(audit::from_row(row)?);
        }
    }
    let mut forget = tx.conn.prepare_cached(AUDIT_FORGET)?;
    for entry in &mut found {
        entry.forget(&job.user);
        forget.execute(params![
            entry.id.0.as_bytes(),
            entry.actor.kind(),
            entry.actor.id(),
            entry.ip.map(|ip| ip.to_string()),
            entry.user.as_ref().map(|user| user.as_str()),
            entry.room.as_ref().map(|room| room.as_str()),
            entry.target,
            serde_json::to_string(&entry.detail).map_err(Failure::corrupt)?,
        ])?;
    }
    Ok(found.len())
}
