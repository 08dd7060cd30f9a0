//! The store behind circuit breakers: while the database is away, whoever asks is answered at once.
//!
//! Reads and writes have one each, for a full disk takes no writes and can be read. Only [`StoreError::Unavailable`]
//! is a failure; every other answer shows that somebody is there.

mod erasures;

use std::{future::Future, sync::Arc, time::Instant};

use async_trait::async_trait;
use tidings_core::{
    announcement::{Announcement, Progress},
    api_key::ApiKey,
    audit::{AuditEntry, AuditFilter, AuditId},
    connection::{Connection, ConnectionFilter, ConnectionId, ConnectionNote, Lost},
    idempotency::IdempotencyClaim,
    ids::{DeviceId, NotificationId, Rev, RoomId, UserId},
    inbox::{Device, InboxOp, InboxState, OpOutcome, OpenFrom, Opening, Page, PageQuery, Sync},
    notification::Notification,
    ports::{
        Accept, AcceptOutcome, Announcements, ApiKeys, AuditLog, Connections, Inboxes, Maintenance,
        Memberships, NewMembers, PruneBefore, Retracted, Revocations, Store, StoreError, Users,
    },
    revocation::Revocation,
    time::Timestamp,
    user::User,
};

use crate::breaker::{Breaker, Breakers};

/// Said instead of an answer of the store's own.
pub(crate) const LEFT_ALONE: &str =
    "it failed several times in a row and is left alone for a while";

pub struct GuardedStore {
    store: Arc<dyn Store>,
    breakers: Arc<Breakers>,
}

type Outcome<T> = Result<T, StoreError>;

impl GuardedStore {
    pub fn new(store: Arc<dyn Store>, breakers: Arc<Breakers>) -> Self {
        Self { store, breakers }
    }

    async fn read<T>(&self, work: impl Future<Output = Outcome<T>> + Send) -> Outcome<T> {
        guard(self.breakers.reads(), true, work).await
    }

    async fn write<T>(&self, work: impl Future<Output = Outcome<T>> + Send) -> Outcome<T> {
        guard(self.breakers.writes(), true, work).await
    }

    /// May be answered from memory: that it is says nothing about the database.
    async fn maybe_read<T>(&self, work: impl Future<Output = Outcome<T>> + Send) -> Outcome<T> {
        guard(self.breakers.reads(), false, work).await
    }

    /// May find that there is nothing to write.
    async fn maybe_write<T>(&self, work: impl Future<Output = Outcome<T>> + Send) -> Outcome<T> {
        guard(self.breakers.writes(), false, work).await
    }
}

async fn guard<T>(
    breaker: &Breaker,
    answer_tells: bool,
    work: impl Future<Output = Outcome<T>> + Send,
) -> Outcome<T> {
    let Some(pass) = breaker.pass(Instant::now()) else {
        return Err(StoreError::Unavailable(LEFT_ALONE.to_owned()));
    };
    let outcome = work.await;
    match &outcome {
        Err(StoreError::Unavailable(_)) => pass.failed(Instant::now()),
        // Nothing was asked of the database.
        Err(StoreError::Busy) => drop(pass),
        Ok(_) | Err(_) if answer_tells => pass.answered(),
        Ok(_) | Err(_) => drop(pass),
    }
    outcome
}

#[async_trait]
impl Inboxes for GuardedStore {
    async fn accept(&self, accept: Accept) -> Outcome<AcceptOutcome> {
        self.write(self.store.accept(accept)).await
    }

    async fn accept_in_order(&self, requests: Vec<Accept>) -> Outcome<Vec<Outcome<AcceptOutcome>>> {
        self.write(self.store.accept_in_order(requests)).await
    }

    async fn replay(
        &self,
        claim: &IdempotencyClaim,
        now: Timestamp,
    ) -> Outcome<Option<AcceptOutcome>> {
        self.read(self.store.replay(claim, now)).await
    }

    async fn change(&self, user: &UserId, op: InboxOp, now: Timestamp) -> Outcome<OpOutcome> {
        self.write(self.store.change(user, op, now)).await
    }

