//! What this node listens to: how often each was asked for, and whether Redis has confirmed it.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    time::{Duration, Instant},
};

use super::{channel::Topic, partition::Partition};

/// Which connection confirmed a subscription: each has its own number, from 1.
pub(super) type Generation = u32;

#[derive(Default)]
pub(super) struct Topics {
    subscribed: HashMap<Topic, Subscribed>,
    /// Those that were given back, the longest ago first.
    idle: VecDeque<(Instant, Topic)>,
}

#[derive(Default, Clone, Copy)]
struct Subscribed {
    count: u32,
    /// Zero: not yet.
    confirmed: Generation,
}

impl Topics {
    pub(super) fn add(&mut self, topic: &Topic) {
        match self.subscribed.entry(topic.clone()) {
            Entry::Occupied(mut subscribed) => subscribed.get_mut().count += 1,
            Entry::Vacant(vacant) => {
                vacant.insert(Subscribed { count: 1, confirmed: 0 });
            }
        }
    }

    pub(super) fn give_back(&mut self, topic: &Topic, now: Instant) {
        let Some(subscribed) = self.subscribed.get_mut(topic) else { return };
        subscribed.count = subscribed.count.saturating_sub(1);
        if subscribed.count == 0 {
            self.idle.push_back((now, topic.clone()));
        }
    }

    /// Whether somebody here wants to hear it.
    pub(super) fn is_wanted(&self, topic: &Topic) -> bool {
        self.subscribed.get(topic).is_some_and(|subscribed| subscribed.count > 0)
    }

    pub(super) fn is_confirmed(&self, topic: &Topic, by: Generation) -> bool {
        by > 0 && self.subscribed.get(topic).is_some_and(|s| s.confirmed == by)
    }

    pub(super) fn confirm<'a>(
        &mut self,
        topics: impl IntoIterator<Item = &'a Topic>,
        by: Generation,
    ) {
        for topic in topics {
            if let Some(subscribed) = self.subscribed.get_mut(topic) {
                subscribed.confirmed = by;
            }
        }
    }

    /// Forgets what nobody has wanted for so long, and gives it.
    pub(super) fn take_idle(&mut self, linger: Duration, now: Instant) -> Vec<Topic> {
        let mut taken = Vec::new();
        while self.idle.front().is_some_and(|(since, _)| now.duration_since(*since) >= linger) {
            let Some((_, topic)) = self.idle.pop_front() else { break };
            if let Entry::Occupied(subscribed) = self.subscribed.entry(topic.clone())
                && subscribed.get().count == 0
            {
                subscribed.remove();
                taken.push(topic);
            }
        }
        taken
    }

    /// What lies in these partitions and a connection has not confirmed.
    pub(super) fn unheard(&self, partitions: &[Partition], by: Generation) -> Vec<Topic> {
        let here = |topic: &Topic| partitions.binary_search(&topic.partition()).is_ok();
        let unheard = self.subscribed.iter().filter(|(topic, s)| s.confirmed != by && here(topic));
        unheard.map(|(topic, _)| topic.clone()).collect()
    }

    /// Leaves what has been forgotten and not been asked for again.
    pub(super) fn drop_wanted(&self, forgotten: &mut Vec<Topic>) {
        forgotten.retain(|topic| !self.subscribed.contains_key(topic));
    }

    pub(super) fn len(&self) -> usize {
        self.subscribed.len()
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::ids::UserId;

    use super::*;

    #[test]
    fn what_comes_back_soon_stays_subscribed() {
        let alice = Topic::User(UserId::new("alice").unwrap());
        let (start, linger) = (Instant::now(), Duration::from_secs(5));
        let mut topics = Topics::default();
        topics.add(&alice);
        topics.confirm([&alice], 1);
        topics.give_back(&alice, start);
        assert!(!topics.is_wanted(&alice));
        assert!(topics.take_idle(linger, start + linger / 2).is_empty());
        topics.add(&alice);
        assert!(topics.is_confirmed(&alice, 1) && !topics.is_confirmed(&alice, 2));
        assert!(topics.take_idle(linger, start + linger).is_empty());
        topics.give_back(&alice, start + linger);
        assert_eq!(topics.take_idle(linger, start + linger * 2), std::slice::from_ref(&alice));
        assert_eq!(topics.len(), 0);
        let mut forgotten = vec![alice.clone()];
        topics.drop_wanted(&mut forgotten);
        assert_eq!(forgotten, std::slice::from_ref(&alice));
        topics.add(&alice);
        assert!(!topics.is_confirmed(&alice, 1));
        topics.drop_wanted(&mut forgotten);
        assert!(forgotten.is_empty(), "it is wanted again");
        let partitions: Vec<Partition> = Partition::all().collect();
        assert_eq!(topics.unheard(&partitions, 2), std::slice::from_ref(&alice));
        topics.confirm([&alice], 2);
        assert!(topics.unheard(&partitions, 2).is_empty());
        assert!(topics.unheard(&[], 3).is_empty());
    }
}
