-- Instants are milliseconds since the Unix epoch, ids of notifications are the 16 bytes of
-- their UUID. Inboxes and messages have small numbers beside their ids, so that an item, of
-- which there are millions, costs some fifty bytes and its index entries a dozen each.
-- There are no foreign keys: each would cost a lookup per write, and every rule that they
-- could guard is one function of the store.

-- A user is numbered when first heard of; numbers are never used again. An announcement to
-- all reaches the numbers that existed when it was accepted.
CREATE TABLE users (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT,
    avatar_url TEXT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE inboxes (
    number          INTEGER PRIMARY KEY,
    user_id         TEXT    NOT NULL UNIQUE,
    last_rev        INTEGER NOT NULL DEFAULT 0,
    unread          INTEGER NOT NULL DEFAULT 0,
    read_up_to      INTEGER NOT NULL DEFAULT 0,
    -- Removals up to this rev have no tombstones any more, and when the last of them was made.
    floor           INTEGER NOT NULL DEFAULT 0,
    floor_at        INTEGER NOT NULL DEFAULT 0,
    read_all_rev    INTEGER NOT NULL DEFAULT 0,
    read_all_at     INTEGER NOT NULL DEFAULT 0,
    -- Everything with a seq up to this has its delivered_at.
    delivered_up_to INTEGER NOT NULL DEFAULT 0,
    -- When last_rev was taken. It never goes back, not even when the clock does, so that the
    -- times of an inbox's revs rise with them and can be searched.
    changed_at      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE messages (
    number       INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE,
    -- When it went out or will: retention counts from here.
    sent_at      INTEGER NOT NULL,
    expires_at   INTEGER,
    retracted_at INTEGER,
    recipients   INTEGER NOT NULL,
    -- The whole message as JSON, as clients get it.
    body         TEXT    NOT NULL
) STRICT;
CREATE INDEX messages_sent      ON messages (sent_at);
CREATE INDEX messages_expiry    ON messages (expires_at)   WHERE expires_at   IS NOT NULL;
CREATE INDEX messages_retracted ON messages (retracted_at) WHERE retracted_at IS NOT NULL;

-- Clustered by what is listed together: an inbox page and an archive page are both one walk
-- of the table itself, however many items the other has. kind and tenant are copies from the
-- message: a list filtered by them touches no bodies but those it shows.
CREATE TABLE inbox_items (
    inbox        INTEGER NOT NULL,
    archived     INTEGER NOT NULL DEFAULT 0,
    seq          INTEGER NOT NULL,
    message      INTEGER NOT NULL,
    rev          INTEGER NOT NULL,
    -- When rev was taken (see inboxes.changed_at).
    changed_at   INTEGER NOT NULL,
    delivered_at INTEGER,
    seen_at      INTEGER,
    read_at      INTEGER,
    archived_at  INTEGER,
    kind         TEXT    NOT NULL,
    tenant       TEXT,
    PRIMARY KEY (inbox, archived, seq)
) STRICT, WITHOUT ROWID;
-- Exactly once; also finds the item of an id, and the inboxes that hold a message.
CREATE UNIQUE INDEX inbox_items_message ON inbox_items (message, inbox);
CREATE INDEX inbox_items_rev    ON inbox_items (inbox, rev);
CREATE INDEX inbox_items_unread ON inbox_items (inbox, archived, seq) WHERE read_at IS NULL;

CREATE TABLE tombstones (
    inbox      INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    message_id BLOB    NOT NULL,
    deleted_at INTEGER NOT NULL,
    PRIMARY KEY (inbox, rev, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_age ON tombstones (deleted_at);

CREATE TABLE devices (
    inbox   INTEGER NOT NULL,
    id      TEXT    NOT NULL,
    cursor  INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (inbox, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    scope       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    outcome     TEXT    NOT NULL,
    note        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    UNIQUE (scope, key)
) STRICT;
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE dedupe (
    inbox      INTEGER NOT NULL,
    key        TEXT    NOT NULL,
    message_id BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (inbox, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedupe_age ON dedupe (created_at);

CREATE TABLE announcements (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          BLOB    NOT NULL UNIQUE,
    state       TEXT    NOT NULL,
    -- 1: the users numbered up to last; 0: announcement_recipients up to last.
    to_all      INTEGER NOT NULL,
    cursor      INTEGER NOT NULL DEFAULT 0,
    last        INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    processed   INTEGER NOT NULL DEFAULT 0,
    dedupe_key  TEXT,
    created_at  INTEGER NOT NULL,
    run_at      INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;
CREATE INDEX announcements_due      ON announcements (run_at, number) WHERE finished_at IS NULL;
CREATE INDEX announcements_finished ON announcements (finished_at)    WHERE finished_at IS NOT NULL;

CREATE TABLE announcement_recipients (
    announcement INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    user_id      TEXT    NOT NULL,
    PRIMARY KEY (announcement, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (room_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE api_keys (
    id         TEXT    PRIMARY KEY NOT NULL,
    name       TEXT    NOT NULL,
    hash       BLOB    NOT NULL UNIQUE,
    scopes     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
