//! The inbox: one user's notifications, and the one counter that orders every change to it.
//!
//! Every change operation takes the next value of the user's counter (a [`Rev`]), contiguous
//! from 1. A client that holds everything up to rev `n` asks for what came since `n`.

pub mod transition;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{DeviceId, NotificationId, Rev, UserId},
    notification::{Item, Message, Notification},
    time::Timestamp,
};

/// Most ids in one operation.
pub const MAX_IDS: usize = 1_000;
/// Most notifications on one page of a list.
pub const MAX_PAGE: usize = 100;
/// Notifications on a page when nobody says how many.
pub const DEFAULT_PAGE: usize = 20;
/// Most items (about) in one answer to `sync`.
pub const SYNC_PAGE: usize = 200;
/// Unread notifications that a client without a cursor gets when it connects.
pub const PENDING: usize = 50;

/// What a user does to the own inbox. Each that changes anything takes one [`Rev`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxOp {
    /// Reading a notification also means that it was seen.
    Read(Vec<NotificationId>),
    Unread(Vec<NotificationId>),
    Seen(Vec<NotificationId>),
    Archive(Vec<NotificationId>),
    Unarchive(Vec<NotificationId>),
    Delete(Vec<NotificationId>),
    /// Everything with `seq` up to this (all, if `None`) is read: one watermark.
    ReadAll {
        up_to: Option<Rev>,
    },
    /// Everything with `seq` up to this (all, if `None`) is deleted.
    Clear {
        up_to: Option<Rev>,
    },
}

/// Where an inbox stands: the counter, what is unread, and its two watermarks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboxState {
    pub rev: Rev,
    pub unread: u64,
    pub read_up_to: Rev,
    /// Below it tombstones are gone: who asks from there must start over.
    #[serde(skip)]
    pub floor: Rev,
}

/// The outcome of an [`InboxOp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpOutcome {
    /// The inbox after the operation.
    pub state: InboxState,
    /// How many items it changed. Zero took no rev.
    pub changed: u64,
    /// How many of the given ids are not in this inbox.
    pub missing: u64,
}

/// A committed change of one user's inbox: what travels over the bus to the devices.
#[derive(Debug, Clone)]
pub struct InboxChange {
    pub user: UserId,
    /// The counter and unread count right after this change.
    pub rev: Rev,
    pub unread: u64,
    /// When it was asked for: from here on counts how long a device waits for it.
    pub at: Timestamp,
    pub kind: ChangeKind,
}

#[derive(Debug, Clone)]
pub enum ChangeKind {
    Added {
        message: Arc<Message>,
        item: Item,
    },
    /// Items whose state changed, as they are now.
    Updated(Vec<Item>),
    Removed(Vec<NotificationId>),
    /// The watermark grew: everything with `seq` up to this is read.
    ReadAll {
        up_to: Rev,
    },
    /// Everything with `seq` up to this is gone.
    Cleared {
        up_to: Rev,
    },
}

/// A device as its user's inbox knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub id: DeviceId,
    /// Where its acknowledgements got to.
    pub cursor: Rev,
    /// When they last got further.
    pub used_at: Timestamp,
}

/// Which notifications to list. Newest first, by `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    pub user: UserId,
    pub limit: usize,
    /// Only items with a `seq` below this.
    pub before: Option<Rev>,
    /// Numbered pages from 1, for those who cannot use cursors; also counts the total.
    pub page: Option<u32>,
    pub unread_only: bool,
    pub archived: bool,
    pub kind: Option<String>,
    pub tenant: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Page {
    pub notifications: Vec<Notification>,
    pub has_more: bool,
    /// Counted only for numbered pages.
    pub total: Option<u64>,
}

/// What changed in an inbox since some rev, all of it read in one snapshot.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// Items whose `rev` lies in `(since, to]`, by `(rev, id)`. With `reset`: the newest
    /// notifications, which take the place of everything that the client holds.
    pub items: Vec<Notification>,
    /// Notifications deleted in `(since, to]`.
    pub removed: Vec<NotificationId>,
    /// Everything with `seq` up to this is read. It counts when it is greater than what the
    /// client knew; items of this answer come after it.
    pub read_up_to: Rev,
    pub unread: u64,
    /// Where the client stands after this answer: its next `since`.
    pub to: Rev,
    /// There is more: ask again with `since` = `to`.
    pub has_more: bool,
    /// The client's `since` is too old (or not of this inbox): forget everything first.
    pub reset: bool,
}

/// From where a connecting client wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenFrom {
    /// It holds everything up to this rev.
    Since(Rev),
    /// The device's stored cursor; a new device is served as [`OpenFrom::Newest`].
    Device(DeviceId),
    /// The newest unread.
    Newest,
}

/// What a client gets when it connects: state and pending, read in one snapshot.
#[derive(Debug, Clone)]
pub struct Opening {
    pub state: InboxState,
    pub pending: Sync,
    /// Where pending continues; `None`: it is the newest unread.
    pub since: Option<Rev>,
}
