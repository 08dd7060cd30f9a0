//! What one device shows before it is stored.

use tidings_core::{
    ids::NotificationId,
    inbox::{ChangeKind, InboxChange},
};

/// Most of one device. Further ones it gets when they are stored.
const MOST: usize = 256;

/// Ids of notifications. An outage is long ago, most of the time: none takes no more than a pointer.
#[derive(Default)]
#[allow(clippy::box_collection, reason = "a vector takes three pointers")]
pub(super) struct Shown(Option<Box<Vec<NotificationId>>>);

impl Shown {
    pub(super) fn all(&self) -> &[NotificationId] {
        self.0.as_ref().map_or(&[], |shown| shown)
    }

    pub(super) fn has(&self, id: NotificationId) -> bool {
        self.all().contains(&id)
    }

    /// Whether there is room for it, and it is not there.
    pub(super) fn may_have(&self, id: NotificationId) -> bool {
        self.all().len() < MOST && !self.has(id)
    }

    pub(super) fn put(&mut self, id: NotificationId) {
        self.0.get_or_insert_default().push(id);
    }

    pub(super) fn is_added_by(&self, change: &InboxChange) -> bool {
        matches!(&change.kind, ChangeKind::Added { item, .. } if self.has(item.id))
    }

    /// The device was told: what was provisional is not any more.
    pub(super) fn settle(&mut self, change: &InboxChange) {
        match &change.kind {
            ChangeKind::Added { item, .. } => self.forget(&[item.id]),
            ChangeKind::Removed(ids) => self.forget(ids),
            ChangeKind::Updated(_) | ChangeKind::ReadAll { .. } | ChangeKind::Cleared { .. } => {}
        }
    }

    pub(super) fn forget(&mut self, ids: &[NotificationId]) {
        if let Some(shown) = &mut self.0 {
            shown.retain(|shown| !ids.contains(shown));
        }
        self.0.take_if(|shown| shown.is_empty());
    }
}
