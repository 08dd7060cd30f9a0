-- Instants are milliseconds since the Unix epoch. Inboxes have small numbers beside the ids of
-- their users, which keeps the millions of items and their index entries thin. There are no
-- foreign keys: each would cost a lookup and a row lock per write, and every rule that they
-- could guard is one function of the store.

-- No index on what changes, and room on each page: the counter moves by HOT updates.
CREATE TABLE inboxes (
    number          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id         text   COLLATE "C" NOT NULL UNIQUE,
    last_rev        bigint NOT NULL DEFAULT 0,
    unread          bigint NOT NULL DEFAULT 0,
    read_up_to      bigint NOT NULL DEFAULT 0,
    -- Removals up to this rev have no tombstones any more, and when the last of them was made.
    floor           bigint NOT NULL DEFAULT 0,
    floor_at        bigint NOT NULL DEFAULT 0,
    read_all_rev    bigint NOT NULL DEFAULT 0,
    read_all_at     bigint NOT NULL DEFAULT 0,
    -- Everything with a seq up to this has its delivered_at.
    delivered_up_to bigint NOT NULL DEFAULT 0,
    -- When last_rev was taken. It never goes back, not even when the clock does, so that the
    -- times of an inbox's revs rise with them and can be searched.
    changed_at      bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Messages and their items are partitioned alike, by month as ranges of the UUIDv7: an id leads
-- to one partition of each, and a month is dropped whole when its time has come. The default
-- partitions hold what no month was made for, so that no id is ever refused.
CREATE TABLE messages (
    id           uuid   NOT NULL PRIMARY KEY,
    -- When it went out or will: retention counts from here.
    sent_at      bigint NOT NULL,
    expires_at   bigint,
    retracted_at bigint,
    recipients   bigint NOT NULL,
    entity_type  text   COLLATE "C",
    entity_id    text   COLLATE "C",
    -- The whole message as JSON, as clients get it; text, because jsonb would reorder its keys
    -- and refuse U+0000.
    body         text   NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX messages_sent      ON messages (sent_at);
CREATE INDEX messages_expiry    ON messages (expires_at)   WHERE expires_at   IS NOT NULL;
CREATE INDEX messages_retracted ON messages (retracted_at) WHERE retracted_at IS NOT NULL;
CREATE INDEX messages_entity    ON messages (entity_id, entity_type) WHERE entity_id IS NOT NULL;
CREATE TABLE messages_default PARTITION OF messages DEFAULT;

-- The key is what guarantees "exactly once"; it also finds the inboxes that hold a message.
-- kind and tenant are copies from the message: a list filtered by them touches no bodies but
-- those it shows.
CREATE TABLE inbox_items (
    message_id   uuid   NOT NULL,
    inbox        bigint NOT NULL,
    seq          bigint NOT NULL,
    rev          bigint NOT NULL,
    -- When rev was taken (see inboxes.changed_at).
    changed_at   bigint NOT NULL,
    delivered_at bigint,
    seen_at      bigint,
    read_at      bigint,
    archived_at  bigint,
    kind         text   COLLATE "C" NOT NULL,
    tenant       text   COLLATE "C",
    PRIMARY KEY (message_id, inbox)
) PARTITION BY RANGE (message_id);
-- One partial index for each list: what a list does not show costs it nothing.
CREATE INDEX inbox_items_page   ON inbox_items (inbox, seq) WHERE archived_at IS NULL;
CREATE INDEX inbox_items_unread ON inbox_items (inbox, seq) WHERE archived_at IS NULL AND read_at IS NULL;
CREATE INDEX inbox_items_archive ON inbox_items (inbox, seq) WHERE archived_at IS NOT NULL;
CREATE INDEX inbox_items_archived_unread ON inbox_items (inbox, seq)
    WHERE archived_at IS NOT NULL AND read_at IS NULL;
CREATE INDEX inbox_items_rev    ON inbox_items (inbox, rev);
-- Room for delivered_at, which no index holds.
CREATE TABLE inbox_items_default PARTITION OF inbox_items DEFAULT WITH (fillfactor = 90);

-- Months taken out of both tables whole. Their unread items are subtracted inbox by inbox, in
-- batches; then the tables named after the month are dropped.
CREATE TABLE retired_months (
    month  text   COLLATE "C" PRIMARY KEY,
    -- Inboxes up to this number are done.
    cursor bigint NOT NULL DEFAULT 0
);

CREATE TABLE tombstones (
    inbox      bigint NOT NULL,
    rev        bigint NOT NULL,
    message_id uuid   NOT NULL,
    deleted_at bigint NOT NULL,
    PRIMARY KEY (inbox, rev, message_id)
);
CREATE INDEX tombstones_age ON tombstones (deleted_at);

CREATE TABLE devices (
    inbox   bigint NOT NULL,
    id      text   COLLATE "C" NOT NULL,
    cursor  bigint NOT NULL,
    used_at bigint NOT NULL,
    PRIMARY KEY (inbox, id)
) WITH (fillfactor = 80);

CREATE TABLE idempotency (
    scope       text   COLLATE "C" NOT NULL,
    key         text   COLLATE "C" NOT NULL,
    fingerprint bytea  NOT NULL,
    -- NULL only inside the transaction that claimed the key.
    outcome     text,
    note        text   NOT NULL,
    created_at  bigint NOT NULL,
    PRIMARY KEY (scope, key)
) WITH (fillfactor = 80);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE dedupe (
    inbox      bigint NOT NULL,
    key        text   COLLATE "C" NOT NULL,
    message_id uuid   NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (inbox, key)
);
CREATE INDEX dedupe_age ON dedupe (created_at);

CREATE TABLE announcements (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid    NOT NULL UNIQUE,
    state       text    COLLATE "C" NOT NULL,
    -- true: the users numbered up to last; false: announcement_recipients up to last.
    to_all      boolean NOT NULL,
    cursor      bigint  NOT NULL DEFAULT 0,
    last        bigint  NOT NULL,
    total       bigint  NOT NULL,
    processed   bigint  NOT NULL DEFAULT 0,
    dedupe_key  text    COLLATE "C",
    created_at  bigint  NOT NULL,
    run_at      bigint  NOT NULL,
    finished_at bigint
);
CREATE INDEX announcements_due      ON announcements (run_at, number) WHERE finished_at IS NULL;
CREATE INDEX announcements_finished ON announcements (finished_at)    WHERE finished_at IS NOT NULL;

CREATE TABLE announcement_recipients (
    announcement bigint NOT NULL,
    position     bigint NOT NULL,
    user_id      text   COLLATE "C" NOT NULL,
    PRIMARY KEY (announcement, position)
);

-- The last transaction of each lane, by which a lane whose COMMIT got no answer finds out what
-- became of it. (A transaction's own number would not do: after a crash it is given again.)
CREATE TABLE lanes (
    id          uuid   PRIMARY KEY,
    transaction bigint NOT NULL,
    at          bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
