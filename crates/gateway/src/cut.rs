//! Ending a TCP connection that HTTP is still busy with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// Ends the connection that a request came on, whatever it is doing: a response that its client does not read cannot
/// be ended in any other way. An extension of every request given to the fallback of [`serve`](crate::serve).
#[derive(Debug, Clone, Default)]
pub struct Cut(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cut: AtomicBool,
    waker: AtomicWaker,
}

impl Cut {
    pub(crate) fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Has who serves the connection look again.
    pub(crate) fn wake(&self) {
        self.0.waker.wake();
    }

    /// Ready once it was cut.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        self.0.waker.register(cx.waker());
        if self.0.cut.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}
