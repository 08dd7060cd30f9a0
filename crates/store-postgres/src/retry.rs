//! Doing it again: what the database undid, and, where that is harmless, what it may have done.

use std::time::Duration;

use tidings_core::ports::StoreError;

use crate::{
    PostgresStore,
    failure::{Class, Result},
};

/// How long to wait before each further attempt.
const WAITS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];

/// What may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Only what the database certainly undid.
    Undone,
    /// Also what ended with a lost connection, and may have been carried out: a read, or a write
    /// that says the same when it is made twice.
    Always,
}

impl PostgresStore {
    /// Carries out `work`, again where that may help.
    pub(crate) async fn retry<T, W>(
        &self,
        repeat: Repeat,
        work: impl Fn() -> W + Send,
    ) -> Result<T, StoreError>
    where
        W: Future<Output = Result<T>> + Send,
    {
        let mut waits = WAITS.into_iter();
        loop {
            let failure = match work().await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if failure.class() == Class::ReadOnly {
                // The primary is another one now: the next connection looks for it.
                self.forget_writers();
            }
            match waits.next() {
                Some(wait) if may_repeat(repeat, failure.class()) => {
                    tracing::debug!(event = "store_retry", %failure, "repeated in {wait:?}");
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(failure.into()),
            }
        }
    }
}

fn may_repeat(repeat: Repeat, class: Class) -> bool {
    match class {
        Class::Conflict | Class::Away => true,
        Class::Lost => repeat == Repeat::Always,
        Class::TimedOut | Class::ReadOnly | Class::Exhausted | Class::Other => false,
    }
}
