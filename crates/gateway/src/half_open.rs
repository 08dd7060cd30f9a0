//! Connections that have not asked for anything yet. Each takes memory and a file, so there are bounds, one on their
//! number and one on the files of all connections: beyond either the one that has waited longest is cut. Who means it asks
//! within a round trip and is never the oldest for long; who only opens connections cuts its own. When everybody comes back
//! at once, from far away, all of them are half open for that round trip: the bounds have to leave them room. After a
//! stall of ours many come at once whose requests lie unread: those are read first, and who has asked is spared.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use crate::cut::Cut;

/// Of those that wait no longer so many may stand behind one that does, before the queue is gone through.
const SETTLED: usize = 256;

/// Of all connections that came, those that may still be half open, the oldest first.
pub(crate) struct HalfOpen {
    most: usize,
    sockets: usize,
    count: Arc<Count>,
    queue: VecDeque<Arc<Newcomer>>,
}

#[derive(Default)]
struct Count {
    /// Connections that have not asked yet.
    waiting: AtomicUsize,
    /// All connections.
    open: AtomicUsize,
}

/// A connection from its acceptance on. It counts until it asks for something, is cut, or ends.
pub(crate) struct Newcomer {
    pub(crate) cut: Cut,
    count: Arc<Count>,
    counts: AtomicBool,
    asked: AtomicBool,
}

/// Held by who serves the connection.
pub(crate) struct Serving(Arc<Newcomer>);

impl HalfOpen {
    pub(crate) fn new(most: usize, sockets: usize) -> Self {
        Self { most: most.max(1), sockets, count: Arc::default(), queue: VecDeque::new() }
    }

    /// Takes in a connection. Whether another one had to go for it.
    pub(crate) fn enter(&mut self) -> (Serving, bool) {
        let newcomer = Arc::new(Newcomer {
            cut: Cut::default(),
            count: self.count.clone(),
            counts: AtomicBool::new(true),
            asked: AtomicBool::new(false),
        });
        let waiting = self.count.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        let open = self.count.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.queue.push_back(newcomer.clone());
        let crowded = (waiting > self.most || open > self.sockets) && self.cut_oldest();
        self.forget();
        (Serving(newcomer), crowded)
    }

    fn cut_oldest(&mut self) -> bool {
        while let Some(oldest) = self.queue.pop_front() {
            if oldest.settle() {
                oldest.cut.wake();
                return true;
            }
        }
        false
    }

    /// Lets go of those that wait no longer. Together they were pushed as often as they are looked at here.
    fn forget(&mut self) {
        while self.queue.front().is_some_and(|oldest| oldest.is_settled()) {
            self.queue.pop_front();
        }
        if self.queue.len() > 2 * (self.count.waiting.load(Ordering::Relaxed) + SETTLED) {
            self.queue.retain(|newcomer| !newcomer.is_settled());
        }
    }
}

impl Newcomer {
    fn is_settled(&self) -> bool {
        !self.counts.load(Ordering::Relaxed)
    }

    /// It counts no longer. Whether it did until now.
    fn settle(&self) -> bool {
        let counted = self.counts.swap(false, Ordering::Relaxed);
        if counted {
            self.count.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        counted
    }

    /// It has sent a request.
    pub(crate) fn asks(&self) {
        if !self.asked.swap(true, Ordering::Relaxed) {
            self.settle();
        }
    }

    /// Ready when it has to go. To be asked after all that has come was read.
    pub(crate) fn poll_cut(&self, cx: &Context<'_>) -> Poll<()> {
        let cut = self.cut.poll(cx);
        let too_late = self.is_settled() && !self.asked.load(Ordering::Relaxed);
        if too_late { Poll::Ready(()) } else { cut }
    }
}

impl Serving {
    pub(crate) fn newcomer(&self) -> &Arc<Newcomer> {
        &self.0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.settle();
        self.0.count.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_cut(serving: &Serving) -> bool {
        let context = Context::from_waker(std::task::Waker::noop());
        serving.0.poll_cut(&context).is_ready()
    }

    #[test]
    fn the_oldest_that_never_asked_goes_first() {
        let mut half_open = HalfOpen::new(2, usize::MAX);
        let (first, _) = half_open.enter();
        first.newcomer().asks();
        let (second, _) = half_open.enter();
        let (third, crowded) = half_open.enter();
        assert!(!crowded);
        let (fourth, crowded) = half_open.enter();
        assert!(crowded);
        let cut = [&first, &second, &third, &fourth].map(is_cut);
        assert_eq!(cut, [false, true, false, false]);
        // Its request lay there unread.
        second.newcomer().asks();
        assert!(!is_cut(&second));
    }

    #[test]
    fn without_files_the_oldest_that_never_asked_goes_too() {
        let mut half_open = HalfOpen::new(100, 3);
        let served = [half_open.enter().0, half_open.enter().0];
        served.iter().for_each(|serving| serving.newcomer().asks());
        let (first, crowded) = half_open.enter();
        assert!(!crowded);
        let (second, crowded) = half_open.enter();
        assert!(crowded && is_cut(&first) && !is_cut(&second));
        drop(first);
        drop(served);
        assert!(![half_open.enter(), half_open.enter()].iter().any(|(_, crowded)| *crowded));
    }

    #[test]
    fn who_has_asked_or_gone_is_forgotten() {
        let mut half_open = HalfOpen::new(4, 100);
        let (_silent, _) = half_open.enter();
        for n in 0..10_000 {
            let (serving, crowded) = half_open.enter();
            if n % 2 == 0 {
                serving.newcomer().asks();
            }
            drop(serving);
            assert!(
                !crowded && half_open.queue.len() <= 2 * (SETTLED + 2),
                "{}",
                half_open.queue.len()
            );
        }
        assert_eq!(half_open.count.waiting.load(Ordering::Relaxed), 1);
        assert_eq!(half_open.count.open.load(Ordering::Relaxed), 1);
    }
}
