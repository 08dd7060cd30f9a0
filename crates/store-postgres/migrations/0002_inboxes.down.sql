DROP TABLE lanes;
DROP TABLE announcement_recipients;
DROP TABLE announcements;
DROP TABLE dedupe;
DROP TABLE idempotency;
DROP TABLE devices;
DROP TABLE tombstones;
-- Months on their way out are tables of their own.
DO $$
DECLARE gone text;
BEGIN
    FOR gone IN SELECT month FROM retired_months LOOP
        EXECUTE format('DROP TABLE IF EXISTS inbox_items_%s, messages_%s', gone, gone);
    END LOOP;
END $$;
DROP TABLE retired_months;
DROP TABLE inbox_items;
DROP TABLE messages;
DROP TABLE inboxes;
