//! An inbox in memory, as simple as the rules allow: every count is counted anew.

use std::collections::{BTreeMap, BTreeSet};

use tidings_core::{
    ids::{NotificationId, Rev},
    inbox::{InboxOp, InboxState},
    notification::Item,
    time::Timestamp,
};

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) rev: Rev,
    pub(super) read_up_to: Rev,
    pub(super) items: BTreeMap<NotificationId, Item>,
}

impl Model {
    pub(super) fn unread(&self) -> u64 {
        self.items.values().filter(|item| item.counts_as_unread()).count() as u64
    }

    /// All but the floor, which pruning moves outside of the ledger.
    pub(super) fn state(&self) -> InboxState {
        InboxState {
            rev: self.rev,
            unread: self.unread(),
            read_up_to: self.read_up_to,
            floor: Rev(0),
        }
    }

    pub(super) fn add(&mut self, id: NotificationId) -> &Item {
        self.rev.0 += 1;
        let item = Item::new(id, self.rev);
        assert!(self.items.insert(id, item).is_none(), "{id} was added twice");
        &self.items[&id]
    }

    pub(super) fn remove(&mut self, ids: &[NotificationId]) {
        self.rev.0 += 1;
        for id in ids {
            assert!(self.items.remove(id).is_some(), "{id} was removed but was not there");
        }
    }

    /// Carries out an operation that took a rev; how many items it changed, and how many of
    /// its ids are not there.
    pub(super) fn apply(&mut self, op: &InboxOp, now: Timestamp) -> (u64, u64) {
        let before = self.rev;
        self.rev.0 += 1;
        match op {
            InboxOp::Read(ids) => self.each(ids, |item| {
                item.seen_at.get_or_insert(now);
                item.read_at.get_or_insert(now);
            }),
            InboxOp::Unread(ids) => self.each(ids, |item| item.read_at = None),
            InboxOp::Seen(ids) => self.each(ids, |item| {
                item.seen_at.get_or_insert(now);
            }),
            InboxOp::Archive(ids) => self.each(ids, |item| {
                item.archived_at.get_or_insert(now);
            }),
            InboxOp::Unarchive(ids) => self.each(ids, |item| item.archived_at = None),
            InboxOp::Delete(ids) => {
                let ids: BTreeSet<_> = ids.iter().collect();
                let all = ids.len() as u64;
                let gone =
                    ids.into_iter().filter(|id| self.items.remove(id).is_some()).count() as u64;
                (gone, all - gone)
            }
            InboxOp::ReadAll { up_to } => {
                (self.read_all(up_to.unwrap_or(before).min(before), now), 0)
            }
            InboxOp::Clear { up_to } => {
                let all = self.items.len();
                let up_to = up_to.unwrap_or(before);
                self.items.retain(|_, item| item.seq > up_to);
                ((all - self.items.len()) as u64, 0)
            }
        }
    }

    fn each(&mut self, ids: &[NotificationId], edit: impl Fn(&mut Item)) -> (u64, u64) {
        let (mut changed, mut missing) = (0, 0);
        for id in ids.iter().collect::<BTreeSet<_>>() {
            let Some(item) = self.items.get_mut(id) else {
                missing += 1;
                continue;
            };
            let mut edited = item.clone();
            edit(&mut edited);
            if edited != *item {
                *item = Item { rev: self.rev, ..edited };
                changed += 1;
            }
        }
        (changed, missing)
    }

    fn read_all(&mut self, up_to: Rev, now: Timestamp) -> u64 {
        let grows = up_to > self.read_up_to;
        let mut changed = 0;
        for item in self.items.values_mut() {
            if item.seq <= up_to && item.read_at.is_none() {
                item.read_at = Some(now);
                item.seen_at.get_or_insert(now);
                changed += 1;
                if !grows {
                    item.rev = self.rev;
                }
            }
        }
        self.read_up_to = self.read_up_to.max(up_to);
        changed
    }
}
