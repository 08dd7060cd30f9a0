//! The history of connections.

use rusqlite::{Connection as Database, Row, Statement, ToSql};
use tidings_core::{
    connection::{
        Connection, ConnectionFilter, ConnectionId, ConnectionNote, Ground, Lost, NODE_LOST,
    },
    ids::DeviceId,
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    failure::{Failure, Result},
    rows::{from_limit, to_time, to_user},
    writer::Tx,
};

/// Said again: it was not lost.
const OPEN: &str = "INSERT INTO websocket_connections (id, user_id, socket_id, node_id, client,
        device_id, ip, user_agent, connected_at, disconnected_at, reason, token_hash,
        token_ends_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT (id) DO UPDATE
    SET disconnected_at = excluded.disconnected_at, reason = excluded.reason";
const RENEW: &str = "UPDATE websocket_connections SET token_hash = ?2, token_ends_at = ?3
    WHERE id = ?1";
const CLOSE: &str = "UPDATE websocket_connections SET disconnected_at = ?2, reason = ?3
    WHERE id = ?1 AND disconnected_at IS NULL";
const BEAT: &str = "INSERT INTO nodes (id, seen_at) VALUES (?1, ?2)
    ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at";

const COLUMNS: &str = "SELECT c.id, c.user_id, c.socket_id, c.node_id, c.client, c.device_id, c.ip,
        c.user_agent, c.connected_at, c.disconnected_at, c.reason, c.token_hash, c.token_ends_at,
        coalesce(c.disconnected_at, max(c.connected_at, n.seen_at), c.connected_at)
    FROM websocket_connections c LEFT JOIN nodes n ON n.id = c.node_id";

/// What a silent node held, as of when it was last heard of.
pub(crate) const CLOSE_SILENT: &str = "UPDATE websocket_connections
    SET reason = ?3, disconnected_at = max(connected_at,
        (SELECT seen_at FROM nodes WHERE nodes.id = node_id))
    WHERE id IN (SELECT c.id FROM nodes n
        CROSS JOIN websocket_connections c ON c.node_id = n.id AND c.disconnected_at IS NULL
        WHERE n.seen_at < ?1 LIMIT ?2)";
/// Nobody knows when: not after the node was started again.
pub(crate) const CLOSE_RESTARTED: &str = "UPDATE websocket_connections
    SET reason = ?3, disconnected_at = ?1
    WHERE id IN (SELECT id FROM websocket_connections
        WHERE node_id = ?4 AND disconnected_at IS NULL AND connected_at < ?1 LIMIT ?2)";
const FORGET_SILENT: &str = "DELETE FROM nodes WHERE seen_at < ?1";
pub(crate) const REMOVE: &str = "DELETE FROM websocket_connections WHERE id = ?1";

pub(crate) fn note(tx: &Tx<'_>, notes: &[ConnectionNote]) -> Result<()> {
    let prepare = |sql| tx.conn.prepare_cached(sql);
    let (mut opening, mut closing) = (prepare(OPEN)?, prepare(CLOSE)?);
    for note in notes {
        match note {
            ConnectionNote::Opened(connection) => open(&mut opening, connection)?,
            ConnectionNote::Renewed { id, ground } => {
                let values = (id.0.as_bytes(), ground.token, ground.ends_at.as_millis());
                prepare(RENEW)?.execute(values)?;
            }
            ConnectionNote::Closed { id, at, reason } => {
                closing.execute((id.0.as_bytes(), at.as_millis(), reason))?;
            }
        }
    }
    Ok(())
}

fn open(opening: &mut Statement<'_>, connection: &Connection) -> Result<()> {
    opening.execute((
        connection.id.0.as_bytes(),
        connection.user.as_str(),
        &connection.socket_id,
        &connection.node,
        connection.client.as_str(),
        connection.device.as_ref().map(DeviceId::as_str),
        connection.ip.to_string(),
        &connection.user_agent,
        connection.connected_at.as_millis(),
        connection.disconnected_at.map(Timestamp::as_millis),
        &connection.reason,
        connection.ground.token,
        connection.ground.ends_at.as_millis(),
    ))?;
    Ok(())
}

