//! The audit log: appended in batches, walked backwards in time, forgotten by age.

use std::{fmt::Write as _, net::IpAddr};

use rusqlite::{Connection, Row, ToSql};
use tidings_core::{
    audit::{Actor, AuditEntry, AuditFilter, AuditId},
    ids::{RoomId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    failure::{Failure, Result},
    rows::{from_count, from_limit, to_count, to_time, to_user},
    writer::Tx,
};

const APPEND: &str = "INSERT INTO audit_log (id, at, count, last_at, event, actor_kind, actor_id,
        ip, user_id, room_id, target, detail)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    ON CONFLICT (id) DO UPDATE SET count = excluded.count, last_at = excluded.last_at";
pub(crate) const PURGE: &str = "DELETE FROM audit_log WHERE id IN (
    SELECT id FROM audit_log WHERE id < ?1 ORDER BY id LIMIT ?2)";

pub(crate) fn append(tx: &Tx<'_>, entries: &[AuditEntry]) -> Result<()> {
    let mut append = tx.conn.prepare_cached(APPEND)?;
    for entry in entries {
        append.execute((
            entry.id.0.as_bytes(),
            entry.at.as_millis(),
            from_count(entry.count),
            entry.last_at.as_millis(),
            entry.event.as_str(),
            entry.actor.kind(),
            entry.actor.id(),
            entry.ip.map(|ip| ip.to_string()),
            entry.user.as_ref().map(UserId::as_str),
            entry.room.as_ref().map(RoomId::as_str),
            &entry.target,
            serde_json::to_string(&entry.detail).map_err(Failure::corrupt)?,
        ))?;
    }
    Ok(())
}

/// The statement for a filter. It walks the index of the narrowest column that is asked for;
/// the `+` keeps the others from being walked instead.
pub(crate) fn query(filter: &AuditFilter) -> String {
    let columns = [
        ("user_id", filter.user.is_some()),
        ("ip", filter.ip.is_some()),
        ("room_id", filter.room.is_some()),
        ("event", filter.event.is_some()),
    ];
    let mut sql = String::from(
        "SELECT id, at, count, last_at, event, actor_kind, actor_id, ip, user_id, room_id, target,
            detail
        FROM audit_log WHERE id < ?1 AND id >= ?2",
    );
    let mut walked = "";
    for (n, (column, _)) in columns.iter().filter(|(_, asked)| *asked).enumerate() {
        // Writing into a String cannot fail.
        let _ = write!(sql, " AND {walked}{column} = ?{}", n + 4);
        walked = "+";
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?3");
    sql
}

pub(crate) fn list(
    conn: &Connection,
    filter: &AuditFilter,
    before: Option<AuditId>,
    limit: usize,
) -> Result<Vec<AuditEntry>> {
    let end = filter.until.map(AuditId::first_of);
    let end = end.into_iter().chain(before).min().unwrap_or(AuditId(Uuid::max()));
    let start = filter.since.map_or(AuditId(Uuid::nil()), AuditId::first_of);
    let limit = from_limit(limit);
    let ip = filter.ip.map(|ip| ip.to_string());
    let texts = [
        filter.user.as_ref().map(UserId::as_str),
        ip.as_deref(),
        filter.room.as_ref().map(RoomId::as_str),
        filter.event.as_ref().map(|event| event.as_str()),
    ];
    let (end, start) = (end.0.as_bytes(), start.0.as_bytes());
    let mut values: Vec<&dyn ToSql> = vec![end, start, &limit];
    values.extend(texts.iter().flatten().map(|text| text as &dyn ToSql));
    let mut statement = conn.prepare_cached(&query(filter))?;
    let mut rows = statement.query(values.as_slice())?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(from_row(row)?);
    }
    Ok(entries)
}

pub(crate) fn from_row(row: &Row<'_>) -> Result<AuditEntry> {
    let text = |column| row.get::<_, Option<String>>(column);
    let ip = text(7)?.map(|ip| ip.parse::<IpAddr>()).transpose().map_err(Failure::corrupt)?;
    let room = text(9)?.map(RoomId::new).transpose().map_err(Failure::corrupt)?;
    let actor = Actor::from_parts(&row.get::<_, String>(5)?, text(6)?.as_deref());
    let event: String = row.get(4)?;
    let detail: String = row.get(11)?;
    Ok(AuditEntry {
        id: AuditId(Uuid::from_bytes(row.get(0)?)),
        at: to_time(row.get(1)?),
        count: to_count(row.get(2)?),
        last_at: to_time(row.get(3)?),
        event: event.parse().map_err(Failure::corrupt)?,
        actor: actor.map_err(Failure::Corrupt)?,
        ip,
        user: text(8)?.map(|user| to_user(&user)).transpose()?,
        room,
        target: text(10)?,
        detail: serde_json::from_str(&detail).map_err(Failure::corrupt)?,
    })
}

pub(crate) fn purge(tx: &Tx<'_>, before: Timestamp, limit: usize) -> Result<u64> {
    let first_kept = AuditId::first_of(before);
    let values = (first_kept.0.as_bytes(), from_limit(limit));
    Ok(tx.conn.prepare_cached(PURGE)?.execute(values)? as u64)
}
