-- Whether a transaction that publishes says so when it commits, so that nobody has to look so often.
-- Off unless ALTER DATABASE … SET tidings.outbox_notify = on: each such commit takes a lock of the
-- whole server's, one after the other.
CREATE FUNCTION outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('tidings.outbox_notify', true) = 'on' THEN
        PERFORM pg_notify('tidings_outbox', '');
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION outbox_notify() FROM PUBLIC;
CREATE TRIGGER outbox_notify AFTER INSERT ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_notify();
