-- What applications publish from inside their own transactions. An entry is numbered when it is
-- made, not when its transaction commits: the server takes what it sees, in the order of numbers.
CREATE TABLE outbox (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Of the notification that it becomes.
    id         uuid   NOT NULL,
    -- As the application wrote it; checked when it is taken.
    body       text   NOT NULL,
    created_at bigint NOT NULL
    -- Rows come and go: what is dead is cleaned up before the table grows.
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Entries that could not be carried out, each with why.
CREATE TABLE outbox_dead (
    number     bigint PRIMARY KEY,
    id         uuid   NOT NULL,
    body       text   NOT NULL,
    created_at bigint NOT NULL,
    reason     text   NOT NULL,
    died_at    bigint NOT NULL
);

-- Publishes with the transaction that calls it: kept if that commits, gone if it does not.
-- Runs as its owner, so that an application needs EXECUTE on it and nothing else.
DO $make$
BEGIN
    EXECUTE format($function$
        CREATE FUNCTION tidings_notify(notification json) RETURNS uuid
        LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = %1$I, pg_temp AS $body$
        DECLARE
            now constant bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
            -- A UUIDv7 (RFC 9562): the time, then what is random of a UUIDv4.
            made constant uuid := encode(set_bit(set_bit(overlay(
                uuid_send(gen_random_uuid()) PLACING substring(int8send(now) FROM 3)
                FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid;
        BEGIN
            IF notification IS NULL OR json_typeof(notification) <> 'object' THEN
                RAISE EXCEPTION 'a notification is a JSON object'
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            IF octet_length(notification::text) > 1048576 THEN
                RAISE EXCEPTION 'a notification has at most 1 MB'
                    USING ERRCODE = 'program_limit_exceeded';
            END IF;
            INSERT INTO %1$I.outbox (id, body, created_at) VALUES (made, notification::text, now);
            RETURN made;
        END
        $body$
    $function$, current_schema());
END
$make$;
REVOKE ALL ON FUNCTION tidings_notify(json) FROM PUBLIC;
