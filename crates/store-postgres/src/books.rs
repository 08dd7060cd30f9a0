//! What the requests of one batch have in common: the rows that they need, as the transaction
//! holds them, and the rows that they decide to write.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tidings_core::{
    ids::{NotificationId, UserId},
    inbox::{ChangeKind, InboxChange},
    notification::{Actor, Item, Message},
    time::Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    acknowledge::Acknowledged,
    connection::Connection,
    dedupe,
    failure::{Failure, Result},
    idempotency::{self, Claimed},
    inboxes::{self, Inbox},
    items,
    messages::Known,
    rows::{to_count, to_user},
    sql::{execute_if, together},
};

mod writes;

use writes::Writes;
pub(crate) use writes::{Buried, DELETES, ITEMS, MARKS, MESSAGES, NewBody, TOMBSTONES};

/// What a batch has to look at.
#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) claims: idempotency::Wanted,
    /// Users who must have an inbox.
    pub(crate) recipients: BTreeSet<UserId>,
    /// Users who have one, or nothing to do.
    pub(crate) users: BTreeSet<UserId>,
    pub(crate) ids: Vec<Uuid>,
    pub(crate) actors: BTreeSet<UserId>,
    pub(crate) dedupe: dedupe::Wanted,
    pub(crate) items: WantedItems,
}

/// Items of inboxes.
#[derive(Default)]
pub(crate) struct WantedItems(pub(crate) BTreeSet<(UserId, NotificationId)>);

pub(crate) struct ItemColumns<'w> {
    pub(crate) users: Vec<&'w str>,
    pub(crate) ids: Vec<Uuid>,
}

impl WantedItems {
    pub(crate) fn columns(&self) -> ItemColumns<'_> {
        let users = self.0.iter().map(|(user, _)| user.as_str()).collect();
        ItemColumns { users, ids: self.0.iter().map(|(_, id)| id.0).collect() }
    }
}

#[derive(Default)]
pub(crate) struct Books {
    inboxes: HashMap<UserId, Inbox>,
    /// Users whose inbox differs from its row.
    moved: BTreeSet<UserId>,
    pub(crate) claims: HashMap<(String, String), Claimed>,
    pub(crate) known: HashMap<NotificationId, Known>,
    pub(crate) actors: HashMap<UserId, Actor>,
    pub(crate) dedupe: dedupe::Keys,
    items: HashMap<(i64, NotificationId), Item>,
    pub(crate) acknowledged: Acknowledged,
    writes: Writes,
    pub(crate) changes: Vec<Arc<InboxChange>>,
}

impl Books {
    pub(crate) fn inbox(&self, user: &UserId) -> Option<&Inbox> {
        self.inboxes.get(user)
    }

    /// The inbox of this user, to be changed.
    pub(crate) fn moving(&mut self, user: &UserId) -> Option<&mut Inbox> {
        let inbox = self.inboxes.get_mut(user)?;
        if !self.moved.contains(user) {
            self.moved.insert(user.clone());
        }
        Some(inbox)
    }

    pub(crate) fn item(&self, inbox: i64, id: NotificationId) -> Option<&Item> {
        self.items.get(&(inbox, id))
    }

    /// An item as an operation left it.
    pub(crate) fn mark(&mut self, inbox: &Inbox, item: Item) {
        self.writes.marks.insert((inbox.number, item.id), inbox.changed_at);
        self.items.insert((inbox.number, item.id), item);
    }

    /// Takes an item out; its tombstone has the inbox's newest rev.
    pub(crate) fn bury(&mut self, inbox: &Inbox, id: NotificationId) {
        self.items.remove(&(inbox.number, id));
        self.writes.marks.remove(&(inbox.number, id));
        self.writes.buried.push(inbox, id);
    }

    pub(crate) fn tell(&mut self, user: &UserId, kind: ChangeKind) {
        if let Some(inbox) = self.inboxes.get(user) {
            self.changes.push(inbox.changed(kind));
        }
    }

    /// The body of a message, once for all its recipients.
    pub(crate) fn add_message(&mut self, new: NewBody<'_>) {
        self.writes.messages.push(new);
    }

    /// Puts a message into one inbox: it takes the next value of the user's counter, which is
    /// the item's `seq` and its first `rev`.
    pub(crate) fn add_item(
        &mut self,
        message: &Arc<Message>,
        user: &UserId,
        now: Timestamp,
    ) -> Result<()> {
        let inbox = self.moving(user).ok_or(Failure::Erased)?;
        let seq = inbox.take_rev(now);
        inbox.state.unread += 1;
        let change = InboxChange {
            user: user.clone(),
            rev: seq,
            unread: inbox.state.unread,
            at: now,
            kind: ChangeKind::Added { message: message.clone(), item: Item::new(message.id, seq) },
        };
        let (number, changed_at) = (inbox.number, inbox.changed_at);
        self.writes.items.push(message, number, seq, changed_at);
        self.changes.push(Arc::new(change));
        Ok(())
    }

    pub(crate) fn read_claims(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            let (key, claimed) = idempotency::claimed(row)?;
            self.claims.insert(key, claimed);
        }
        Ok(())
    }

    pub(crate) fn read_inboxes(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            let inbox = Inbox::from_row(row)?;
            self.inboxes.insert(inbox.user.clone(), inbox);
        }
        Ok(())
    }

    pub(crate) fn read_known(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            let known = Known { recipients: to_count(row.try_get(1)?), announced: row.try_get(2)? };
            self.known.insert(NotificationId(row.try_get(0)?), known);
        }
        Ok(())
    }

    pub(crate) fn read_actors(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            let id = to_user(row.try_get(0)?)?;
            let actor =
                Actor { id: id.clone(), name: row.try_get(1)?, avatar_url: row.try_get(2)? };
            self.actors.insert(id, actor);
        }
        Ok(())
    }

    pub(crate) fn read_dedupe(&mut self, rows: &[Row]) -> Result<()> {
        self.dedupe.read(rows)
    }

    /// The number of the inbox comes behind the item's columns.
    pub(crate) fn read_items(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            let item = items::item(row)?;
            self.items.insert((row.try_get(7)?, item.id), item);
        }
        Ok(())
    }

    /// Sends everything that is to be written; the caller sends the COMMIT behind it, in the
    /// same round trip.
    pub(crate) async fn write(&self, conn: &Connection) -> Result<()> {
        let moved: Vec<_> = self.moved.iter().filter_map(|user| self.inboxes.get(user)).collect();
        let marked: BTreeMap<_, _> = self.writes.marks.iter().collect();
        let marked =
            marked.into_iter().filter_map(|(key, at)| Some((key.0, self.items.get(key)?, *at)));
        let marks = writes::Marks::new(marked);
        let kept = idempotency::Outcomes::new(&self.claims)?;
        let dedupe = self.dedupe.fresh();
        let (messages, items, marks, deletes, tombstones, keys, delivered, kept, saved) = together!(
            self.writes.messages.write(conn),
            self.writes.items.write(conn),
            marks.write(conn),
            self.writes.buried.delete(conn),
            self.writes.buried.bury(conn),
            execute_if(
                !dedupe.keys.is_empty(),
                conn,
                dedupe::SAVE,
                &[&dedupe.users, &dedupe.keys, &dedupe.ids, &dedupe.times],
            ),
            self.acknowledged.write(conn),
            kept.write(conn),
            inboxes::save(conn, &moved),
        );
        for done in [messages, items, marks, deletes, tombstones, keys, delivered, kept.map(|()| 0)]
        {
            done?;
        }
        saved
    }
}
