CREATE TABLE revocations (
    -- user, jti or token.
    kind       TEXT    NOT NULL,
    -- A user's id, a jti, or the hash of a token.
    subject    BLOB    NOT NULL,
    -- Of a user: tokens issued before this.
    before     INTEGER,
    ends_at    INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_new ON revocations (revoked_at);
CREATE INDEX revocations_end ON revocations (ends_at);
