//! Changes that one device is not told yet.

use std::{collections::BTreeMap, sync::Arc};

use tidings_core::{ids::Rev, inbox::InboxChange};

/// Changes by rev. Hardly ever is there one, so that none takes no more than a pointer.
#[derive(Default)]
#[allow(clippy::box_collection, reason = "a map takes three pointers")]
pub(super) struct Held(Option<Box<BTreeMap<Rev, Arc<InboxChange>>>>);

impl Held {
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn put(&mut self, change: &Arc<InboxChange>) {
        self.0.get_or_insert_default().insert(change.rev, Arc::clone(change));
    }

    pub(super) fn take(&mut self, rev: Rev) -> Option<Arc<InboxChange>> {
        let change = self.0.as_mut()?.remove(&rev);
        self.0.take_if(|held| held.is_empty());
        change
    }

    pub(super) fn forget_up_to(&mut self, known: Rev) {
        if let Some(held) = &mut self.0 {
            held.retain(|rev, _| *rev > known);
        }
        self.0.take_if(|held| held.is_empty());
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}
