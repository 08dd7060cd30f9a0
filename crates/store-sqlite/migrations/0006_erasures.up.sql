-- Erasures of users. One that is done does not name its user: the hash of the id tells, when
-- that comes back, above which rev a new inbox begins.
CREATE TABLE erasures (
    id           BLOB    NOT NULL PRIMARY KEY,
    subject      BLOB    NOT NULL,
    user_id      TEXT,
    -- What was the user's inbox.
    inbox        INTEGER,
    -- The counter of that, or of one that was erased earlier.
    last_rev     INTEGER NOT NULL,
    requested_at INTEGER NOT NULL,
    settles_at   INTEGER NOT NULL,
    finished_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX erasures_subject ON erasures (subject, last_rev);
CREATE INDEX erasures_due     ON erasures (requested_at) WHERE finished_at IS NULL;

-- A copy from the body, to find what an erased user appears in.
ALTER TABLE messages ADD COLUMN actor_id TEXT;
UPDATE messages SET actor_id = json_extract(body, '$.actorId') WHERE json_valid(body);
CREATE INDEX messages_actor ON messages (actor_id, id) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_log_actor ON audit_log (actor_id, id) WHERE actor_kind = 'user';
CREATE INDEX announcement_recipients_user ON announcement_recipients (user_id);
