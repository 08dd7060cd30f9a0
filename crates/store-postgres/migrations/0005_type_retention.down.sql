-- From now on the general retention counts for them, from when they were made.
UPDATE messages SET sent_at = ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint
    WHERE keep_until IS NOT NULL;
DROP INDEX messages_kept;
ALTER TABLE messages DROP COLUMN keep_until;
