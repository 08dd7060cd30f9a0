//! The ports of the domain, each method tied to the module of its noun.

mod connections;
mod erasures;

use async_trait::async_trait;
use tidings_core::{
    announcement::{Announcement, Progress},
    api_key::ApiKey,
    audit::{AuditEntry, AuditFilter, AuditId},
    idempotency::IdempotencyClaim,
    ids::{DeviceId, NotificationId, Rev, RoomId, UserId},
    inbox::{Device, InboxOp, InboxState, OpOutcome, OpenFrom, Opening, Page, PageQuery, Sync},
    notification::Notification,
    ports::{
        Accept, AcceptOutcome, Announcements, ApiKeys, AuditLog, Inboxes, Maintenance, Memberships,
        NewMembers, PruneBefore, Retracted, Revocations, StoreError, Users,
    },
    revocation::Revocation,
    time::Timestamp,
    user::User,
};

use crate::{
    SqliteStore, accept, acknowledge, announcements, api_keys, audit, change, idempotency, inboxes,
    maintenance, memberships, messages, open, page, prune, retraction, rev_at, revocations, sync,
    users, writer::Weight,
};

/// The weight of a write that touches up to `rows` rows and carries next to nothing.
fn rows(rows: usize) -> Weight {
    Weight { rows, bytes: 256 }
}

#[async_trait]
impl Inboxes for SqliteStore {
    async fn accept(&self, request: Accept) -> Result<AcceptOutcome, StoreError> {
        let weight = accept::weight(&request);
        self.write(weight, move |tx| accept::accept(tx, request)).await
    }

    async fn accept_in_order(
        &self,
        requests: Vec<Accept>,
    ) -> Result<Vec<Result<AcceptOutcome, StoreError>>, StoreError> {
        let weights = requests.iter().map(accept::weight);
        let weight = weights.fold(Weight::default(), |sum, one| Weight {
            rows: sum.rows + one.rows,
            bytes: sum.bytes + one.bytes,
        });
        self.write(weight, move |tx| accept::accept_in_order(tx, requests)).await
    }

    async fn replay(
        &self,
        claim: &IdempotencyClaim,
        now: Timestamp,
    ) -> Result<Option<AcceptOutcome>, StoreError> {
        let claim = claim.clone();
        self.read(move |conn| idempotency::outcome(conn, &claim, now)).await
    }

    async fn change(
        &self,
        user: &UserId,
        op: InboxOp,
        now: Timestamp,
    ) -> Result<OpOutcome, StoreError> {
        let user = user.clone();
        let weight = change::weight(&op);
        self.write(weight, move |tx| change::change(tx, &user, op, now)).await
    }

    async fn acknowledge(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        up_to: Rev,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (user, device) = (user.clone(), device.cloned());
        let asked = (user.clone(), device.clone());
        let is_news = move |conn: &_| acknowledge::is_news(conn, &asked.0, asked.1.as_ref(), up_to);
        if !self.read(is_news).await? {
            return Ok(());
        }
        self.write(rows(1), move |tx| {
            acknowledge::acknowledge(tx, &user, device.as_ref(), up_to, now)
        })
        .await
    }

    async fn state(&self, user: &UserId) -> Result<InboxState, StoreError> {
        let user = user.clone();
        self.read(move |conn| inboxes::state(conn, &user)).await
    }

    async fn devices(&self, user: &UserId) -> Result<Vec<Device>, StoreError> {
        let user = user.clone();
        self.read(move |conn| acknowledge::devices(conn, &user)).await
    }

    async fn states(&self, users: &[UserId]) -> Result<Vec<(UserId, InboxState)>, StoreError> {
        let users = users.to_vec();
        self.read(move |conn| inboxes::states(conn, &users)).await
    }

    async fn notification(
        &self,
        user: &UserId,
        id: NotificationId,
    ) -> Result<Option<Notification>, StoreError> {
        let user = user.clone();
        self.read(move |conn| messages::notification(conn, &user, id)).await
    }

    async fn exists(&self, id: NotificationId) -> Result<bool, StoreError> {
        self.read(move |conn| messages::exists(conn, id)).await
    }

    async fn page(&self, query: PageQuery) -> Result<Page, StoreError> {
        self.read(move |conn| page::page(conn, &query)).await
    }

    async fn sync(&self, user: &UserId, since: Rev, limit: usize) -> Result<Sync, StoreError> {
        let user = user.clone();
        self.read(move |conn| sync::sync(conn, &user, since, limit)).await
    }

    async fn rev_at(&self, user: &UserId, at: Timestamp) -> Result<Rev, StoreError> {
        let user = user.clone();
        self.read(move |conn| rev_at::rev_at(conn, &user, at)).await
    }

    async fn open(&self, user: &UserId, from: OpenFrom) -> Result<Opening, StoreError> {
        if let Some(opening) = self.cache().opening(user, &from) {
            return Ok(opening);
        }
        let ticket = self.cache().ticket(user);
        let asked = user.clone();
        let opening = self.read(move |conn| open::open(conn, &asked, from)).await?;
        self.cache().learn(user, ticket, opening.state);
        Ok(opening)
    }
}

#[async_trait]
impl Announcements for SqliteStore {
    async fn announcement(&self, id: NotificationId) -> Result<Option<Announcement>, StoreError> {
        self.read(move |conn| announcements::find(conn, id)).await
    }

