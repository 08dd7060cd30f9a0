//! The months that messages and items are partitioned by: made ahead, and taken out whole when
//! their time has come.
//!
//! A month that goes is first detached, in an instant: from then on nothing of it is seen. Its
//! unread items are then subtracted inbox by inbox, in batches that a crash does not repeat;
//! each inbox affected takes a rev, and its floor rises to that, so that clients from below
//! start over. At last the tables are dropped, which frees the disk at once and leaves nothing
//! to vacuum. What would need a lock for long gives up after [`PATIENCE`] and is tried again
//! with the next round of upkeep.

use deadpool_postgres::GenericClient as _;
use tidings_core::time::Timestamp;
use uuid::Uuid;

use crate::{connection::Connection, failure::Result, rows::to_time, sql};

mod retire;

pub(crate) use retire::{finish, retire};

/// How far ahead months are made.
const AHEAD: &str = "3 months";
/// Most months behind that are made: each is looked at by every list.
const MOST_BEHIND: &str = "24 months";
/// Long enough for what runs to end, too short for what waits behind to be felt.
const PATIENCE: &str = "SET LOCAL lock_timeout = '300ms'";
/// One node at a time; held until the transaction ends.
const TURN: &str = "SELECT pg_try_advisory_xact_lock(hashtext('tidings.months'))";
const TABLES: [&str; 2] = ["messages", "inbox_items"];

/// Months from the one of `$1` (not too far back) to some ahead of the server's clock, each with
/// where it begins and ends.
const WANTED: &str = "SELECT to_char(month, 'YYYY_MM'),
        (extract(epoch FROM month AT TIME ZONE 'UTC') * 1000)::bigint,
        (extract(epoch FROM (month + interval '1 month') AT TIME ZONE 'UTC') * 1000)::bigint
    FROM (SELECT now() AT TIME ZONE 'UTC') clock (now),
        generate_series(
            date_trunc('month', greatest(now - $2::text::interval,
                least(now, to_timestamp($1::bigint / 1000.0) AT TIME ZONE 'UTC'))),
            date_trunc('month', now + $3::text::interval),
            interval '1 month') month";
const PARTITIONS: &str =
    "SELECT c.relname::text FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
    WHERE h.inhparent = $1::text::regclass";
const RETIRING: &str = "SELECT month FROM retired_months ORDER BY month LIMIT 1";

/// A month: its name, and the ids that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Month {
    name: String,
    from: i64,
    to: i64,
}

impl Month {
    fn table(&self, of: &str) -> String {
        format!("{of}_{}", self.name)
    }
}

/// The lowest UUIDv7 of an instant.
fn lowest_id(millis: i64) -> Uuid {
    Uuid::from_u128(u128::from(u64::try_from(millis).unwrap_or(0)) << 80)
}

/// Makes the months that are missing from the one of `since` on, and finds one that is to go:
/// all of it was sent before `before`. Returns its name while something of it is left to do.
pub(crate) async fn look_after(conn: &Connection, before: Timestamp) -> Result<Option<String>> {
    make_all(conn, before).await?;
    if let Some(row) = sql::row(conn, RETIRING, &[]).await? {
        return Ok(Some(row.try_get(0)?));
    }
    attempt(retire::begin(conn, before).await).map(Option::flatten)
}

/// Makes the months from the one of `since` to some ahead.
pub(crate) async fn make_all(conn: &Connection, since: Timestamp) -> Result<()> {
    let months = wanted(conn, since).await?;
    for table in TABLES {
        let there = partitions(conn, table).await?;
        for month in months.iter().filter(|month| !there.contains(&month.table(table))) {
            attempt(make(conn, table, month).await)?;
        }
    }
    Ok(())
}

