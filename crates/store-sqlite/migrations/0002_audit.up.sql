-- Ids are UUIDv7 of the instant: the table, and each index, is in the order of time. A filter
-- walks the index of its column backwards from the cursor; a time is a bound on the id.
CREATE TABLE audit_log (
    id         BLOB    NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    -- It happened so often within a short time, and then for the last time.
    count      INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    event      TEXT    NOT NULL,
    actor_kind TEXT    NOT NULL,
    actor_id   TEXT,
    ip         TEXT,
    user_id    TEXT,
    room_id    TEXT,
    target     TEXT,
    -- A JSON object of texts.
    detail     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_log_event ON audit_log (event, id);
CREATE INDEX audit_log_user  ON audit_log (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX audit_log_ip    ON audit_log (ip, id)      WHERE ip      IS NOT NULL;
CREATE INDEX audit_log_room  ON audit_log (room_id, id) WHERE room_id IS NOT NULL;
