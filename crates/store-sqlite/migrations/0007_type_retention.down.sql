-- From now on the general retention counts for them, from when they were made.
UPDATE messages SET sent_at = coalesce(1000 * strftime('%s',
        CASE WHEN json_valid(body) THEN json_extract(body, '$.createdAt') END), 0)
    WHERE keep_until IS NOT NULL;
DROP INDEX messages_kept;
ALTER TABLE messages DROP COLUMN keep_until;
