//! Tells the sink of committed changes, in the order in which their transactions had the locks.
//!
//! Two lanes may change one inbox one after the other, and then hear of their commits in the
//! other order. So a lane takes a [`Turn`] while it holds the locks, before it commits; what is
//! committed is told when every earlier turn is over. A turn waits for one commit of another
//! lane at most, never for a timer. The sink may block: it is told on a thread of its own, and
//! lanes wait when it falls behind.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
};

use tidings_core::{
    inbox::InboxChange,
    ports::{ChangeSink, StoreError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::{Failure, Result};

/// Batches that may wait for the sink.
const WAITING: usize = 16;

pub(super) struct Teller {
    room: Arc<Semaphore>,
    thread: mpsc::Sender<News>,
    turns: Mutex<Turns>,
}

#[derive(Default)]
struct Turns {
    /// The number of the first turn in `slots`.
    first: u64,
    slots: VecDeque<Slot>,
}

enum Slot {
    Waiting,
    Over(Option<News>),
}

struct News {
    changes: Vec<Arc<InboxChange>>,
    then: Box<dyn FnOnce() + Send>,
    _room: OwnedSemaphorePermit,
}

/// A place in the order; given up when dropped.
pub(super) struct Turn {
    teller: Arc<Teller>,
    number: u64,
    room: Option<OwnedSemaphorePermit>,
    news: Option<News>,
}

impl Teller {
    /// The thread ends when the teller is gone and everything was told.
    pub(super) fn start(sink: Arc<dyn ChangeSink>) -> Result<(Arc<Self>, JoinHandle<()>)> {
        let (sender, news) = mpsc::channel::<News>();
        let handle = std::thread::Builder::new()
            .name("tidings-teller".into())
            .spawn(move || news.into_iter().for_each(|news| tell(&*sink, news)))
            .map_err(|error| {
                Failure::Store(StoreError::Unavailable(format!("no thread to tell: {error}")))
            })?;
        let room = Arc::new(Semaphore::new(WAITING));
        Ok((Arc::new(Self { room, thread: sender, turns: Mutex::default() }), handle))
    }

    /// Waits until the sink is not too far behind. Asked for before a transaction begins, so
    /// that nobody waits with locks in hand.
    pub(super) async fn room(&self) -> Result<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.map_err(Failure::corrupt)
    }

    /// Taken between the locks and the commit.
    pub(super) fn turn(self: &Arc<Self>, room: OwnedSemaphorePermit) -> Turn {
        let mut turns = self.lock();
        let number = turns.first + turns.slots.len() as u64;
        turns.slots.push_back(Slot::Waiting);
        Turn { teller: self.clone(), number, room: Some(room), news: None }
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
        while let Some(news) = turns.next() {
            let Some(news) = news else { continue };
            if self.thread.send(news).is_err() {
                tracing::error!(event = "store_teller_gone", "nobody hears of changes");
            }
        }
    }
}

fn tell(sink: &dyn ChangeSink, news: News) {
    if catch_unwind(AssertUnwindSafe(|| sink.committed(news.changes))).is_err() {
        // What it missed, clients find by their revs.
        tracing::error!(event = "store_sink_panicked", "the sink of changes panicked");
    }
    (news.then)();
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
        let Some(room) = self.room.take() else { return };
        self.news = Some(News { changes, then: Box::new(then), _room: room });
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

    #[tokio::test]
    async fn what_is_committed_first_is_told_first_whoever_hears_of_it_first() {
        let sink = RecordingSink::new();
        let (teller, thread) = Teller::start(sink.clone()).unwrap();
        let mut turns = Vec::new();
        for _ in 0..4 {
            turns.push(teller.turn(teller.room().await.unwrap()));
        }
        let answered = Arc::new(Mutex::new(Vec::new()));
        let answer = |n: usize| {
            let (answered, sink) = (answered.clone(), sink.clone());
            move || answered.lock().unwrap().push((n, sink.all().len()))
        };
        let [first, second, third, fourth] = turns.try_into().ok().unwrap();
        third.committed(change(2), answer(2));
        drop(second);
        first.committed(change(1), answer(1));
        fourth.committed(change(3), answer(3));
        drop(teller);
        thread.join().unwrap();
        // Each is answered after the sink heard of it.
        assert_eq!(*answered.lock().unwrap(), [(1, 1), (2, 2), (3, 3)]);
        assert_eq!(sink.by_user().len(), 1);
    }
}
