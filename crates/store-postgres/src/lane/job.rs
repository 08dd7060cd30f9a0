//! What waits for a lane: requests that many share a few statements, and works that need a
//! transaction of their own.

use std::pin::Pin;

use tidings_core::inbox::OpOutcome;
use tidings_core::ports::{AcceptOutcome, StoreError};
use tokio::sync::oneshot;

use super::tx::Tx;
use crate::{accept, acknowledge, change, failure::Result};

pub(crate) type Outcome<T> = std::result::Result<T, StoreError>;

/// What a job costs while it waits and when it runs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weight {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// A request, and who waits for its outcome.
pub(crate) struct Task<R, T> {
    pub(crate) request: R,
    reply: oneshot::Sender<Outcome<T>>,
    /// What the last attempt made of it; it counts once that is committed.
    pub(crate) outcome: Option<Outcome<T>>,
}

impl<R, T> Task<R, T> {
    pub(crate) fn new(request: R) -> (Self, oneshot::Receiver<Outcome<T>>) {
        let (reply, answer) = oneshot::channel();
        (Self { request, reply, outcome: None }, answer)
    }

    /// A caller that went away is not told; what it asked for is done all the same.
    pub(super) fn answer(self) {
        let missing = || Err(StoreError::Internal("the write was not carried out".into()));
        let _ = self.reply.send(self.outcome.unwrap_or_else(missing));
    }
}

pub(crate) type Accept = Task<accept::Request, AcceptOutcome>;
pub(crate) type Change = Task<change::Request, OpOutcome>;
pub(crate) type Acknowledge = Task<acknowledge::Request, ()>;

pub(crate) enum Job {
    Accept(Accept),
    Change(Change),
    Acknowledge(Acknowledge),
    Alone(Box<dyn Alone>),
}

/// The future of a work in its transaction.
pub(crate) type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A work that takes a transaction for itself. It may be carried out several times until one
/// is committed.
pub(crate) trait Alone: Send {
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> Step<'a, ()>;
    fn fail(&mut self, error: StoreError);
    fn answer(self: Box<Self>);
}

impl<F, T> Alone for Task<F, T>
where
    F: for<'a> Fn(&'a mut Tx) -> Step<'a, T> + Send,
    T: Send,
{
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> Step<'a, ()> {
        Box::pin(async move {
            let work = (self.request)(tx);
            self.outcome = Some(Ok(work.await?));
            Ok(())
        })
    }

    fn fail(&mut self, error: StoreError) {
        self.outcome = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        Self::answer(*self);
    }
}
