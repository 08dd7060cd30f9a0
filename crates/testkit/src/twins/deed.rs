//! What is done to a store, and what came of it as text.

use tidings_core::{
    ids::{DeviceId, NotificationId, Rev, RoomId, UserId},
    inbox::InboxOp,
    ports::{Accept, PruneBefore, Store, StoreError},
    time::Timestamp,
    user::User,
};

#[derive(Debug, Clone)]
pub(super) enum Deed {
    Accept(Accept),
    AcceptInOrder(Vec<Accept>),
    Change(UserId, InboxOp),
    Acknowledge(UserId, Option<DeviceId>, Rev),
    /// Takes what is due of announcements a batch further.
    Announce {
        most: usize,
        batch: usize,
    },
    Retract {
        id: NotificationId,
        batch: usize,
    },
    Withdraw {
        most: usize,
        batch: usize,
    },
    Expire {
        limit: usize,
    },
    Retain {
        before: Timestamp,
    },
    Prune {
        before: PruneBefore,
        limit: usize,
    },
    See(UserId),
    Put(User),
    Join(RoomId, Vec<UserId>),
    Leave(RoomId, Vec<UserId>),
}

impl Deed {
    pub(super) async fn run(&self, store: &dyn Store, now: Timestamp) -> String {
        match self {
            Self::Accept(accept) => told(store.accept(accept.clone()).await),
            Self::AcceptInOrder(several) => told(store.accept_in_order(several.clone()).await),
            Self::Change(user, op) => told(store.change(user, op.clone(), now).await),
            Self::Acknowledge(user, device, up_to) => {
                told(store.acknowledge(user, device.as_ref(), *up_to, now).await)
            }
            Self::Announce { most, batch } => announce(store, *most, *batch, now).await,
            Self::Retract { id, batch } => told(store.retract(*id, *batch, now).await),
            Self::Withdraw { most, batch } => withdraw(store, *most, *batch, now).await,
            Self::Expire { limit } => told(store.expire(now, *limit).await),
            Self::Retain { before } => told(store.retain(*before, now, 1_000_000).await),
            Self::Prune { before, limit } => told(store.prune(*before, *limit).await),
            Self::See(user) => told(store.see_user(user, now).await),
            Self::Put(user) => told(store.put_user(user.clone()).await),
            Self::Join(room, users) => told(store.add_members(room, users, 9).await),
            Self::Leave(room, users) => {
                let mut gone = store.remove_members(room, users).await;
                if let Ok(gone) = &mut gone {
                    gone.sort_unstable();
                }
                told(gone)
            }
        }
    }
}

async fn announce(store: &dyn Store, most: usize, batch: usize, now: Timestamp) -> String {
    let due = store.due_announcements(now, most).await;
    let mut text = format!("{due:?}");
    for id in due.unwrap_or_default() {
        text += &told(store.advance_announcement(id, batch, now).await);
        text += &told(store.announcement(id).await);
    }
    text
}

async fn withdraw(store: &dyn Store, most: usize, batch: usize, now: Timestamp) -> String {
    let due = store.due_retractions(most).await;
    let mut text = format!("{due:?}");
    for id in due.unwrap_or_default() {
        text += &told(store.advance_retraction(id, batch, now).await);
    }
    text
}

/// Of what a database itself says, the words are its own.
pub(super) fn told<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Ok(outcome) => format!("{outcome:?}"),
        Err(error @ (StoreError::Internal(_) | StoreError::Unavailable(_))) => {
            panic!("a store failed: {error}")
        }
        Err(error) => format!("{error:?}"),
    }
}
