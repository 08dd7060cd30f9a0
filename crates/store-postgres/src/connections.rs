//! The history of connections.

use std::collections::BTreeMap;

use tidings_core::{
    connection::{
        Connection as History, ConnectionFilter, ConnectionId, ConnectionNote, Ground, Lost,
        NODE_LOST,
    },
    ids::DeviceId,
    time::Timestamp,
};
use tokio_postgres::{
    Row,
    types::{FromSql, ToSql},
};
use uuid::Uuid;

use crate::{
    connection::Connection,
    failure::{Failure, Result},
    rows::{from_limit, storable, to_time, to_user},
};

/// Said again: it was not lost.
const OPEN: &str = "INSERT INTO websocket_connections (id, user_id, socket_id, node_id, client,
        device_id, ip, user_agent, connected_at, disconnected_at, reason, token_hash,
        token_ends_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::bytea[],
        $13::bigint[])
    ON CONFLICT (id) DO UPDATE
    SET disconnected_at = excluded.disconnected_at, reason = excluded.reason";
const RENEW: &str =
    "UPDATE websocket_connections c SET token_hash = r.hash, token_ends_at = r.ends_at
    FROM unnest($1::uuid[], $2::bytea[], $3::bigint[]) AS r (id, hash, ends_at)
    WHERE c.id = r.id";
const CLOSE: &str = "UPDATE websocket_connections c SET disconnected_at = e.at, reason = e.reason
    FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS e (id, at, reason)
    WHERE c.id = e.id AND c.disconnected_at IS NULL";

/// Waits for whoever takes the node for lost just now, and then does not find it.
const BEAT: &str = "UPDATE nodes SET seen_at = $2 WHERE id = $1";
const BEGIN: &str = "INSERT INTO nodes (id, seen_at) VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at";

const COLUMNS: &str = "SELECT c.id, c.user_id, c.socket_id, c.node_id, c.client, c.device_id, c.ip,
        c.user_agent, c.connected_at, c.disconnected_at, c.reason, c.token_hash, c.token_ends_at,
        coalesce(c.disconnected_at, greatest(c.connected_at, n.seen_at))
    FROM websocket_connections c LEFT JOIN nodes n ON n.id = c.node_id";

/// What a silent node held, as of when it was last heard of. The node is locked too: one that
/// speaks up meanwhile is silent no more.
const CLOSE_SILENT: &str = "UPDATE websocket_connections c
    SET reason = $3, disconnected_at = greatest(c.connected_at, l.seen_at)
    FROM (SELECT o.id, n.seen_at FROM nodes n
        JOIN websocket_connections o ON o.node_id = n.id AND o.disconnected_at IS NULL
        WHERE n.seen_at < $1 LIMIT $2 FOR UPDATE OF n, o) l
    WHERE c.id = l.id";
/// Nobody knows when: not after the node was started again.
const CLOSE_RESTARTED: &str = "UPDATE websocket_connections SET reason = $3, disconnected_at = $1
    WHERE id IN (SELECT id FROM websocket_connections
        WHERE node_id = $4 AND disconnected_at IS NULL AND connected_at < $1 LIMIT $2 FOR UPDATE)";
const FORGET_SILENT: &str = "DELETE FROM nodes WHERE seen_at < $1";
const REMOVE: &str = "DELETE FROM websocket_connections WHERE id = ANY ($1)";

/// Notes that can be taken down together: what is opened, then what is renewed, then what is
/// closed, each in one statement, in the order of the ids.
#[derive(Default)]
struct Sheet<'n> {
    opened: BTreeMap<ConnectionId, &'n History>,
    renewed: BTreeMap<ConnectionId, &'n Ground>,
    closed: BTreeMap<ConnectionId, (Timestamp, &'n str)>,
}

impl<'n> Sheet<'n> {
    /// Whether the note is no less true when it is taken down before the others' ends.
    fn takes(&self, note: &ConnectionNote) -> bool {
        let ConnectionNote::Opened(connection) = note else { return true };
        let id = &connection.id;
        !self.renewed.contains_key(id) && !self.closed.contains_key(id)
    }

