//! What waits to be written to the store by a loop, so that nobody has to wait for it: bounded,
//! and what finds no room is counted by whoever brings it.

use std::collections::VecDeque;

pub(crate) struct Backlog<T> {
    queue: VecDeque<T>,
    most: usize,
    /// It ran full, and that was said.
    overrun: bool,
}

/// There was no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    /// For the first time since something was written.
    pub(crate) is_news: bool,
}

impl<T> Backlog<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self { queue: VecDeque::new(), most, overrun: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push(&mut self, item: T) -> Result<(), Full> {
        if self.queue.len() < self.most {
            self.queue.push_back(item);
            return Ok(());
        }
        Err(Full { is_news: !std::mem::replace(&mut self.overrun, true) })
    }

    /// The first ones, at most so many.
    pub(crate) fn take(&mut self, most: usize) -> Vec<T> {
        let most = self.queue.len().min(most);
        let batch = self.queue.drain(..most).collect();
        if self.queue.is_empty() {
            // What a burst needed is not kept for the next one.
            self.queue = VecDeque::new();
        }
        batch
    }

    /// The batch was written.
    pub(crate) fn written(&mut self) {
        self.overrun = false;
    }

    /// The batch was not written: they are the first again. Gives how many found no room.
    pub(crate) fn put_back(&mut self, batch: Vec<T>) -> usize {
        let room = self.most.saturating_sub(self.queue.len());
        let lost = batch.len().saturating_sub(room);
        for item in batch.into_iter().skip(lost).rev() {
            self.queue.push_front(item);
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_is_the_first_again() {
        let mut backlog = Backlog::new(4);
        for n in 0..3 {
            backlog.push(n).unwrap();
        }
        let batch = backlog.take(2);
        assert_eq!(batch, [0, 1]);
        backlog.push(3).unwrap();
        assert_eq!(backlog.put_back(batch), 0);
        assert_eq!(backlog.take(9), [0, 1, 2, 3]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn what_finds_no_room_is_said_once_until_something_is_written() {
        let mut backlog = Backlog::new(2);
        backlog.push(1).unwrap();
        backlog.push(2).unwrap();
        assert_eq!(backlog.push(3), Err(Full { is_news: true }));
        assert_eq!(backlog.push(3), Err(Full { is_news: false }));
        let batch = backlog.take(2);
        backlog.push(3).unwrap();
        assert_eq!(backlog.put_back(batch), 1, "the newer of them finds room");
        assert_eq!(backlog.take(2), [2, 3]);
        backlog.written();
        backlog.push(4).unwrap();
        backlog.push(5).unwrap();
        assert_eq!(backlog.push(6), Err(Full { is_news: true }));
    }
}
