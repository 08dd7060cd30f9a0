-- When a message goes whose type has a retention of its own. Age does not count then: its sent_at
-- is the end of time, so that those which are kept for long are not met again in every round.
ALTER TABLE messages ADD COLUMN keep_until INTEGER;
CREATE INDEX messages_kept ON messages (keep_until) WHERE keep_until IS NOT NULL;