    fn add(&mut self, note: &'n ConnectionNote) {
        match note {
            ConnectionNote::Opened(connection) => {
                self.opened.insert(connection.id, connection);
            }
            ConnectionNote::Renewed { id, ground } => {
                self.renewed.insert(*id, ground);
            }
            ConnectionNote::Closed { id, at, reason } => {
                // It ends once.
                self.closed.entry(*id).or_insert((*at, reason));
            }
        }
    }
}

pub(crate) async fn note(conn: &mut Connection, notes: &[ConnectionNote]) -> Result<()> {
    let mut sheets = vec![Sheet::default()];
    for note in notes {
        if sheets.last().is_none_or(|sheet| !sheet.takes(note)) {
            sheets.push(Sheet::default());
        }
        if let Some(sheet) = sheets.last_mut() {
            sheet.add(note);
        }
    }
    let tx = conn.transaction().await?;
    for sheet in &sheets {
        open(&tx, sheet).await?;
        renew(&tx, sheet).await?;
        close(&tx, sheet).await?;
    }
    Ok(tx.commit().await?)
}

async fn open(tx: &deadpool_postgres::Transaction<'_>, sheet: &Sheet<'_>) -> Result<()> {
    if sheet.opened.is_empty() {
        return Ok(());
    }
    let opened: Vec<_> = sheet.opened.values().copied().collect();
    let columns: [&(dyn ToSql + Sync); 13] = [
        &column(&opened, |c| c.id.0),
        &column(&opened, |c| c.user.as_str()),
        &column(&opened, |c| c.socket_id.as_str()),
        &column(&opened, |c| c.node.as_str()),
        &column(&opened, |c| c.client.as_str()),
        &column(&opened, |c| c.device.as_ref().map(DeviceId::as_str)),
        &column(&opened, |c| c.ip.to_string()),
        &column(&opened, |c| c.user_agent.as_deref().map(storable)),
        &column(&opened, |c| c.connected_at.as_millis()),
        &column(&opened, |c| c.disconnected_at.map(Timestamp::as_millis)),
        &column(&opened, |c| c.reason.as_deref()),
        &column(&opened, |c| c.ground.token.as_slice()),
        &column(&opened, |c| c.ground.ends_at.as_millis()),
    ];
    let statement = tx.prepare_cached(OPEN).await?;
    tx.execute(&statement, &columns).await?;
    Ok(())
}

fn column<'a, T>(opened: &[&'a History], value: impl Fn(&'a History) -> T) -> Vec<T> {
    opened.iter().map(|connection| value(connection)).collect()
}

async fn renew(tx: &deadpool_postgres::Transaction<'_>, sheet: &Sheet<'_>) -> Result<()> {
    if sheet.renewed.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = sheet.renewed.keys().map(|id| id.0).collect();
    let hashes: Vec<_> = sheet.renewed.values().map(|ground| ground.token.as_slice()).collect();
    let ends: Vec<_> = sheet.renewed.values().map(|ground| ground.ends_at.as_millis()).collect();
    let statement = tx.prepare_cached(RENEW).await?;
    tx.execute(&statement, &[&ids, &hashes, &ends]).await?;
    Ok(())
}

async fn close(tx: &deadpool_postgres::Transaction<'_>, sheet: &Sheet<'_>) -> Result<()> {
    if sheet.closed.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = sheet.closed.keys().map(|id| id.0).collect();
    let times: Vec<_> = sheet.closed.values().map(|(at, _)| at.as_millis()).collect();
    let reasons: Vec<_> = sheet.closed.values().map(|(_, reason)| storable(reason)).collect();
    let statement = tx.prepare_cached(CLOSE).await?;
    tx.execute(&statement, &[&ids, &times, &reasons]).await?;
    Ok(())
}

/// Whether the node was known.
pub(crate) async fn heartbeat(conn: &Connection, node: &str, now: Timestamp) -> Result<bool> {
    let beat = conn.prepare_cached(BEAT).await?;
    if conn.execute(&beat, &[&node, &now.as_millis()]).await? > 0 {
        return Ok(true);
    }
    let begin = conn.prepare_cached(BEGIN).await?;
    conn.execute(&begin, &[&node, &now.as_millis()]).await?;
    Ok(false)
}

