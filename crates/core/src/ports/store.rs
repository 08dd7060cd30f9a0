//! The store: the truth of the system. Every method is one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Connections, Erasures};
use crate::{
    announcement::{Announcement, Progress},
    api_key::ApiKey,
    audit::{AuditEntry, AuditFilter, AuditId},
    idempotency::IdempotencyClaim,
    ids::{DeviceId, NotificationId, Rev, RoomId, UserId},
    inbox::{
        Device, InboxChange, InboxOp, InboxState, OpOutcome, OpenFrom, Opening, Page, PageQuery,
        Sync,
    },
    notification::{NewMessage, Notification},
    revocation::Revocation,
    time::Timestamp,
    user::User,
};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// This idempotency key was used for a different request.
    #[error("the idempotency key was used for a different request")]
    IdempotencyMismatch,
    /// Too much is queued; nothing was done.
    #[error("the store is busy")]
    Busy,
    /// The database is away, its disk is full or it refuses; nothing was done, or (a lost
    /// commit) it is not known whether it was.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The database holds what it never should, or the adapter is wrong.
    #[error("the store failed: {0}")]
    Internal(String),
}

/// Messages of one request, accepted all or none.
#[derive(Debug, Clone)]
pub struct Accept {
    pub messages: Vec<NewMessage>,
    pub idempotency: Option<IdempotencyClaim>,
    pub now: Timestamp,
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// With `duplicate`: the id of the notification that was there first.
    pub id: NotificationId,
    /// Users who got it, or (an announcement) who will get it.
    pub recipients: u64,
    /// Every recipient already has a notification with this dedupe key.
    pub duplicate: bool,
    /// It is a job: see [`Announcements::announcement`].
    pub announced: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptOutcome {
    /// One for each message, in order.
    pub accepted: Vec<Accepted>,
    /// The idempotency key was known: this is the first request's outcome, nothing was done.
    pub replayed: bool,
    /// The note of the first request's claim.
    pub note: String,
}

/// The outcome of a retraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retracted {
    /// Inboxes that it was taken out of, in this transaction.
    pub removed: u64,
    /// More inboxes hold it: [`Announcements::advance_retraction`] goes on.
    pub more: bool,
}

/// Hears of every committed change, in the order of commit per user, before the operation
/// that made it returns. Must be quick: the store's writer waits for it.
pub trait ChangeSink: Send + std::marker::Sync + 'static {
    fn committed(&self, changes: Vec<Arc<InboxChange>>);
}

/// Inboxes: accept, change, read.
#[async_trait]
pub trait Inboxes {
    /// Stores messages for their recipients. What goes at once and what becomes an
    /// announcement: `sendAt` in the future, all users, a room, or more than
    /// [`MAX_IMMEDIATE`](crate::announcement::MAX_IMMEDIATE) items × recipients in the request
    /// make announcements of every message concerned. With
    /// [`MAX_DUE`](crate::announcement::MAX_DUE) of them due already, it is `Busy`.
    async fn accept(&self, accept: Accept) -> Result<AcceptOutcome, StoreError>;

    /// Carries out requests one after the other, each as [`accept`](Self::accept) does, in one
    /// transaction. It ends with the first that is `Busy`, so there may be fewer outcomes than
    /// requests. `Err` of the whole: nothing was done, perhaps because one of them is at fault.
    async fn accept_in_order(
        &self,
        requests: Vec<Accept>,
    ) -> Result<Vec<Result<AcceptOutcome, StoreError>>, StoreError>;

    /// The outcome of the request that had this idempotency key first, if there was one.
    /// Asked before a request is checked: what was valid then may not be valid any more.
    async fn replay(
        &self,
        claim: &IdempotencyClaim,
        now: Timestamp,
    ) -> Result<Option<AcceptOutcome>, StoreError>;

    async fn change(
        &self,
        user: &UserId,
        op: InboxOp,
        now: Timestamp,
    ) -> Result<OpOutcome, StoreError>;

    /// Marks items with `seq` up to `up_to` as delivered (which takes no rev) and moves the
    /// device's cursor forward; a cursor never goes back.
    async fn acknowledge(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        up_to: Rev,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    async fn state(&self, user: &UserId) -> Result<InboxState, StoreError>;

    /// The devices that acknowledged something and are not forgotten, by id.
    async fn devices(&self, user: &UserId) -> Result<Vec<Device>, StoreError>;

    /// The counters of many users in one query, for those who may have missed something.
    async fn states(&self, users: &[UserId]) -> Result<Vec<(UserId, InboxState)>, StoreError>;

    async fn notification(
        &self,
        user: &UserId,
        id: NotificationId,
    ) -> Result<Option<Notification>, StoreError>;

    /// Whether any inbox may hold it: tells a stranger's notification from none at all.
    async fn exists(&self, id: NotificationId) -> Result<bool, StoreError>;

    async fn page(&self, query: PageQuery) -> Result<Page, StoreError>;

    /// About `limit` changes since `since`, whole revs only.
    async fn sync(&self, user: &UserId, since: Rev, limit: usize) -> Result<Sync, StoreError>;

    /// The rev that a client had which last heard of this inbox at `at`: every change after
    /// that instant has a higher one.
    async fn rev_at(&self, user: &UserId, at: Timestamp) -> Result<Rev, StoreError>;

    /// State and pending in one snapshot, for a client that connects. With
    /// [`OpenFrom::Newest`] pending holds the newest [`PENDING`](crate::inbox::PENDING) unread,
    /// oldest first.
    async fn open(&self, user: &UserId, from: OpenFrom) -> Result<Opening, StoreError>;
}

/// Announcements: the jobs behind messages with many recipients, and their retraction.
#[async_trait]
pub trait Announcements {
    async fn announcement(&self, id: NotificationId) -> Result<Option<Announcement>, StoreError>;

