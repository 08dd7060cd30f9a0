//! A bus inside one process, for one node (or, in tests, several).

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use tidings_core::{
    ids::UserId,
    inbox::InboxChange,
    ports::{Bus, BusError, BusSink},
};

/// What the nodes of one process have in common.
#[derive(Default)]
pub struct MemoryBroker {
    nodes: RwLock<Vec<Arc<Node>>>,
}

struct Node {
    /// How many subscriptions each user has.
    users: Mutex<HashMap<UserId, usize>>,
    sink: Arc<dyn BusSink>,
}

/// One node's end of the bus.
pub struct MemoryBus {
    broker: Arc<MemoryBroker>,
    node: Arc<Node>,
}

impl MemoryBroker {
    /// Adds a node; `sink` hears of the users that it subscribes to.
    pub fn join(self: &Arc<Self>, sink: Arc<dyn BusSink>) -> MemoryBus {
        let node = Arc::new(Node { users: Mutex::default(), sink });
        self.nodes.write().push(Arc::clone(&node));
        MemoryBus { broker: Arc::clone(self), node }
    }
}

impl Drop for MemoryBus {
    fn drop(&mut self) {
        self.broker.nodes.write().retain(|node| !Arc::ptr_eq(node, &self.node));
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, changes: &[Arc<InboxChange>]) -> Result<(), BusError> {
        let nodes = self.broker.nodes.read();
        for change in changes {
            for node in nodes.iter() {
                let wanted = node.users.lock().contains_key(&change.user);
                if wanted {
                    node.sink.receive(Arc::clone(change));
                }
            }
        }
        Ok(())
    }

    async fn subscribe(&self, user: &UserId) -> Result<(), BusError> {
        *self.node.users.lock().entry(user.clone()).or_default() += 1;
        Ok(())
    }

    fn unsubscribe(&self, user: &UserId) {
        if let Entry::Occupied(mut count) = self.node.users.lock().entry(user.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_core::{ids::Rev, inbox::ChangeKind, time::Timestamp};

    #[derive(Default)]
    struct Heard(Mutex<Vec<(UserId, Rev)>>);

    impl BusSink for Heard {
        fn receive(&self, change: Arc<InboxChange>) {
            self.0.lock().push((change.user.clone(), change.rev));
        }
    }

    fn change(user: &UserId, rev: u64) -> Arc<InboxChange> {
        let kind = ChangeKind::Removed(vec![]);
        Arc::new(InboxChange {
            user: user.clone(),
            rev: Rev(rev),
            unread: 0,
            at: Timestamp::EPOCH,
            kind,
        })
    }

    #[tokio::test]
    async fn nodes_hear_of_the_users_they_subscribe_to_and_in_order() {
        let broker = Arc::new(MemoryBroker::default());
        let (here, there) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        let bus = broker.join(here.clone());
        let other = broker.join(there.clone());
        let (alice, bob) = (UserId::new("alice").unwrap(), UserId::new("bob").unwrap());
        other.subscribe(&alice).await.unwrap();
        bus.publish(&[change(&alice, 1), change(&bob, 1), change(&alice, 2)]).await.unwrap();
        other.unsubscribe(&alice);
        bus.publish(&[change(&alice, 3)]).await.unwrap();
        assert!(here.0.lock().is_empty());
        assert_eq!(*there.0.lock(), [(alice.clone(), Rev(1)), (alice, Rev(2))]);
    }
}
