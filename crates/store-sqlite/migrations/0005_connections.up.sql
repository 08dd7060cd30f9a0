-- The history of connections. Ids are UUIDv7 of when they began: the table, and the index of a
-- user, are in the order of time.
CREATE TABLE websocket_connections (
    id              BLOB    NOT NULL PRIMARY KEY,
    user_id         TEXT    NOT NULL,
    socket_id       TEXT    NOT NULL,
    node_id         TEXT    NOT NULL,
    client          TEXT    NOT NULL,
    device_id       TEXT,
    ip              TEXT    NOT NULL,
    user_agent      TEXT,
    connected_at    INTEGER NOT NULL,
    disconnected_at INTEGER,
    reason          TEXT,
    -- The hash of the token that it stands on, and when that ends: to sign it out.
    token_hash      BLOB    NOT NULL,
    token_ends_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX websocket_connections_user  ON websocket_connections (user_id, id);
CREATE INDEX websocket_connections_open  ON websocket_connections (node_id, connected_at)
    WHERE disconnected_at IS NULL;
CREATE INDEX websocket_connections_ended ON websocket_connections (disconnected_at)
    WHERE disconnected_at IS NOT NULL;

-- An open connection was last seen when its node was.
CREATE TABLE nodes (
    id      TEXT    NOT NULL PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
