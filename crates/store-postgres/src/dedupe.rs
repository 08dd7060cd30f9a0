//! Dedupe keys: within 24 hours a user gets one notification for one key.

use std::collections::{BTreeMap, HashMap};

use tidings_core::{
    idempotency::KEPT,
    ids::{NotificationId, UserId},
    time::Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{failure::Result, rows::to_user};

pub(crate) const FIND: &str = "SELECT b.user_id, d.key, d.message_id
    FROM unnest($1::text[], $2::text[], $3::bigint[]) w (user_id, key, oldest)
    JOIN inboxes b ON b.user_id = w.user_id
    JOIN dedupe d ON d.inbox = b.number AND d.key = w.key
    WHERE d.created_at > w.oldest";
pub(crate) const SAVE: &str = "INSERT INTO dedupe (inbox, key, message_id, created_at)
    SELECT b.number, w.key, w.message_id, w.created_at
    FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[])
        w (user_id, key, message_id, created_at)
    JOIN inboxes b ON b.user_id = w.user_id
    ON CONFLICT (inbox, key) DO UPDATE SET message_id = excluded.message_id,
        created_at = excluded.created_at";

/// Keys of users, each with the time from which on one counts.
#[derive(Default)]
pub(crate) struct Wanted(BTreeMap<(UserId, String), i64>);

pub(crate) struct Columns<'w> {
    pub(crate) users: Vec<&'w str>,
    pub(crate) keys: Vec<&'w str>,
    pub(crate) oldest: Vec<i64>,
}

impl Wanted {
    pub(crate) fn push(&mut self, user: &UserId, key: &str, now: Timestamp) {
        let oldest = now.minus(KEPT).as_millis();
        self.0.entry((user.clone(), key.to_owned())).or_insert(oldest);
    }

    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns {
            users: self.0.keys().map(|(user, _)| user.as_str()).collect(),
            keys: self.0.keys().map(|(_, key)| key.as_str()).collect(),
            oldest: self.0.values().copied().collect(),
        }
    }
}

/// The keys that users have, as far as the batch asks.
#[derive(Default)]
pub(crate) struct Keys {
    by_user: HashMap<UserId, HashMap<String, NotificationId>>,
    fresh: BTreeMap<(UserId, String), (Uuid, i64)>,
}

#[derive(Default)]
pub(crate) struct Fresh<'k> {
    pub(crate) users: Vec<&'k str>,
    pub(crate) keys: Vec<&'k str>,
    pub(crate) ids: Vec<Uuid>,
    pub(crate) times: Vec<i64>,
}

impl Keys {
    pub(crate) fn read(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            let of_user = self.by_user.entry(to_user(row.try_get(0)?)?).or_default();
            of_user.insert(row.try_get(1)?, NotificationId(row.try_get(2)?));
        }
        Ok(())
    }

    /// The notification that this user already has for this key.
    pub(crate) fn find(&self, user: &UserId, key: &str) -> Option<NotificationId> {
        self.by_user.get(user)?.get(key).copied()
    }

    pub(crate) fn save(&mut self, user: &UserId, key: &str, id: NotificationId, now: Timestamp) {
        self.by_user.entry(user.clone()).or_default().insert(key.to_owned(), id);
        self.fresh.insert((user.clone(), key.to_owned()), (id.0, now.as_millis()));
    }

    pub(crate) fn fresh(&self) -> Fresh<'_> {
        let mut fresh = Fresh::default();
        for ((user, key), (id, at)) in &self.fresh {
            fresh.users.push(user.as_str());
            fresh.keys.push(key);
            fresh.ids.push(*id);
            fresh.times.push(*at);
        }
        fresh
    }
}