    /// Ids of announcements that have work to do now, the oldest first.
    async fn due_announcements(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<NotificationId>, StoreError>;

    /// Serves the next `batch` recipients; recipients and cursor move in one transaction, so
    /// that a crash repeats nothing and leaves out nobody.
    async fn advance_announcement(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Result<Progress, StoreError>;

    /// Takes a message back: out of the inboxes, and what is still to be announced stops.
    /// `None`: there is no such message.
    async fn retract(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Result<Option<Retracted>, StoreError>;

    /// Retracted messages that inboxes still hold.
    async fn due_retractions(&self, limit: usize) -> Result<Vec<NotificationId>, StoreError>;

    async fn advance_retraction(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Result<Retracted, StoreError>;
}

/// Users.
#[async_trait]
pub trait Users {
    /// Creates or replaces what is known about a user.
    async fn put_user(&self, user: User) -> Result<(), StoreError>;

    /// Makes sure that the user has a row, and so hears of announcements. Writes only once.
    async fn see_user(&self, id: &UserId, now: Timestamp) -> Result<(), StoreError>;

    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError>;

    /// Notes when others last saw these users; never an earlier time than is noted. Users
    /// without a row are left out.
    async fn saw_users(&self, seen: &[(UserId, Timestamp)]) -> Result<(), StoreError>;

    /// When others last saw those of these users who were ever seen, without order.
    async fn last_seen(&self, users: &[UserId]) -> Result<Vec<(UserId, Timestamp)>, StoreError>;
}

/// API keys.
#[async_trait]
pub trait ApiKeys {
    async fn create_api_key(&self, key: ApiKey) -> Result<(), StoreError>;

    /// Also the revoked ones; the oldest first.
    async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// By hash; a revoked key is not found.
    async fn api_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, StoreError>;

    /// `false`: there is no such key that was not revoked before.
    async fn revoke_api_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError>;
}

/// What became of users who were to be members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewMembers {
    /// How many were none before.
    Added(u64),
    /// The room would have had more members than its kind allows; nobody was added.
    Full { members: u64 },
}

/// The members of rooms, as the application keeps them.
#[async_trait]
pub trait Memberships {
    /// Makes users members of a room, all or none: it has at most `most` afterwards.
    async fn add_members(
        &self,
        room: &RoomId,
        users: &[UserId],
        most: usize,
    ) -> Result<NewMembers, StoreError>;

    /// Gives those who were members until now.
    async fn remove_members(
        &self,
        room: &RoomId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError>;

    /// Which of the rooms the user is a member of.
    async fn memberships(&self, user: &UserId, rooms: &[RoomId])
    -> Result<Vec<RoomId>, StoreError>;

    /// All rooms that the user is a member of, by id, after `after`.
    async fn rooms_of(
        &self,
        user: &UserId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError>;

    /// Members by id, after `after`.
    async fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError>;
}

/// Tokens that were taken back.
#[async_trait]
pub trait Revocations {
    /// Of two for the same, the later instants hold. `false`: `most` stand already.
    async fn revoke(
        &self,
        revocation: Revocation,
        now: Timestamp,
        most: usize,
    ) -> Result<bool, StoreError>;

    /// Those made at `since` or later, the latest first.
    async fn revocations(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Revocation>, StoreError>;

    /// Removes up to `limit` that have ended; zero means done.
    async fn purge_revocations(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError>;
}

/// The audit log.
#[async_trait]
pub trait AuditLog {
    /// Stores entries. One whose id is there already takes the place of its count and `last_at`:
    /// it happened again.
    async fn append_audit(&self, entries: Vec<AuditEntry>) -> Result<(), StoreError>;

    /// Newest first, from the one before `before` on.
    async fn audit(
        &self,
        filter: AuditFilter,
        before: Option<AuditId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// Removes up to `limit` entries made before `before`; zero means done.
    async fn purge_audit(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError>;
}

/// What may go, by its age.
#[derive(Debug, Clone, Copy)]
pub struct PruneBefore {
    pub tombstones: Timestamp,
    /// Idempotency keys and dedupe keys.
    pub idempotency: Timestamp,
    /// Finished announcements.
    pub announcements: Timestamp,
}

/// Upkeep. Each call does at most `limit` rows and says how many, so that nothing holds the
/// database for long; zero means done.
#[async_trait]
pub trait Maintenance {
    /// Removes notifications whose `expiresAt` has come: a change like a deletion.
    async fn expire(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError>;

    /// Removes notifications created before `before`, and their bodies.
    async fn retain(
        &self,
        before: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<u64, StoreError>;

    async fn prune(&self, before: PruneBefore, limit: usize) -> Result<u64, StoreError>;

    /// Fails if the database cannot be read.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// The whole store.
pub trait Store:
    Inboxes
    + Announcements
    + Users
    + ApiKeys
    + Memberships
    + AuditLog
    + Revocations
    + Connections
    + Erasures
    + Maintenance
    + Send
    + std::marker::Sync
    + 'static
{
}

impl<T> Store for T where
    T: Inboxes
        + Announcements
        + Users
        + ApiKeys
        + Memberships
        + AuditLog
        + Revocations
        + Connections
        + Erasures
        + Maintenance
        + Send
        + std::marker::Sync
        + 'static
{
}