    async fn acknowledge(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        up_to: Rev,
        now: Timestamp,
    ) -> Outcome<()> {
        self.maybe_write(self.store.acknowledge(user, device, up_to, now)).await
    }

    async fn state(&self, user: &UserId) -> Outcome<InboxState> {
        self.read(self.store.state(user)).await
    }

    async fn devices(&self, user: &UserId) -> Outcome<Vec<Device>> {
        self.read(self.store.devices(user)).await
    }

    async fn states(&self, users: &[UserId]) -> Outcome<Vec<(UserId, InboxState)>> {
        self.read(self.store.states(users)).await
    }

    async fn notification(
        &self,
        user: &UserId,
        id: NotificationId,
    ) -> Outcome<Option<Notification>> {
        self.read(self.store.notification(user, id)).await
    }

    async fn exists(&self, id: NotificationId) -> Outcome<bool> {
        self.read(self.store.exists(id)).await
    }

    async fn page(&self, query: PageQuery) -> Outcome<Page> {
        self.read(self.store.page(query)).await
    }

    async fn sync(&self, user: &UserId, since: Rev, limit: usize) -> Outcome<Sync> {
        self.read(self.store.sync(user, since, limit)).await
    }

    async fn rev_at(&self, user: &UserId, at: Timestamp) -> Outcome<Rev> {
        self.read(self.store.rev_at(user, at)).await
    }

    async fn open(&self, user: &UserId, from: OpenFrom) -> Outcome<Opening> {
        self.maybe_read(self.store.open(user, from)).await
    }
}

#[async_trait]
impl Announcements for GuardedStore {
    async fn announcement(&self, id: NotificationId) -> Outcome<Option<Announcement>> {
        self.read(self.store.announcement(id)).await
    }

