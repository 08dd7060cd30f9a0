//! The audit log: appended in batches, walked backwards in time, forgotten by age.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr};

use tidings_core::{
    audit::{Actor, AuditEntry, AuditFilter, AuditId},
    ids::{RoomId, UserId},
    time::Timestamp,
};
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use crate::{
    connection::Connection,
    failure::{Failure, Result},
    rows::{from_count, from_limit, storable, to_count, to_time, to_user},
};

const APPEND: &str = "INSERT INTO audit_log (id, at, count, last_at, event, actor_kind, actor_id,
        ip, user_id, room_id, target, detail)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[],
        $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
    ON CONFLICT (id) DO UPDATE SET count = excluded.count, last_at = excluded.last_at";
const PURGE: &str = "DELETE FROM audit_log WHERE id IN (
    SELECT id FROM audit_log WHERE id < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)";

pub(crate) async fn append(conn: &Connection, entries: &[AuditEntry]) -> Result<()> {
    // One statement may touch a row once only, so the last word on an id counts; in the order
    // of the ids two batches never wait for each other.
    let entries: BTreeMap<_, _> = entries.iter().map(|entry| (entry.id, entry)).collect();
    let entries: Vec<_> = entries.into_values().collect();
    let details = entries.iter().map(|entry| serde_json::to_string(&entry.detail));
    let details = details.collect::<Result<Vec<_>, _>>().map_err(Failure::corrupt)?;
    let append = conn.prepare_cached(APPEND).await?;
    let columns: [&(dyn ToSql + Sync); 12] = [
        &column(&entries, |entry| entry.id.0),
        &column(&entries, |entry| entry.at.as_millis()),
        &column(&entries, |entry| from_count(entry.count)),
        &column(&entries, |entry| entry.last_at.as_millis()),
        &column(&entries, |entry| entry.event.as_str()),
        &column(&entries, |entry| entry.actor.kind()),
        &column(&entries, |entry| entry.actor.id()),
        &column(&entries, |entry| entry.ip.map(|ip| ip.to_string())),
        &column(&entries, |entry| entry.user.as_ref().map(UserId::as_str)),
        &column(&entries, |entry| entry.room.as_ref().map(RoomId::as_str)),
        &column(&entries, |entry| entry.target.as_deref().map(storable)),
        &details,
    ];
    conn.execute(&append, &columns).await?;
    Ok(())
}

fn column<'a, T>(entries: &[&'a AuditEntry], value: impl Fn(&'a AuditEntry) -> T) -> Vec<T> {
    entries.iter().map(|entry| value(entry)).collect()
}

/// The statement for a filter: one for each set of columns that are asked for.
fn query(filter: &AuditFilter) -> String {
    let columns = [
        ("user_id", filter.user.is_some()),
        ("ip", filter.ip.is_some()),
        ("room_id", filter.room.is_some()),
        ("event", filter.event.is_some()),
    ];
    let mut sql = String::from(
        "SELECT id, at, count, last_at, event, actor_kind, actor_id, ip, user_id, room_id, target,
            detail
        FROM audit_log WHERE id < $1 AND id >= $2",
    );
    for (n, (column, _)) in columns.iter().filter(|(_, asked)| *asked).enumerate() {
        // Writing into a String cannot fail.
        let _ = write!(sql, " AND {column} = ${}", n + 4);
    }
    sql.push_str(" ORDER BY id DESC LIMIT $3");
    sql
}

pub(crate) async fn list(
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
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&end.0, &start.0, &limit];
    values.extend(texts.iter().flatten().map(|text| text as &(dyn ToSql + Sync)));
    let list = conn.prepare_cached(&query(filter)).await?;
    conn.query(&list, &values).await?.iter().map(from_row).collect()
}

pub(crate) fn from_row(row: &Row) -> Result<AuditEntry> {
    let text = |column| row.try_get::<_, Option<&str>>(column);
    let ip = text(7)?.map(str::parse::<IpAddr>).transpose().map_err(Failure::corrupt)?;
    let room = text(9)?.map(RoomId::new).transpose().map_err(Failure::corrupt)?;
    let actor = Actor::from_parts(row.try_get(5)?, text(6)?);
    Ok(AuditEntry {
        id: AuditId(row.try_get(0)?),
        at: to_time(row.try_get(1)?),
        count: to_count(row.try_get(2)?),
        last_at: to_time(row.try_get(3)?),
        event: row.try_get::<_, &str>(4)?.parse().map_err(Failure::corrupt)?,
        actor: actor.map_err(Failure::Corrupt)?,
        ip,
        user: text(8)?.map(to_user).transpose()?,
        room,
        target: row.try_get(10)?,
        detail: serde_json::from_str(row.try_get(11)?).map_err(Failure::corrupt)?,
    })
}

pub(crate) async fn purge(conn: &Connection, before: Timestamp, limit: usize) -> Result<u64> {
    let first_kept = AuditId::first_of(before);
    let purge = conn.prepare_cached(PURGE).await?;
    Ok(conn.execute(&purge, &[&first_kept.0, &from_limit(limit)]).await?)
}
