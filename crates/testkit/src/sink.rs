use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tidings_core::{ids::UserId, inbox::InboxChange, ports::ChangeSink};

/// Remembers every change that a store committed, in order.
#[derive(Debug, Default)]
pub struct RecordingSink {
    changes: Mutex<Vec<Arc<InboxChange>>>,
}

impl ChangeSink for RecordingSink {
    fn committed(&self, changes: Vec<Arc<InboxChange>>) {
        self.changes.lock().unwrap().extend(changes);
    }
}

impl RecordingSink {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn all(&self) -> Vec<Arc<InboxChange>> {
        self.changes.lock().unwrap().clone()
    }

    /// What came since the last call.
    pub fn take(&self) -> Vec<Arc<InboxChange>> {
        std::mem::take(&mut *self.changes.lock().unwrap())
    }

    pub fn of(&self, user: &UserId) -> Vec<Arc<InboxChange>> {
        self.all().into_iter().filter(|change| change.user == *user).collect()
    }

    /// The changes of each user, after a check that their revs go up by one from 1.
    pub fn by_user(&self) -> BTreeMap<UserId, Vec<Arc<InboxChange>>> {
        let mut users = BTreeMap::<_, Vec<Arc<InboxChange>>>::new();
        for change in self.all() {
            let of_user = users.entry(change.user.clone()).or_default();
            of_user.push(change.clone());
            assert_eq!(
                change.rev.0,
                of_user.len() as u64,
                "{}: revs must be contiguous and in order",
                change.user
            );
        }
        users
    }
}
