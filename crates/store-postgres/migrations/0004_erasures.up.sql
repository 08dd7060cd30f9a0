-- Erasures of users. One that is done does not name its user: the hash of the id tells, when
-- that comes back, above which rev a new inbox begins.
CREATE TABLE erasures (
    id           uuid   PRIMARY KEY,
    subject      bytea  NOT NULL,
    user_id      text   COLLATE "C",
    -- What was the user's inbox.
    inbox        bigint,
    -- The counter of that, or of one that was erased earlier.
    last_rev     bigint NOT NULL,
    requested_at bigint NOT NULL,
    settles_at   bigint NOT NULL,
    finished_at  bigint
);
CREATE INDEX erasures_subject ON erasures (subject, last_rev);
CREATE INDEX erasures_due     ON erasures (requested_at) WHERE finished_at IS NULL;

-- A copy from the body, to find what an erased user appears in. (A JSON function would refuse
-- bodies with U+0000 in them.) Of what is there already the first match is taken: should that be
-- a key inside of `data`, it is looked at in vain.
ALTER TABLE messages ADD COLUMN actor_id text COLLATE "C";
UPDATE messages SET actor_id = substring(body FROM '"actorId":"([A-Za-z0-9._:@-]{1,128})"')
    WHERE body LIKE '%"actorId":"%';
CREATE INDEX messages_actor ON messages (actor_id, id) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_log_actor ON audit_log (actor_id, id) WHERE actor_kind = 'user';
CREATE INDEX announcement_recipients_user ON announcement_recipients (user_id);