pub(crate) async fn find(conn: &Connection, id: ConnectionId) -> Result<Option<History>> {
    let found = all(conn, &format!("{COLUMNS} WHERE c.id = $1"), &[&id.0]).await?;
    Ok(found.into_iter().next())
}

fn query(filter: &ConnectionFilter) -> String {
    let user = if filter.user.is_some() { " AND c.user_id = $3" } else { "" };
    let active = match filter.active {
        None => "",
        Some(true) => " AND c.disconnected_at IS NULL",
        Some(false) => " AND c.disconnected_at IS NOT NULL",
    };
    format!("{COLUMNS} WHERE c.id < $1{user}{active} ORDER BY c.id DESC LIMIT $2")
}

pub(crate) async fn list(
    conn: &Connection,
    filter: &ConnectionFilter,
    before: Option<ConnectionId>,
    limit: usize,
) -> Result<Vec<History>> {
    let before = before.map_or(Uuid::max(), |id| id.0);
    let limit = from_limit(limit);
    let user = filter.user.as_ref().map(|user| user.as_str());
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&before, &limit];
    values.extend(user.as_ref().map(|user| user as &(dyn ToSql + Sync)));
    all(conn, &query(filter), &values).await
}

pub(crate) async fn ended(
    conn: &Connection,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<History>> {
    // Those of one instant too are in one order, so that two who read them read the same.
    let sql = format!(
        "{COLUMNS} WHERE c.disconnected_at IS NOT NULL AND c.disconnected_at < $1
        ORDER BY c.disconnected_at, c.id LIMIT $2"
    );
    all(conn, &sql, &[&before.as_millis(), &from_limit(limit)]).await
}

async fn all(conn: &Connection, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<History>> {
    let statement = conn.prepare_cached(sql).await?;
    conn.query(&statement, values).await?.iter().map(from_row).collect()
}

fn from_row(row: &Row) -> Result<History> {
    fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T> {
        Ok(row.try_get(column)?)
    }
    let device: Option<String> = get(row, 5)?;
    let token = <[u8; 32]>::try_from(get::<&[u8]>(row, 11)?);
    Ok(History {
        id: ConnectionId(get(row, 0)?),
        user: to_user(get(row, 1)?)?,
        socket_id: get(row, 2)?,
        node: get(row, 3)?,
        client: get::<&str>(row, 4)?.parse().map_err(Failure::Corrupt)?,
        device: device.map(DeviceId::new).transpose().map_err(Failure::corrupt)?,
        ip: get::<&str>(row, 6)?.parse().map_err(Failure::corrupt)?,
        user_agent: get(row, 7)?,
        connected_at: to_time(get(row, 8)?),
        disconnected_at: get::<Option<i64>>(row, 9)?.map(to_time),
        reason: get(row, 10)?,
        ground: Ground {
            token: token.map_err(|_| Failure::corrupt("the hash of a token"))?,
            ends_at: to_time(get(row, 12)?),
        },
        seen_at: to_time(get(row, 13)?),
    })
}

pub(crate) async fn close_lost(conn: &Connection, lost: &Lost, limit: usize) -> Result<u64> {
    let limit = from_limit(limit);
    match lost {
        Lost::Restarted { node, at } => {
            let close = conn.prepare_cached(CLOSE_RESTARTED).await?;
            Ok(conn.execute(&close, &[&at.as_millis(), &limit, &NODE_LOST, node]).await?)
        }
        Lost::Silent { since } => {
            let since = since.as_millis();
            let close = conn.prepare_cached(CLOSE_SILENT).await?;
            let closed = conn.execute(&close, &[&since, &limit, &NODE_LOST]).await?;
            if closed == 0 {
                let forget = conn.prepare_cached(FORGET_SILENT).await?;
                conn.execute(&forget, &[&since]).await?;
            }
            Ok(closed)
        }
    }
}

pub(crate) async fn remove(conn: &Connection, ids: &[ConnectionId]) -> Result<()> {
    let mut ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    ids.sort_unstable();
    let remove = conn.prepare_cached(REMOVE).await?;
    conn.execute(&remove, &[&ids]).await?;
    Ok(())
}
