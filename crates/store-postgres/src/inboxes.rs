//! The row of an inbox: its counter and all that moves with it.

use std::{collections::HashMap, sync::Arc};

use tidings_core::{
    ids::{Rev, UserId},
    inbox::{ChangeKind, InboxChange, InboxState},
    time::Timestamp,
};
use tokio_postgres::Row;

use crate::{
    connection::Connection,
    failure::Result,
    items::{from_rev, to_rev},
    rows::{from_count, to_count, to_time, to_user},
    sql,
};

macro_rules! columns {
    () => {
        "b.number, b.user_id, b.last_rev, b.unread, b.read_up_to, b.floor, b.floor_at, \
         b.read_all_rev, b.read_all_at, b.delivered_up_to, b.changed_at"
    };
}

pub(crate) const OF_USER: &str =
    concat!("SELECT ", columns!(), " FROM inboxes b WHERE b.user_id = $1");
const STATES: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM unnest($1::text[]) asked (id) JOIN inboxes b ON b.user_id = asked.id"
);

/// Makes the inboxes that are missing. Who makes one that another transaction is just making
/// waits for that transaction: in the order of users, like [`LOCK`], so that nobody ever waits
/// in a circle. The inbox of a user who was erased begins above what was: a client from then
/// finds itself below the floor.
pub(crate) const MAKE: &str = "INSERT INTO inboxes
        (user_id, last_rev, floor, floor_at, changed_at)
    SELECT w.id, e.rev, e.rev, e.at, e.at FROM unnest($1::text[]) w (id)
    CROSS JOIN LATERAL (SELECT coalesce(max(last_rev) + 1, 0), coalesce(max(requested_at), 0)
        FROM erasures WHERE subject = sha256(convert_to(w.id, 'UTF8'))) e (rev, at)
    WHERE NOT EXISTS (SELECT 1 FROM inboxes b WHERE b.user_id = w.id)
    ORDER BY w.id COLLATE \"C\"
    ON CONFLICT (user_id) DO NOTHING";
/// Whoever changes inboxes locks all that it will change, in this order, before it reads them.
pub(crate) const LOCK: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM inboxes b WHERE b.user_id = ANY($1::text[]) ORDER BY b.user_id FOR NO KEY UPDATE"
);
/// The same by their numbers.
pub(crate) const LOCK_NUMBERED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM inboxes b WHERE b.number = ANY($1::bigint[]) ORDER BY b.user_id FOR NO KEY UPDATE"
);
/// All that moves with the counter.
pub(crate) const SAVE: &str = "UPDATE inboxes b SET last_rev = w.last_rev, unread = w.unread,
        read_up_to = w.read_up_to, floor = w.floor, floor_at = w.floor_at,
        read_all_rev = w.read_all_rev, read_all_at = w.read_all_at,
        delivered_up_to = w.delivered_up_to, changed_at = w.changed_at
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
        w (number, last_rev, unread, read_up_to, floor, floor_at, read_all_rev, read_all_at,
            delivered_up_to, changed_at)
    WHERE b.number = w.number";

#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    pub(crate) number: i64,
    pub(crate) user: UserId,
    pub(crate) state: InboxState,
    pub(crate) floor_at: Timestamp,
    pub(crate) read_all_rev: Rev,
    pub(crate) read_all_at: Timestamp,
    pub(crate) delivered_up_to: Rev,
    /// When the last rev was taken; see the schema.
    pub(crate) changed_at: Timestamp,
}

impl Inbox {
    pub(crate) async fn of(conn: &Connection, user: &UserId) -> Result<Option<Self>> {
        let found = sql::row(conn, OF_USER, &[&user.as_str()]).await?;
        found.as_ref().map(Self::from_row).transpose()
    }

    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            number: row.try_get(0)?,
            user: to_user(row.try_get(1)?)?,
            state: InboxState {
                rev: to_rev(row.try_get(2)?),
                unread: to_count(row.try_get(3)?),
                read_up_to: to_rev(row.try_get(4)?),
                floor: to_rev(row.try_get(5)?),
            },
            floor_at: to_time(row.try_get(6)?),
            read_all_rev: to_rev(row.try_get(7)?),
            read_all_at: to_time(row.try_get(8)?),
            delivered_up_to: to_rev(row.try_get(9)?),
            changed_at: to_time(row.try_get(10)?),
        })
    }

    /// The next value of the counter, for a change made now.
    pub(crate) fn take_rev(&mut self, now: Timestamp) -> Rev {
        self.state.rev.0 += 1;
        self.changed_at = self.changed_at.max(now);
        self.state.rev
    }

    /// What the sink hears of a change that took the counter to where it is now.
    pub(crate) fn changed(&self, kind: ChangeKind) -> Arc<InboxChange> {
        Arc::new(InboxChange {
            user: self.user.clone(),
            rev: self.state.rev,
            unread: self.state.unread,
            at: self.changed_at,
            kind,
        })
    }
}

/// Saves inboxes that this transaction has locked.
pub(crate) async fn save(conn: &Connection, inboxes: &[&Inbox]) -> Result<()> {
    if inboxes.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&Inbox) -> i64| -> Vec<i64> {
        inboxes.iter().map(|inbox| value(inbox)).collect()
    };
    sql::execute(
        conn,
        SAVE,
        &[
            &column(|b| b.number),
            &column(|b| from_rev(b.state.rev)),
            &column(|b| from_count(b.state.unread)),
            &column(|b| from_rev(b.state.read_up_to)),
            &column(|b| from_rev(b.state.floor)),
            &column(|b| b.floor_at.as_millis()),
            &column(|b| from_rev(b.read_all_rev)),
            &column(|b| b.read_all_at.as_millis()),
            &column(|b| from_rev(b.delivered_up_to)),
            &column(|b| b.changed_at.as_millis()),
        ],
    )
    .await?;
    Ok(())
}

/// Locks one inbox.
pub(crate) async fn lock(conn: &Connection, user: &UserId) -> Result<Option<Inbox>> {
    let found = sql::row(conn, LOCK, &[&[user.as_str()].as_slice()]).await?;
    found.as_ref().map(Inbox::from_row).transpose()
}

/// Locks inboxes by their numbers.
pub(crate) async fn lock_numbered(
    conn: &Connection,
    numbers: &[i64],
) -> Result<HashMap<i64, Inbox>> {
    let found = sql::rows(conn, LOCK_NUMBERED, &[&numbers]).await?;
    found.iter().map(|row| Inbox::from_row(row).map(|inbox| (inbox.number, inbox))).collect()
}

pub(crate) async fn state(conn: &Connection, user: &UserId) -> Result<InboxState> {
    Ok(Inbox::of(conn, user).await?.map(|inbox| inbox.state).unwrap_or_default())
}

/// One answer for each user that is asked for: an inbox that does not exist yet is empty.
pub(crate) async fn states(
    conn: &Connection,
    users: &[UserId],
) -> Result<Vec<(UserId, InboxState)>> {
    let asked: Vec<_> = users.iter().map(UserId::as_str).collect();
    let found = sql::rows(conn, STATES, &[&asked]).await?;
    let found = found.iter().map(|row| Inbox::from_row(row).map(|inbox| (inbox.user, inbox.state)));
    let found: HashMap<_, _> = found.collect::<Result<_>>()?;
    let state_of = |user: &UserId| found.get(user).copied().unwrap_or_default();
    Ok(users.iter().map(|user| (user.clone(), state_of(user))).collect())
}
