-- When others last saw a user online.
ALTER TABLE users ADD COLUMN last_seen INTEGER;