    async fn due_announcements(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<NotificationId>, StoreError> {
        self.read(move |conn| announcements::due(conn, now, limit)).await
    }

    async fn advance_announcement(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Result<Progress, StoreError> {
        self.write(rows(batch), move |tx| announcements::advance(tx, id, batch, now)).await
    }

    async fn retract(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Result<Option<Retracted>, StoreError> {
        self.write(rows(batch), move |tx| retraction::retract(tx, id, batch, now)).await
    }

    async fn due_retractions(&self, limit: usize) -> Result<Vec<NotificationId>, StoreError> {
        self.read(move |conn| retraction::due(conn, limit)).await
    }

    async fn advance_retraction(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Result<Retracted, StoreError> {
        self.write(rows(batch), move |tx| retraction::advance(tx, id, batch, now)).await
    }
}

#[async_trait]
impl Users for SqliteStore {
    async fn put_user(&self, user: User) -> Result<(), StoreError> {
        self.write(rows(1), move |tx| users::put(tx, &user)).await
    }

    async fn see_user(&self, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
        if self.cache().is_seen(id) {
            return Ok(());
        }
        let (user, ticket) = (id.clone(), self.cache().ticket(id));
        if !self.read(move |conn| users::is_known(conn, &user)).await? {
            let user = id.clone();
            self.write(rows(1), move |tx| users::see(tx, &user, now)).await?;
        }
        self.cache().learn_seen(id, ticket);
        Ok(())
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let id = id.clone();
        self.read(move |conn| users::find(conn, &id)).await
    }

    async fn saw_users(&self, seen: &[(UserId, Timestamp)]) -> Result<(), StoreError> {
        let seen = seen.to_vec();
        self.write(rows(seen.len()), move |tx| users::saw(tx, &seen)).await
    }

    async fn last_seen(&self, users: &[UserId]) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        let users = users.to_vec();
        self.read(move |conn| users::last_seen(conn, &users)).await
    }
}

#[async_trait]
impl ApiKeys for SqliteStore {
    async fn create_api_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.write(rows(1), move |tx| api_keys::create(tx, &key)).await
    }

    async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.read(api_keys::list).await
    }

    async fn api_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        let cache = self.cache();
        if let Some(key) = cache.key(hash) {
            return Ok(Some(key));
        }
        let (hash, ticket) = (*hash, cache.key_ticket());
        let found = self.read(move |conn| api_keys::find(conn, &hash)).await?;
        if let Some(key) = &found {
            cache.learn_key(ticket, key);
        }
        Ok(found)
    }

    async fn revoke_api_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(rows(1), move |tx| api_keys::revoke(tx, &id, now)).await
    }
}

#[async_trait]
impl Memberships for SqliteStore {
    async fn add_members(
        &self,
        room: &RoomId,
        users: &[UserId],
        most: usize,
    ) -> Result<NewMembers, StoreError> {
        let (room, users) = (room.clone(), users.to_vec());
        self.write(rows(users.len()), move |tx| memberships::add(tx, &room, &users, most)).await
    }

    async fn remove_members(
        &self,
        room: &RoomId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError> {
        let (room, users) = (room.clone(), users.to_vec());
        self.write(rows(users.len()), move |tx| memberships::remove(tx, &room, &users)).await
    }

    async fn memberships(
        &self,
        user: &UserId,
        rooms: &[RoomId],
    ) -> Result<Vec<RoomId>, StoreError> {
        let (user, rooms) = (user.clone(), rooms.to_vec());
        self.read(move |conn| memberships::of_user(conn, &user, &rooms)).await
    }

    async fn rooms_of(
        &self,
        user: &UserId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError> {
        let (user, after) = (user.clone(), after.cloned());
        self.read(move |conn| memberships::rooms_of(conn, &user, after.as_ref(), limit)).await
    }

    async fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let (room, after) = (room.clone(), after.cloned());
        self.read(move |conn| memberships::of_room(conn, &room, after.as_ref(), limit)).await
    }
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn append_audit(&self, entries: Vec<AuditEntry>) -> Result<(), StoreError> {
        // About as large as an entry ever gets.
        let weight = Weight { rows: entries.len(), bytes: entries.len() * 2_048 };
        self.write(weight, move |tx| audit::append(tx, &entries)).await
    }

    async fn audit(
        &self,
        filter: AuditFilter,
        before: Option<AuditId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(move |conn| audit::list(conn, &filter, before, limit)).await
    }

    async fn purge_audit(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.write(rows(limit), move |tx| audit::purge(tx, before, limit)).await
    }
}

#[async_trait]
impl Revocations for SqliteStore {
    async fn revoke(
        &self,
        revocation: Revocation,
        now: Timestamp,
        most: usize,
    ) -> Result<bool, StoreError> {
        self.write(rows(1), move |tx| revocations::revoke(tx, &revocation, now, most)).await
    }

    async fn revocations(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.read(move |conn| revocations::since(conn, since, limit)).await
    }

    async fn purge_revocations(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.write(rows(limit), move |tx| revocations::purge(tx, now, limit)).await
    }
}

#[async_trait]
impl Maintenance for SqliteStore {
    async fn expire(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.write(rows(limit), move |tx| maintenance::expire(tx, now, limit)).await
    }

    async fn retain(
        &self,
        before: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<u64, StoreError> {
        self.write(rows(limit), move |tx| maintenance::retain(tx, before, now, limit)).await
    }

    async fn prune(&self, before: PruneBefore, limit: usize) -> Result<u64, StoreError> {
        self.write(rows(limit), move |tx| prune::prune(tx, before, limit)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(inboxes::any).await
    }
}