    async fn due_announcements(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Outcome<Vec<NotificationId>> {
        self.read(self.store.due_announcements(now, limit)).await
    }

    async fn advance_announcement(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Outcome<Progress> {
        self.write(self.store.advance_announcement(id, batch, now)).await
    }

    async fn retract(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Outcome<Option<Retracted>> {
        self.write(self.store.retract(id, batch, now)).await
    }

    async fn due_retractions(&self, limit: usize) -> Outcome<Vec<NotificationId>> {
        self.read(self.store.due_retractions(limit)).await
    }

    async fn advance_retraction(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Outcome<Retracted> {
        self.write(self.store.advance_retraction(id, batch, now)).await
    }
}

#[async_trait]
impl Users for GuardedStore {
    async fn put_user(&self, user: User) -> Outcome<()> {
        self.write(self.store.put_user(user)).await
    }

    async fn see_user(&self, id: &UserId, now: Timestamp) -> Outcome<()> {
        self.maybe_write(self.store.see_user(id, now)).await
    }

    async fn user(&self, id: &UserId) -> Outcome<Option<User>> {
        self.read(self.store.user(id)).await
    }

    async fn saw_users(&self, seen: &[(UserId, Timestamp)]) -> Outcome<()> {
        self.maybe_write(self.store.saw_users(seen)).await
    }

    async fn last_seen(&self, users: &[UserId]) -> Outcome<Vec<(UserId, Timestamp)>> {
        self.read(self.store.last_seen(users)).await
    }
}

#[async_trait]
impl ApiKeys for GuardedStore {
    async fn create_api_key(&self, key: ApiKey) -> Outcome<()> {
        self.write(self.store.create_api_key(key)).await
    }

    async fn api_keys(&self) -> Outcome<Vec<ApiKey>> {
        self.read(self.store.api_keys()).await
    }

    async fn api_key(&self, hash: &[u8; 32]) -> Outcome<Option<ApiKey>> {
        self.maybe_read(self.store.api_key(hash)).await
    }

    async fn revoke_api_key(&self, id: &str, now: Timestamp) -> Outcome<bool> {
        self.write(self.store.revoke_api_key(id, now)).await
    }
}

#[async_trait]
impl Memberships for GuardedStore {
    async fn add_members(
        &self,
        room: &RoomId,
        users: &[UserId],
        most: usize,
    ) -> Outcome<NewMembers> {
        self.write(self.store.add_members(room, users, most)).await
    }

    async fn remove_members(&self, room: &RoomId, users: &[UserId]) -> Outcome<Vec<UserId>> {
        self.write(self.store.remove_members(room, users)).await
    }

    async fn memberships(&self, user: &UserId, rooms: &[RoomId]) -> Outcome<Vec<RoomId>> {
        self.maybe_read(self.store.memberships(user, rooms)).await
    }

    async fn rooms_of(
        &self,
        user: &UserId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Outcome<Vec<RoomId>> {
        self.read(self.store.rooms_of(user, after, limit)).await
    }

    async fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Outcome<Vec<UserId>> {
        self.read(self.store.members(room, after, limit)).await
    }
}

#[async_trait]
impl Revocations for GuardedStore {
    async fn revoke(&self, revocation: Revocation, now: Timestamp, most: usize) -> Outcome<bool> {
        self.write(self.store.revoke(revocation, now, most)).await
    }

    async fn revocations(&self, since: Timestamp, limit: usize) -> Outcome<Vec<Revocation>> {
        self.read(self.store.revocations(since, limit)).await
    }

    async fn purge_revocations(&self, now: Timestamp, limit: usize) -> Outcome<u64> {
        self.maybe_write(self.store.purge_revocations(now, limit)).await
    }
}

#[async_trait]
impl AuditLog for GuardedStore {
    async fn append_audit(&self, entries: Vec<AuditEntry>) -> Outcome<()> {
        self.write(self.store.append_audit(entries)).await
    }

    async fn audit(
        &self,
        filter: AuditFilter,
        before: Option<AuditId>,
        limit: usize,
    ) -> Outcome<Vec<AuditEntry>> {
        self.read(self.store.audit(filter, before, limit)).await
    }

    async fn purge_audit(&self, before: Timestamp, limit: usize) -> Outcome<u64> {
        self.maybe_write(self.store.purge_audit(before, limit)).await
    }
}

#[async_trait]
impl Connections for GuardedStore {
    async fn note_connections(&self, notes: Vec<ConnectionNote>) -> Outcome<()> {
        self.write(self.store.note_connections(notes)).await
    }

    async fn heartbeat(&self, node: &str, now: Timestamp) -> Outcome<bool> {
        self.write(self.store.heartbeat(node, now)).await
    }

    async fn connection(&self, id: ConnectionId) -> Outcome<Option<Connection>> {
        self.read(self.store.connection(id)).await
    }

    async fn connections(
        &self,
        filter: ConnectionFilter,
        before: Option<ConnectionId>,
        limit: usize,
    ) -> Outcome<Vec<Connection>> {
        self.read(self.store.connections(filter, before, limit)).await
    }

    async fn close_lost(&self, lost: Lost, limit: usize) -> Outcome<u64> {
        self.maybe_write(self.store.close_lost(lost, limit)).await
    }

    async fn ended_connections(&self, before: Timestamp, limit: usize) -> Outcome<Vec<Connection>> {
        self.read(self.store.ended_connections(before, limit)).await
    }

    async fn remove_connections(&self, ids: &[ConnectionId]) -> Outcome<()> {
        self.maybe_write(self.store.remove_connections(ids)).await
    }
}

#[async_trait]
impl Maintenance for GuardedStore {
    async fn expire(&self, now: Timestamp, limit: usize) -> Outcome<u64> {
        self.maybe_write(self.store.expire(now, limit)).await
    }

    async fn retain(&self, before: Timestamp, now: Timestamp, limit: usize) -> Outcome<u64> {
        self.maybe_write(self.store.retain(before, now, limit)).await
    }

    async fn prune(&self, before: PruneBefore, limit: usize) -> Outcome<u64> {
        self.maybe_write(self.store.prune(before, limit)).await
    }

    async fn ping(&self) -> Outcome<()> {
        self.read(self.store.ping()).await
    }
}
