//! The sessions of one user on this node.

use std::{iter, sync::Arc};

use tidings_core::ids::UserId;
use tidings_gateway::Keyed;

use super::session::InboxSession;

/// A user with devices here. Nearly everybody has one, and there are many users: each takes two pointers in the table
/// that they stand in, which always has room for more.
pub(super) struct Devices {
    oldest: Arc<InboxSession>,
    more: Option<Box<More>>,
}

/// What few users have.
struct More {
    /// Those that came later, in their order.
    sessions: Vec<Arc<InboxSession>>,
    /// A gap was reported and will be repaired.
    reported: bool,
}

impl Keyed for Devices {
    type Key = UserId;

    fn with_key<R>(&self, f: impl FnOnce(&UserId) -> R) -> R {
        f(self.user())
    }
}

impl Devices {
    pub(super) fn of(session: &Arc<InboxSession>) -> Self {
        Self { oldest: Arc::clone(session), more: None }
    }

    pub(super) fn user(&self) -> &UserId {
        &self.oldest.user
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<InboxSession>> {
        iter::once(&self.oldest).chain(self.more.iter().flat_map(|more| &more.sessions))
    }

    /// Adds a session to those that there are, `most` in all. Gives those that have to go for it, the oldest.
    pub(super) fn add(
        &mut self,
        session: &Arc<InboxSession>,
        most: usize,
    ) -> Vec<Arc<InboxSession>> {
        // One that goes on on another connection is not one more, though its end may not have come this far.
        let id = session.socket.id();
        let others = self.iter().filter(|other| other.socket.id() != id);
        let mut sessions: Vec<_> = others.cloned().collect();
        let over = (sessions.len() + 1).saturating_sub(most).min(sessions.len());
        let displaced = sessions.drain(..over).collect();
        sessions.push(Arc::clone(session));
        self.hold(sessions);
        displaced
    }

    /// Takes a session out. Whether it was the only one: then the user has to go.
    pub(super) fn remove(&mut self, session: &Arc<InboxSession>) -> bool {
        let others = self.iter().filter(|other| !Arc::ptr_eq(other, session));
        let others: Vec<_> = others.cloned().collect();
        let is_last = others.is_empty();
        self.hold(others);
        is_last
    }

    fn hold(&mut self, sessions: Vec<Arc<InboxSession>>) {
        let mut sessions = sessions.into_iter();
        let Some(oldest) = sessions.next() else { return };
        self.oldest = oldest;
        self.keep(sessions.collect(), self.is_reported());
    }

    fn keep(&mut self, sessions: Vec<Arc<InboxSession>>, reported: bool) {
        let more = reported || !sessions.is_empty();
        self.more = more.then(|| Box::new(More { sessions, reported }));
    }

    pub(super) fn is_reported(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.reported)
    }

    pub(super) fn set_reported(&mut self, reported: bool) {
        let sessions = self.more.take().map(|more| more.sessions).unwrap_or_default();
        self.keep(sessions, reported);
    }
}