/// What a lock or another node keeps from being done is not done now.
fn attempt<T>(done: Result<T>) -> Result<Option<T>> {
    use crate::failure::Class;
    match done {
        Ok(done) => Ok(Some(done)),
        Err(failure) if matches!(failure.class(), Class::TimedOut | Class::Conflict) => {
            tracing::info!(event = "store_month_put_off", %failure, "tried again later");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

async fn wanted(conn: &Connection, since: Timestamp) -> Result<Vec<Month>> {
    let values: sql::Values<'_> = &[&since.as_millis(), &MOST_BEHIND, &AHEAD];
    let rows = sql::rows(conn, WANTED, values).await?;
    rows.iter()
        .map(|row| Ok(Month { name: row.try_get(0)?, from: row.try_get(1)?, to: row.try_get(2)? }))
        .collect()
}

async fn partitions(conn: &Connection, table: &str) -> Result<Vec<String>> {
    let rows = sql::rows(conn, PARTITIONS, &[&table]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Makes one partition and attaches it. That locks the default partition while the server looks
/// whether rows of the month are in it, so it is not even tried when there are: then the month
/// stays there, and its rows go one by one. What is being written to it just now is only seen once
/// it is locked.
///
/// Each table in a transaction of its own: who holds one default partition and waited for the
/// other would meet a reader that holds them the other way round.
async fn make(conn: &Connection, table: &str, month: &Month) -> Result<()> {
    let key = if table == "messages" { "id" } else { "message_id" };
    let (name, from, to) = (month.table(table), lowest_id(month.from), lowest_id(month.to));
    let strays = format!(
        "SELECT EXISTS (SELECT 1 FROM {table}_default WHERE {key} >= '{from}' AND {key} < '{to}')"
    );
    let lock = format!("LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE");
    // Room for delivered_at, which no index holds.
    let room = if table == "messages" { "" } else { " WITH (fillfactor = 90)" };
    let make = format!(
        "CREATE TABLE {name} (LIKE {table} INCLUDING ALL){room};
        ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"
    );
    alone(conn, async || {
        if partitions(conn, table).await?.contains(&name) {
            return Ok(());
        }
        let mut has_strays: bool = conn.query_one(&strays, &[]).await?.try_get(0)?;
        if !has_strays {
            conn.batch_execute(&lock).await?;
            has_strays = conn.query_one(&strays, &[]).await?.try_get(0)?;
        }
        if has_strays {
            tracing::warn!(event = "store_month_not_made", table = name, "its rows are elsewhere");
            return Ok(());
        }
        conn.batch_execute(&make).await?;
        tracing::info!(event = "store_month_made", table = name, "a partition was made");
        Ok(())
    })
    .await
    .map(drop)
}

/// Does `work` in a transaction, unless another node is at such a work: then `None`.
async fn alone<T>(conn: &Connection, work: impl AsyncFnOnce() -> Result<T>) -> Result<Option<T>> {
    let begin = format!("BEGIN; {PATIENCE}");
    let done = async {
        conn.batch_execute(&begin).await?;
        if !conn.query_one(TURN, &[]).await?.try_get::<_, bool>(0)? {
            conn.batch_execute("ROLLBACK").await?;
            return Ok(None);
        }
        let done = work().await?;
        conn.batch_execute("COMMIT").await?;
        Ok(Some(done))
    };
    let done = done.await;
    if done.is_err() {
        // What fails leaves no transaction open; on a connection that is gone there is none.
        let _ = conn.batch_execute("ROLLBACK").await;
    }
    done
}

/// The first instant of its month (UTC).
pub(crate) fn start_of_month(at: Timestamp) -> Timestamp {
    const DAY: i64 = 86_400_000;
    // Days of the month before this one: from the day of the civil calendar (proleptic, years
    // from March on), after Howard Hinnant's algorithm.
    let days = at.as_millis().div_euclid(DAY);
    let shifted = days + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5;
    to_time((days - day) * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_its_first_instant() {
        for (instant, start) in [
            ("2026-11-21T12:58:00.000Z", "2026-11-01T00:00:00.000Z"),
            ("2026-03-01T00:00:00.000Z", "2026-03-01T00:00:00.000Z"),
            ("2028-02-29T23:59:59.999Z", "2028-02-01T00:00:00.000Z"),
            ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"),
            ("2027-01-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"),
            ("2026-12-31T23:59:59.999Z", "2026-12-01T00:00:00.000Z"),
        ] {
            let instant: Timestamp = instant.parse().unwrap();
            assert_eq!(start_of_month(instant), start.parse().unwrap());
        }
    }

    #[test]
    fn the_lowest_id_of_an_instant_is_below_those_made_then() {
        let at = Timestamp::from_millis(1_767_225_600_000);
        let id = tidings_core::ids::NotificationId::new_v7(at, [0; 10]).0;
        assert!(lowest_id(at.as_millis()) < id && id < lowest_id(at.as_millis() + 1));
    }
}
