//! The row of an inbox: its counter and all that moves with it.

use rusqlite::{Connection, OptionalExtension, Row};
use tidings_core::{
    erasure,
    ids::{Rev, UserId},
    inbox::{ChangeKind, InboxChange, InboxState},
    time::Timestamp,
};

use crate::{
    failure::Result,
    rows::{from_count, from_rev, to_count, to_rev, to_time, to_user},
    writer::Tx,
};

macro_rules! columns {
    () => {
        "number, user_id, last_rev, unread, read_up_to, floor, floor_at, read_all_rev, \
         read_all_at, delivered_up_to, changed_at"
    };
}

const OF_USER: &str = concat!("SELECT ", columns!(), " FROM inboxes WHERE user_id = ?1");
const BY_NUMBER: &str = concat!("SELECT ", columns!(), " FROM inboxes WHERE number = ?1");

/// The counter and all else of one row. (`delivered_up_to` takes no rev and is moved by
/// acknowledgements alone.)
const SAVE: &str = "UPDATE inboxes SET last_rev = ?2, unread = ?3, read_up_to = ?4, floor = ?5,
    floor_at = ?6, read_all_rev = ?7, read_all_at = ?8, changed_at = ?9 WHERE number = ?1";

/// Takes the next value of the counter for one more unread item.
const ADD_ONE: &str = "UPDATE inboxes
    SET last_rev = last_rev + 1, unread = unread + 1, changed_at = max(changed_at, ?2)
    WHERE user_id = ?1
    RETURNING number, last_rev, unread, changed_at";
/// Makes an inbox. That of a user who was erased begins above what was: a client from then finds
/// itself below the floor.
const MAKE: &str = "INSERT INTO inboxes (user_id, last_rev, floor, floor_at, changed_at)
    SELECT ?1, coalesce(max(last_rev) + 1, 0), coalesce(max(last_rev) + 1, 0),
        coalesce(max(requested_at), 0), coalesce(max(requested_at), 0)
    FROM erasures WHERE subject = ?2";

const NUMBER: &str = "SELECT number FROM inboxes WHERE user_id = ?1";

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
    pub(crate) fn of(conn: &Connection, user: &UserId) -> Result<Option<Self>> {
        conn.prepare_cached(OF_USER)?
            .query_row([user.as_str()], |row| Ok(Self::from_row(row)))
            .optional()?
            .transpose()
    }

    pub(crate) fn numbered(conn: &Connection, number: i64) -> Result<Option<Self>> {
        conn.prepare_cached(BY_NUMBER)?
            .query_row([number], |row| Ok(Self::from_row(row)))
            .optional()?
            .transpose()
    }

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            user: to_user(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
            state: InboxState {
                rev: to_rev(row.get(2)?),
                unread: to_count(row.get(3)?),
                read_up_to: to_rev(row.get(4)?),
                floor: to_rev(row.get(5)?),
            },
            floor_at: to_time(row.get(6)?),
            read_all_rev: to_rev(row.get(7)?),
            read_all_at: to_time(row.get(8)?),
            delivered_up_to: to_rev(row.get(9)?),
            changed_at: to_time(row.get(10)?),
        })
    }

    /// The next value of the counter, for a change made now.
    pub(crate) fn take_rev(&mut self, now: Timestamp) -> Rev {
        self.state.rev.0 += 1;
        self.changed_at = self.changed_at.max(now);
        self.state.rev
    }

    pub(crate) fn save(&self, tx: &Tx<'_>) -> Result<()> {
        tx.conn.prepare_cached(SAVE)?.execute((
            self.number,
            from_rev(self.state.rev),
            from_count(self.state.unread),
            from_rev(self.state.read_up_to),
            from_rev(self.state.floor),
            self.floor_at.as_millis(),
            from_rev(self.read_all_rev),
            self.read_all_at.as_millis(),
            self.changed_at.as_millis(),
        ))?;
        Ok(())
    }

    /// Tells the sink of a change that took the counter to where it is now.
    pub(crate) fn emit(&self, tx: &mut Tx<'_>, kind: ChangeKind) {
        tx.emit(InboxChange {
            user: self.user.clone(),
            rev: self.state.rev,
            unread: self.state.unread,
            at: self.changed_at,
            kind,
        });
    }
}

/// Where an item that is being added finds its place.
pub(crate) struct Place {
    pub(crate) inbox: i64,
    pub(crate) seq: Rev,
    pub(crate) unread: u64,
    pub(crate) changed_at: Timestamp,
}

/// Takes the next value of the user's counter for one item added.
pub(crate) fn make_place(tx: &Tx<'_>, user: &UserId, now: Timestamp) -> Result<Place> {
    let mut add_one = tx.conn.prepare_cached(ADD_ONE)?;
    let mut add = || {
        add_one.query_row((user.as_str(), now.as_millis()), |row| {
            Ok(Place {
                inbox: row.get(0)?,
                seq: to_rev(row.get(1)?),
                unread: to_count(row.get(2)?),
                changed_at: to_time(row.get(3)?),
            })
        })
    };
    if let Some(place) = add().optional()? {
        return Ok(place);
    }
    let subject = erasure::subject(user);
    tx.conn.prepare_cached(MAKE)?.execute((user.as_str(), subject.as_slice()))?;
    Ok(add()?)
}

pub(crate) fn number_of(conn: &Connection, user: &UserId) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached(NUMBER)?;
    Ok(statement.query_row([user.as_str()], |row| row.get(0)).optional()?)
}

pub(crate) fn state(conn: &Connection, user: &UserId) -> Result<InboxState> {
    Ok(Inbox::of(conn, user)?.map(|inbox| inbox.state).unwrap_or_default())
}

pub(crate) const STATES: &str = "SELECT b.user_id, b.last_rev, b.unread, b.read_up_to, b.floor
    FROM json_each(?1) asked CROSS JOIN inboxes b ON b.user_id = asked.value";

/// One answer for each user that is asked for: an inbox that does not exist yet is empty.
pub(crate) fn states(conn: &Connection, users: &[UserId]) -> Result<Vec<(UserId, InboxState)>> {
    let wanted = serde_json::to_string(users).map_err(crate::failure::Failure::corrupt)?;
    let mut statement = conn.prepare_cached(STATES)?;
    let found = statement.query_map([wanted], |row| {
        let state = InboxState {
            rev: to_rev(row.get(1)?),
            unread: to_count(row.get(2)?),
            read_up_to: to_rev(row.get(3)?),
            floor: to_rev(row.get(4)?),
        };
        Ok((row.get::<_, String>(0)?, state))
    })?;
    let found: std::collections::HashMap<_, _> = found.collect::<rusqlite::Result<_>>()?;
    let state_of = |user: &UserId| found.get(user.as_str()).copied().unwrap_or_default();
    Ok(users.iter().map(|user| (user.clone(), state_of(user))).collect())
}

const ANY: &str = "SELECT EXISTS (SELECT 1 FROM inboxes)";

/// Reads something, to see whether the database can be read.
pub(crate) fn any(conn: &Connection) -> Result<()> {
    Ok(conn.prepare_cached(ANY)?.query_row([], |_| Ok(()))?)
}
