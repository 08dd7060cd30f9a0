//! A client that may come back.

use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::id::Id;
use crate::socketio::Socket;

use super::{Claim, Marks, Offset, Resume};

/// Something of the application's.
pub type Kept = Arc<dyn Any + Send + Sync>;

/// What is kept of a client whose connection broke.
pub struct SavedSession {
    /// Those it was in, in no order.
    pub rooms: Vec<String>,
    /// Where it came from.
    pub client_ip: IpAddr,
    kept: Option<Kept>,
    marks: Marks,
    pub(super) sid: Id,
    pub(super) pid: Id,
    /// When it is forgotten.
    pub(super) expires: u64,
    /// The log's head when it went.
    pub(super) head: Offset,
    /// The first and the last offset that it can have seen.
    pub(super) first: u64,
    pub(super) last: u64,
    /// Nothing between `last` and `head` was for it.
    pub(super) exact: bool,
    /// An offset of another node's that is as good as `first`.
    pub(super) came_with: Option<Offset>,
    /// The last position of an event that is kept for it alone.
    pub(super) alone: u64,
}

impl SavedSession {
    pub(super) fn of(socket: &Arc<Socket>, resume: &Resume, head: Offset, expires: u64) -> Self {
        Self {
            rooms: socket.rooms(),
            client_ip: socket.handshake().client_ip,
            kept: socket.hub().handler.keep(socket),
            marks: resume.marks(),
            sid: socket.key(),
            pid: resume.pid(),
            expires,
            head,
            first: resume.first(),
            last: resume.sent(),
            exact: !resume.has_missed(),
            came_with: resume.came_with(),
            alone: resume.alone(),
        }
    }

    /// What [`Namespace::keep`](crate::Namespace::keep) gave, if it is a `T`.
    pub fn kept<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.kept.clone().and_then(|kept| kept.downcast().ok())
    }

    /// The id that the socket had, and has again if it is recovered.
    pub fn socket_id(&self) -> &str {
        self.sid.as_str()
    }

    pub(super) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The secret that it goes by.
    pub fn pid(&self) -> &str {
        self.pid.as_str()
    }

    pub(super) fn mark(&self, claim: &Claim) -> Option<u64> {
        self.marks.known(self.position(claim.offset)?, claim.offset.mark)
    }

    /// Its offset as a position of this log.
    fn position(&self, offset: Offset) -> Option<u64> {
        let came_with = self.came_with.is_some_and(|old| old.is_at(offset));
        if came_with {
            Some(self.first)
        } else {
            (offset.log == self.head.log).then_some(offset.position)
        }
    }

    /// From where on it misses events, if its offset can be one of this connection.
    pub(super) fn start(&self, offset: Offset) -> Option<u64> {
        let position = self.position(offset)?;
        if !(self.first..=self.last).contains(&position) {
            return None;
        }
        // One who has everything that was sent misses nothing of before it went, however old that is.
        let all = self.exact && position == self.last;
        Some(if all { self.head.position } else { position })
    }
}

/// A client that comes back, with what was kept of it and what it says.
#[derive(Debug)]
pub struct Returning {
    pub(super) saved: Arc<SavedSession>,
    pub(super) claim: Claim,
}

impl Returning {
    /// The last of the application's marks ([`Frame::marked`](crate::Frame::marked)) that the client certainly has;
    /// `None`: it has none of them.
    pub fn mark(&self) -> Option<u64> {
        self.saved.mark(&self.claim)
    }
}

impl std::ops::Deref for Returning {
    type Target = SavedSession;

    fn deref(&self) -> &SavedSession {
        &self.saved
    }
}

/// The pid is a secret, and what the application kept is not ours.
impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession").field("rooms", &self.rooms).finish_non_exhaustive()
    }
}