/// Whether the node was known.
pub(crate) fn heartbeat(tx: &Tx<'_>, node: &str, now: Timestamp) -> Result<bool> {
    let known = tx.conn.prepare_cached("SELECT 1 FROM nodes WHERE id = ?1")?.exists([node])?;
    tx.conn.prepare_cached(BEAT)?.execute((node, now.as_millis()))?;
    Ok(known)
}

pub(crate) fn find(conn: &Database, id: ConnectionId) -> Result<Option<Connection>> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} WHERE c.id = ?1"))?;
    let mut rows = statement.query([id.0.as_bytes()])?;
    rows.next()?.map(from_row).transpose()
}

pub(crate) fn query(filter: &ConnectionFilter) -> String {
    let user = if filter.user.is_some() { " AND c.user_id = ?3" } else { "" };
    let active = match filter.active {
        None => "",
        Some(true) => " AND c.disconnected_at IS NULL",
        Some(false) => " AND c.disconnected_at IS NOT NULL",
    };
    format!("{COLUMNS} WHERE c.id < ?1{user}{active} ORDER BY c.id DESC LIMIT ?2")
}

pub(crate) fn list(
    conn: &Database,
    filter: &ConnectionFilter,
    before: Option<ConnectionId>,
    limit: usize,
) -> Result<Vec<Connection>> {
    let before = before.map_or(Uuid::max(), |id| id.0);
    let (before, limit) = (before.as_bytes(), from_limit(limit));
    let user = filter.user.as_ref().map(|user| user.as_str());
    let mut values: Vec<&dyn ToSql> = vec![before, &limit];
    values.extend(user.as_ref().map(|user| user as &dyn ToSql));
    all(conn, &query(filter), &values)
}

pub(crate) fn ended_query() -> String {
    // Those of one instant too are in one order, so that two who read them read the same.
    format!(
        "{COLUMNS} WHERE c.disconnected_at IS NOT NULL AND c.disconnected_at < ?1
        ORDER BY c.disconnected_at, c.id LIMIT ?2"
    )
}

pub(crate) fn ended(conn: &Database, before: Timestamp, limit: usize) -> Result<Vec<Connection>> {
    all(conn, &ended_query(), &[&before.as_millis(), &from_limit(limit)])
}

fn all(conn: &Database, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<Connection>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(from_row(row)?);
    }
    Ok(found)
}

fn from_row(row: &Row<'_>) -> Result<Connection> {
    let text = |column| row.get::<_, String>(column);
    let device: Option<String> = row.get(5)?;
    Ok(Connection {
        id: ConnectionId(Uuid::from_bytes(row.get(0)?)),
        user: to_user(&text(1)?)?,
        socket_id: text(2)?,
        node: text(3)?,
        client: text(4)?.parse().map_err(Failure::Corrupt)?,
        device: device.map(DeviceId::new).transpose().map_err(Failure::corrupt)?,
        ip: text(6)?.parse().map_err(Failure::corrupt)?,
        user_agent: row.get(7)?,
        connected_at: to_time(row.get(8)?),
        disconnected_at: row.get::<_, Option<i64>>(9)?.map(to_time),
        reason: row.get(10)?,
        ground: Ground { token: row.get(11)?, ends_at: to_time(row.get(12)?) },
        seen_at: to_time(row.get(13)?),
    })
}

pub(crate) fn close_lost(tx: &Tx<'_>, lost: &Lost, limit: usize) -> Result<u64> {
    let limit = from_limit(limit);
    let closed = match lost {
        Lost::Restarted { node, at } => {
            let values = (at.as_millis(), limit, NODE_LOST, node);
            tx.conn.prepare_cached(CLOSE_RESTARTED)?.execute(values)?
        }
        Lost::Silent { since } => {
            let since = since.as_millis();
            let mut close = tx.conn.prepare_cached(CLOSE_SILENT)?;
            match close.execute((since, limit, NODE_LOST))? {
                0 => {
                    tx.conn.prepare_cached(FORGET_SILENT)?.execute([since])?;
                    0
                }
                closed => closed,
            }
        }
    };
    Ok(closed as u64)
}

pub(crate) fn remove(tx: &Tx<'_>, ids: &[ConnectionId]) -> Result<()> {
    let mut remove = tx.conn.prepare_cached(REMOVE)?;
    for id in ids {
        remove.execute([id.0.as_bytes()])?;
    }
    Ok(())
}
