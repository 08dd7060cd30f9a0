-- Instants are milliseconds since the Unix epoch, ids of messages are UUIDs (version 7). Texts
-- that are ids compare by their bytes, here as everywhere: lists go on where they ended.
-- There are no foreign keys: each would cost a lookup per write, and every rule that they
-- could guard is one function of the store.

-- A user is numbered when first heard of; numbers are never used again. An announcement to
-- all reaches the numbers that existed when it was accepted.
CREATE TABLE users (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text COLLATE "C" NOT NULL UNIQUE,
    name       text,
    avatar_url text,
    created_at bigint NOT NULL,
    -- When others last saw the user online.
    last_seen  bigint
);

CREATE TABLE memberships (
    room_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE api_keys (
    id         text COLLATE "C" PRIMARY KEY,
    name       text   NOT NULL,
    hash       bytea  NOT NULL UNIQUE,
    scopes     text   NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint
);

-- Ids are UUIDv7 of the instant: the table, and each index, is in the order of time. A filter
-- walks the index of its column backwards from the cursor; a time is a bound on the id.
CREATE TABLE audit_log (
    id         uuid   PRIMARY KEY,
    at         bigint NOT NULL,
    -- It happened so often within a short time, and then for the last time.
    count      bigint NOT NULL,
    last_at    bigint NOT NULL,
    event      text COLLATE "C" NOT NULL,
    actor_kind text   NOT NULL,
    actor_id   text,
    ip         text COLLATE "C",
    user_id    text COLLATE "C",
    room_id    text COLLATE "C",
    target     text,
    -- A JSON object of texts.
    detail     text   NOT NULL
);
CREATE INDEX audit_log_event ON audit_log (event, id);
CREATE INDEX audit_log_user  ON audit_log (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX audit_log_ip    ON audit_log (ip, id)      WHERE ip      IS NOT NULL;
CREATE INDEX audit_log_room  ON audit_log (room_id, id) WHERE room_id IS NOT NULL;

CREATE TABLE revocations (
    -- user, jti or token.
    kind       text COLLATE "C" NOT NULL,
    -- A user's id, a jti, or the hash of a token.
    subject    bytea  NOT NULL,
    -- Of a user: tokens issued before this.
    before     bigint,
    ends_at    bigint NOT NULL,
    revoked_at bigint NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX revocations_new ON revocations (revoked_at);
CREATE INDEX revocations_end ON revocations (ends_at);

-- The history of connections. Ids are UUIDv7 of when they began: the table, and the index of a
-- user, are in the order of time.
CREATE TABLE websocket_connections (
    id              uuid   PRIMARY KEY,
    user_id         text COLLATE "C" NOT NULL,
    socket_id       text   NOT NULL,
    node_id         text COLLATE "C" NOT NULL,
    client          text   NOT NULL,
    device_id       text,
    ip              text   NOT NULL,
    user_agent      text,
    connected_at    bigint NOT NULL,
    disconnected_at bigint,
    reason          text,
    -- The hash of the token that it stands on, and when that ends: to sign it out.
    token_hash      bytea  NOT NULL,
    token_ends_at   bigint NOT NULL
);
CREATE INDEX websocket_connections_user  ON websocket_connections (user_id, id);
CREATE INDEX websocket_connections_open  ON websocket_connections (node_id, connected_at)
    WHERE disconnected_at IS NULL;
CREATE INDEX websocket_connections_ended ON websocket_connections (disconnected_at)
    WHERE disconnected_at IS NOT NULL;

-- An open connection was last seen when its node was.
CREATE TABLE nodes (
    id      text COLLATE "C" PRIMARY KEY,
    seen_at bigint NOT NULL
);
