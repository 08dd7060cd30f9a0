//! Tells the sink of committed changes, in the order in which their transactions had the locks.
//!
//! Two lanes may change one inbox one after the other, and then hear of their commits in the
//! other order. So a lane takes a [`Turn`] while it holds the locks, before it commits; what is
//! committed is told when every earlier turn is over. A turn waits for one commit of another
//! lane at most, never for a timer.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidings_core::{inbox::InboxChange, ports::ChangeSink};

pub(super) struct Teller {
    sink: Arc<dyn ChangeSink>,
    turns: Mutex<Turns>,
}

#[derive(Default)]
struct Turns {
    /// The number of the first turn in `slots`.
    first: u64,
    slots: VecDeque<Slot>,
    /// Somebody is telling now, and will go on with whatever is ready.
    telling: bool,
}

enum Slot {
    Waiting,
    Over(Option<News>),
}

struct News {
    changes: Vec<Arc<InboxChange>>,
    then: Box<dyn FnOnce() + Send>,
}

/// A place in the order; given up when dropped.
pub(super) struct Turn {
    teller: Arc<Teller>,
    number: u64,
    news: Option<News>,
}

impl Teller {
    pub(super) fn new(sink: Arc<dyn ChangeSink>) -> Arc<Self> {
        Arc::new(Self { sink, turns: Mutex::default() })
    }

    /// Taken between the locks and the commit.
    pub(super) fn turn(self: &Arc<Self>) -> Turn {
        let mut turns = self.lock();
        let number = turns.first + turns.slots.len() as u64;
        turns.slots.push_back(Slot::Waiting);
        Turn { teller: self.clone(), number, news: None }
    }

    /// Every state of the queue between two statements is whole.
    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn over(&self, number: u64, news: Option<News>) {
        let mut turns = self.lock();
        let place = usize::try_from(number.saturating_sub(turns.first)).unwrap_or(usize::MAX);
        if let Some(slot) = turns.slots.get_mut(place) {
            *slot = Slot::Over(news);
        }
        if turns.telling {
            return;
        }
        turns.telling = true;
        while let Some(news) = turns.next() {
            drop(turns);
            if let Some(news) = news {
                self.tell(news);
            }
            turns = self.lock();
        }
        turns.telling = false;
    }

    fn tell(&self, news: News) {
        if catch_unwind(AssertUnwindSafe(|| self.sink.committed(news.changes))).is_err() {
            // What it missed, clients find by their revs.
            tracing::error!(event = "store_sink_panicked", "the sink of changes panicked");
        }
        (news.then)();
    }
}

impl Turns {
    /// What the first turn left, if it is over.
    fn next(&mut self) -> Option<Option<News>> {
        if !matches!(self.slots.front(), Some(Slot::Over(_))) {
            return None;
        }
        self.first += 1;
        match self.slots.pop_front() {
            Some(Slot::Over(news)) => Some(news),
            _ => None,
        }
    }
}

impl Turn {
    /// It is committed: has the sink told when it is this one's turn, and `then` done.
    pub(super) fn committed(
        mut self,
        changes: Vec<Arc<InboxChange>>,
        then: impl FnOnce() + Send + 'static,
    ) {
        self.news = Some(News { changes, then: Box::new(then) });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.teller.over(self.number, self.news.take());
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::{
        ids::{Rev, UserId},
        inbox::ChangeKind,
        time::Timestamp,
    };
    use tidings_testkit::RecordingSink;

    use super::*;

    fn change(rev: u64) -> Vec<Arc<InboxChange>> {
        vec![Arc::new(InboxChange {
            user: UserId::new("alice").unwrap(),
            rev: Rev(rev),
            unread: 0,
            at: Timestamp::EPOCH,
            kind: ChangeKind::ReadAll { up_to: Rev(1) },
        })]
    }

    #[test]
    fn what_is_committed_first_is_told_first_whoever_hears_of_it_first() {
        let sink = RecordingSink::new();
        let teller = Teller::new(sink.clone());
        let (first, second, third, fourth) =
            (teller.turn(), teller.turn(), teller.turn(), teller.turn());
        let answered = Arc::new(Mutex::new(Vec::new()));
        let answer = |n: u64| {
            let answered = answered.clone();
            move || answered.lock().unwrap().push(n)
        };
        third.committed(change(2), answer(2));
        drop(second);
        assert!(sink.all().is_empty());
        assert!(answered.lock().unwrap().is_empty(), "nobody is answered before the sink heard");
        first.committed(change(1), answer(1));
        assert_eq!(sink.by_user()[&UserId::new("alice").unwrap()].len(), 2);
        fourth.committed(change(3), answer(3));
        assert_eq!(*answered.lock().unwrap(), [1, 2, 3]);
        assert_eq!(sink.by_user().len(), 1);
    }
}
