//! Rows to be written, by columns: one statement for all rows of a table.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tidings_core::{
    ids::{NotificationId, Rev},
    notification::{Item, Message},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    connection::Connection,
    failure::Result,
    inboxes::Inbox,
    items::{from_rev, to_millis},
    rows::from_count,
    sql,
};

/// By id: who inserts a message that another transaction is just inserting waits for it.
pub(crate) const MESSAGES: &str = "INSERT INTO messages
        (id, sent_at, expires_at, recipients, actor_id, entity_type, entity_id, body, keep_until)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[],
        $6::text[], $7::text[], $8::text[], $9::bigint[]) w (id) ORDER BY w.id";
pub(crate) const ITEMS: &str = "INSERT INTO inbox_items
        (message_id, inbox, seq, rev, changed_at, kind, tenant)
    SELECT w.id, w.inbox, w.seq, w.seq, w.at, w.kind, w.tenant
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
        w (id, inbox, seq, at, kind, tenant)";
pub(crate) const MARKS: &str = "UPDATE inbox_items i
    SET rev = w.rev, changed_at = w.at, seen_at = w.seen_at, read_at = w.read_at,
        archived_at = w.archived_at
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
        $7::bigint[]) w (id, inbox, rev, at, seen_at, read_at, archived_at)
    WHERE i.message_id = w.id AND i.inbox = w.inbox";
pub(crate) const DELETES: &str = "DELETE FROM inbox_items i
    USING unnest($1::uuid[], $2::bigint[]) w (id, inbox)
    WHERE i.message_id = w.id AND i.inbox = w.inbox";
pub(crate) const TOMBSTONES: &str = "INSERT INTO tombstones (message_id, inbox, rev, deleted_at)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[])";

#[derive(Default)]
pub(super) struct Writes {
    pub(super) messages: Messages,
    pub(super) items: Items,
    /// Items that changed, and when their rev was taken.
    pub(super) marks: HashMap<(i64, NotificationId), Timestamp>,
    pub(super) buried: Buried,
}

#[derive(Default)]
pub(crate) struct Messages {
    ids: Vec<Uuid>,
    sent_at: Vec<i64>,
    expires_at: Vec<Option<i64>>,
    recipients: Vec<i64>,
    actor_ids: Vec<Option<String>>,
    entity_types: Vec<Option<String>>,
    entity_ids: Vec<Option<String>>,
    bodies: Vec<String>,
    keep_until: Vec<Option<i64>>,
}

/// A message as it is to be stored.
pub(crate) struct NewBody<'m> {
    pub(crate) message: &'m Message,
    pub(crate) body: String,
    pub(crate) sent_at: Timestamp,
    pub(crate) keep_for: Option<Duration>,
    pub(crate) recipients: u64,
}

/// The `sent_at` of what has its own time to go.
const NEVER_OLD: i64 = i64::MAX;

impl Messages {
    pub(crate) fn push(&mut self, new: NewBody<'_>) {
        let NewBody { message, body, sent_at, keep_for, recipients } = new;
        let keep_until = keep_for.map(|duration| sent_at.plus(duration).as_millis());
        self.ids.push(message.id.0);
        self.sent_at.push(keep_until.map_or(sent_at.as_millis(), |_| NEVER_OLD));
        self.keep_until.push(keep_until);
        self.expires_at.push(to_millis(message.expires_at));
        self.recipients.push(from_count(recipients));
        self.actor_ids.push(message.actor_id.as_ref().map(ToString::to_string));
        self.entity_types.push(message.entity_type.clone());
        self.entity_ids.push(message.entity_id.as_ref().map(ToString::to_string));
        self.bodies.push(body);
    }

    pub(crate) async fn write(&self, conn: &Connection) -> Result<u64> {
        sql::execute_if(
            !self.ids.is_empty(),
            conn,
            MESSAGES,
            &[
                &self.ids,
                &self.sent_at,
                &self.expires_at,
                &self.recipients,
                &self.actor_ids,
                &self.entity_types,
                &self.entity_ids,
                &self.bodies,
                &self.keep_until,
            ],
        )
        .await
    }
}

#[derive(Default)]
pub(super) struct Items {
    messages: Vec<Arc<Message>>,
    inboxes: Vec<i64>,
    seqs: Vec<i64>,
    times: Vec<i64>,
}

impl Items {
    pub(super) fn push(
        &mut self,
        message: &Arc<Message>,
        inbox: i64,
        seq: Rev,
        changed_at: Timestamp,
    ) {
        self.messages.push(message.clone());
        self.inboxes.push(inbox);
        self.seqs.push(from_rev(seq));
        self.times.push(changed_at.as_millis());
    }

    pub(super) async fn write(&self, conn: &Connection) -> Result<u64> {
        let ids: Vec<_> = self.messages.iter().map(|message| message.id.0).collect();
        let kinds: Vec<_> = self.messages.iter().map(|message| message.kind.as_str()).collect();
        let tenants: Vec<_> =
            self.messages.iter().map(|message| message.tenant.as_deref()).collect();
        sql::execute_if(
            !ids.is_empty(),
            conn,
            ITEMS,
            &[&ids, &self.inboxes, &self.seqs, &self.times, &kinds, &tenants],
        )
        .await
    }
}

/// Items as operations left them.
#[derive(Default)]
pub(super) struct Marks {
    ids: Vec<Uuid>,
    inboxes: Vec<i64>,
    revs: Vec<i64>,
    times: Vec<i64>,
    seen: Vec<Option<i64>>,
    read: Vec<Option<i64>>,
    archived: Vec<Option<i64>>,
}

impl Marks {
    pub(super) fn new<'i>(marked: impl Iterator<Item = (i64, &'i Item, Timestamp)>) -> Self {
        let mut marks = Self::default();
        for (inbox, item, at) in marked {
            marks.ids.push(item.id.0);
            marks.inboxes.push(inbox);
            marks.revs.push(from_rev(item.rev));
            marks.times.push(at.as_millis());
            marks.seen.push(to_millis(item.seen_at));
            marks.read.push(to_millis(item.read_at));
            marks.archived.push(to_millis(item.archived_at));
        }
        marks
    }

    pub(super) async fn write(&self, conn: &Connection) -> Result<u64> {
        sql::execute_if(
            !self.ids.is_empty(),
            conn,
            MARKS,
            &[
                &self.ids,
                &self.inboxes,
                &self.revs,
                &self.times,
                &self.seen,
                &self.read,
                &self.archived,
            ],
        )
        .await
    }
}

/// Items that go: the row goes, a tombstone with the rev of the removal stays, so that a client
/// which was away is told.
#[derive(Default)]
pub(crate) struct Buried {
    ids: Vec<Uuid>,
    inboxes: Vec<i64>,
    revs: Vec<i64>,
    times: Vec<i64>,
}

impl Buried {
    /// With the inbox's newest rev.
    pub(crate) fn push(&mut self, inbox: &Inbox, id: NotificationId) {
        self.ids.push(id.0);
        self.inboxes.push(inbox.number);
        self.revs.push(from_rev(inbox.state.rev));
        self.times.push(inbox.changed_at.as_millis());
    }

    pub(crate) async fn delete(&self, conn: &Connection) -> Result<u64> {
        sql::execute_if(!self.ids.is_empty(), conn, DELETES, &[&self.ids, &self.inboxes]).await
    }

    pub(crate) async fn bury(&self, conn: &Connection) -> Result<u64> {
        let values: sql::Values<'_> = &[&self.ids, &self.inboxes, &self.revs, &self.times];
        sql::execute_if(!self.ids.is_empty(), conn, TOMBSTONES, values).await
    }
}
