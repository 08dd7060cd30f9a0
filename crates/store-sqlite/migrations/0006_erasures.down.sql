DROP INDEX announcement_recipients_user;
DROP INDEX audit_log_actor;
DROP INDEX messages_actor;
ALTER TABLE messages DROP COLUMN actor_id;
DROP TABLE erasures;
