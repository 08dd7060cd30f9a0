//! A batch of requests in one transaction of two round trips: everything that the rules need is
//! locked and read together, everything that they decide is written together with the COMMIT.
//!
//! **Lock order**, the same for every transaction of this crate on every node, so that none ever
//! waits in a circle: idempotency keys by scope and key; announcements by number; messages that
//! are there already (only upkeep locks those, and leaves out what others have); inboxes by
//! user. Whoever has its inboxes waits for nothing but the insertion of new messages, by id.
//! Items, tombstones, devices and dedupe keys belong to an inbox and are guarded by its lock.

use std::collections::BTreeSet;

use tidings_core::ports::{AcceptOutcome, StoreError};

use crate::{
    accept, acknowledge,
    books::{self, Books, Wanted},
    change,
    connection::Connection,
    failure::Result,
    inboxes, messages,
    sql::{self, together},
};

use super::{
    job::{Accept, Acknowledge, Change},
    tx::{self, Name, Tx},
};

/// Requests that share a transaction.
#[derive(Default)]
pub(super) struct Bulk {
    pub(super) accepts: Vec<Accept>,
    pub(super) changes: Vec<Change>,
    pub(super) acknowledges: Vec<Acknowledge>,
}

/// Statements that are sent without waiting for each other; see [`sql::prepare`].
pub(super) const TOGETHER: &[&str] = &[
    tx::SIGN,
    crate::idempotency::CLAIM,
    crate::idempotency::CLAIMED,
    inboxes::MAKE,
    inboxes::LOCK,
    inboxes::SAVE,
    messages::KNOWN,
    messages::ACTORS,
    crate::dedupe::FIND,
    change::FIND,
    books::MESSAGES,
    books::ITEMS,
    books::MARKS,
    books::DELETES,
    books::TOMBSTONES,
    crate::dedupe::SAVE,
    acknowledge::DELIVER,
    acknowledge::DELIVER_ARCHIVED,
    acknowledge::MOVE_CURSORS,
    acknowledge::FORGET_OTHERS,
    crate::idempotency::KEEP,
    crate::idempotency::GIVE_UP,
];

impl Bulk {
    pub(super) fn len(&self) -> usize {
        self.accepts.len() + self.changes.len() + self.acknowledges.len()
    }

    /// One by one, for when one of them spoils the others.
    pub(super) fn each(self) -> impl Iterator<Item = Self> {
        let accepts =
            self.accepts.into_iter().map(|one| Self { accepts: vec![one], ..Self::default() });
        let changes =
            self.changes.into_iter().map(|one| Self { changes: vec![one], ..Self::default() });
        let acknowledges = self
            .acknowledges
            .into_iter()
            .map(|one| Self { acknowledges: vec![one], ..Self::default() });
        changes.chain(acknowledges).chain(accepts)
    }

    pub(super) fn fail(&mut self, error: &StoreError) {
        self.accepts.iter_mut().for_each(|task| task.outcome = Some(Err(error.clone())));
        self.changes.iter_mut().for_each(|task| task.outcome = Some(Err(error.clone())));
        self.acknowledges.iter_mut().for_each(|task| task.outcome = Some(Err(error.clone())));
    }

    pub(super) fn answer(self) {
        self.accepts.into_iter().for_each(super::job::Task::answer);
        self.changes.into_iter().for_each(super::job::Task::answer);
        self.acknowledges.into_iter().for_each(super::job::Task::answer);
    }

    fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        self.accepts.iter().for_each(|task| accept::want(&mut wanted, &task.request));
        self.changes.iter().for_each(|task| change::want(&mut wanted, &task.request));
        self.acknowledges.iter().for_each(|task| acknowledge::want(&mut wanted, &task.request));
        wanted
    }

    /// Begins, locks and reads, then decides. What was decided is in the books, to be written.
    pub(super) async fn begin(&mut self, tx: &mut Tx, name: Name) -> Result<Books> {
        let wanted = self.wanted();
        let (begun, loaded) = together!(tx::begin(&tx.conn, name), load(&tx.conn, &wanted));
        begun?;
        let mut books = loaded?;
        for task in &mut self.changes {
            task.outcome = Some(Ok(change::decide(&mut books, &task.request)));
        }
        for task in &mut self.acknowledges {
            acknowledge::decide(&mut books, &task.request);
            task.outcome = Some(Ok(()));
        }
        for task in &mut self.accepts {
            task.outcome = Some(accept::decide(tx, &mut books, &task.request).await?);
        }
        tx.changes.append(&mut books.changes);
        Ok(books)
    }
}

/// Every statement sees what the locks of those before it waited for.
async fn load(conn: &Connection, wanted: &Wanted) -> Result<Books> {
    let mut books = Books::default();
    let claims = wanted.claims.columns();
    let making: Vec<_> = wanted.recipients.iter().map(|user| user.as_str()).collect();
    let users: BTreeSet<_> = wanted.recipients.iter().chain(&wanted.users).collect();
    let users: Vec<_> = users.into_iter().map(|user| user.as_str()).collect();
    let actors: Vec<_> = wanted.actors.iter().map(|user| user.as_str()).collect();
    let dedupe = wanted.dedupe.columns();
    let items = wanted.items.columns();
    let (claimed, kept, made, locked, known, actors, deduped, items) = together!(
        sql::execute_if(
            !claims.keys.is_empty(),
            conn,
            crate::idempotency::CLAIM,
            &[
                &claims.scopes,
                &claims.keys,
                &claims.fingerprints,
                &claims.notes,
                &claims.nows,
                &claims.oldest
            ],
        ),
        sql::rows_if(
            !claims.keys.is_empty(),
            conn,
            crate::idempotency::CLAIMED,
            &[&claims.scopes, &claims.keys],
        ),
        sql::execute_if(!making.is_empty(), conn, inboxes::MAKE, &[&making]),
        sql::rows_if(!users.is_empty(), conn, inboxes::LOCK, &[&users]),
        sql::rows_if(!wanted.ids.is_empty(), conn, messages::KNOWN, &[&wanted.ids]),
        sql::rows_if(!actors.is_empty(), conn, messages::ACTORS, &[&actors]),
        sql::rows_if(
            !dedupe.keys.is_empty(),
            conn,
            crate::dedupe::FIND,
            &[&dedupe.users, &dedupe.keys, &dedupe.oldest],
        ),
        sql::rows_if(!items.ids.is_empty(), conn, change::FIND, &[&items.users, &items.ids]),
    );
    claimed?;
    books.read_claims(&kept?)?;
    made?;
    books.read_inboxes(&locked?)?;
    books.read_known(&known?)?;
    books.read_actors(&actors?)?;
    books.read_dedupe(&deduped?)?;
    books.read_items(&items?)?;
    Ok(books)
}

/// Carries out requests one after the other inside a transaction that may do other things as
/// well; ends with the first that finds no room.
pub(crate) async fn accept_in(
    tx: &mut Tx,
    requests: &[accept::Request],
) -> Result<Vec<super::Outcome<AcceptOutcome>>> {
    let mut wanted = Wanted::default();
    requests.iter().for_each(|request| accept::want(&mut wanted, request));
    let mut books = load(&tx.conn, &wanted).await?;
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in requests {
        let outcome = accept::decide(tx, &mut books, request).await?;
        let is_full = outcome == Err(StoreError::Busy);
        outcomes.push(outcome);
        if is_full {
            break;
        }
    }
    tx.changes.append(&mut books.changes);
    books.write(&tx.conn).await?;
    Ok(outcomes)
}
