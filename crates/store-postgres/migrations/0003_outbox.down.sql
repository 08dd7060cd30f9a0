DROP FUNCTION tidings_notify(json);
DROP TABLE outbox_dead;
DROP TABLE outbox;
