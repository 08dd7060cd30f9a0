//! What a case works with: a store, the sink that it tells, a clock, and short ways to act.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    inbox::{ChangeKind, InboxChange, InboxOp, InboxState, OpOutcome, PageQuery, Sync},
    notification::{Item, NewMessage, Notification},
    ports::{Accept, AcceptOutcome, Accepted, Store},
    time::Timestamp,
    user::User,
};

use super::StoreHarness;
use crate::{ManualClock, MessageBuilder, RecordingSink, message, user};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) struct World<'h> {
    pub(super) harness: &'h dyn StoreHarness,
    pub(super) store: Arc<dyn Store>,
    pub(super) sink: Arc<RecordingSink>,
    pub(super) clock: ManualClock,
    pub(super) alice: UserId,
    pub(super) bob: UserId,
}

impl<'h> World<'h> {
    pub(super) async fn new(harness: &'h dyn StoreHarness) -> Self {
        let sink = RecordingSink::new();
        let store = harness.open(sink.clone()).await;
        let clock = ManualClock::default();
        Self { harness, store, sink, clock, alice: user("alice"), bob: user("bob") }
    }

    pub(super) async fn reopen(&mut self) {
        self.store = self.harness.reopen(self.sink.clone()).await;
    }

    /// A message to alice that is sent now; each call is a millisecond later.
    pub(super) fn message(&self) -> MessageBuilder {
        message(self.clock.tick())
    }

    pub(super) async fn accept(&self, messages: Vec<NewMessage>) -> AcceptOutcome {
        let accept = Accept { messages, idempotency: None, now: self.clock.tick() };
        self.store.accept(accept).await.unwrap()
    }

    pub(super) async fn accept_one(&self, message: MessageBuilder) -> Accepted {
        let outcome = self.accept(vec![message.build()]).await;
        assert_eq!(outcome.accepted.len(), 1);
        assert!(!outcome.replayed);
        outcome.accepted[0].clone()
    }

    /// Sends one message to one user.
    pub(super) async fn send(&self, to: &UserId) -> NotificationId {
        self.accept_one(self.message().to(std::slice::from_ref(to))).await.id
    }

    /// Sends messages to one user, each on its own.
    pub(super) async fn send_many(&self, to: &UserId, count: usize) -> Vec<NotificationId> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(self.send(to).await);
        }
        ids
    }

    /// Sends many messages to one user quickly: up to 1,000 in one request.
    pub(super) async fn fill(&self, to: &UserId, count: usize) -> Vec<NotificationId> {
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let size = (count - ids.len()).min(1_000);
            let message = || self.message().to(std::slice::from_ref(to)).build();
            let outcome = self.accept((0..size).map(|_| message()).collect()).await;
            ids.extend(outcome.accepted.into_iter().map(|accepted| accepted.id));
        }
        ids
    }

    pub(super) async fn change(&self, user: &UserId, op: InboxOp) -> OpOutcome {
        self.store.change(user, op, self.clock.tick()).await.unwrap()
    }

    pub(super) async fn state(&self, user: &UserId) -> InboxState {
        self.store.state(user).await.unwrap()
    }

    /// (rev, unread), the two that nearly every case looks at.
    pub(super) async fn counters(&self, user: &UserId) -> (u64, u64) {
        let state = self.state(user).await;
        (state.rev.0, state.unread)
    }

    pub(super) async fn find(&self, user: &UserId, id: NotificationId) -> Option<Notification> {
        self.store.notification(user, id).await.unwrap()
    }

    pub(super) async fn item(&self, user: &UserId, id: NotificationId) -> Item {
        self.find(user, id).await.unwrap().item
    }

    pub(super) async fn sync(&self, user: &UserId, since: u64, limit: usize) -> Sync {
        self.store.sync(user, Rev(since), limit).await.unwrap()
    }

    pub(super) fn query(&self, user: &UserId) -> PageQuery {
        PageQuery {
            user: user.clone(),
            limit: 20,
            before: None,
            page: None,
            unread_only: false,
            archived: false,
            kind: None,
            tenant: None,
        }
    }

    pub(super) async fn list(&self, query: PageQuery) -> Vec<NotificationId> {
        ids(&self.store.page(query).await.unwrap().notifications)
    }

    pub(super) async fn put_user(&self, id: &UserId) {
        let created_at = self.clock.tick();
        let user = User { id: id.clone(), name: None, avatar_url: None, created_at };
        self.store.put_user(user).await.unwrap();
    }

    pub(super) async fn put_users(&self, users: &[UserId]) {
        for user in users {
            self.put_user(user).await;
        }
    }

    /// Serves an announcement to its end; returns how many got it.
    pub(super) async fn announce(&self, id: NotificationId, batch: usize) -> u64 {
        let mut added = 0;
        loop {
            let now = self.clock.tick();
            let progress = self.store.advance_announcement(id, batch, now).await.unwrap();
            added += progress.added;
            if progress.finished {
                return added;
            }
        }
    }

    /// The only change since the last look.
    pub(super) fn only_change(&self) -> Arc<InboxChange> {
        let changes = self.sink.take();
        assert_eq!(changes.len(), 1, "{changes:?}");
        changes[0].clone()
    }

    pub(super) fn later(&self, by: Duration) -> Timestamp {
        self.clock.advance(by)
    }
}

pub(super) fn ids(notifications: &[Notification]) -> Vec<NotificationId> {
    notifications.iter().map(|notification| notification.item.id).collect()
}

pub(super) fn reversed(ids: &[NotificationId]) -> Vec<NotificationId> {
    ids.iter().rev().copied().collect()
}

pub(super) fn added(change: &InboxChange) -> &Item {
    match &change.kind {
        ChangeKind::Added { item, .. } => item,
        other => panic!("expected an item added, got {other:?}"),
    }
}

pub(super) fn updated(change: &InboxChange) -> &[Item] {
    match &change.kind {
        ChangeKind::Updated(items) => items,
        other => panic!("expected items updated, got {other:?}"),
    }
}

pub(super) fn removed(change: &InboxChange) -> &[NotificationId] {
    match &change.kind {
        ChangeKind::Removed(ids) => ids,
        other => panic!("expected items removed, got {other:?}"),
    }
}
