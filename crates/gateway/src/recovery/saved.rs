//! A client that may come back.

use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::id::Id;
use crate::socketio::Socket;

use super::{Offset, Resume};

/// What is kept of a client whose connection broke.
pub struct SavedSession {
    /// Those it was in, in no order.
    pub rooms: Vec<String>,
    /// Where it came from.
    pub client_ip: IpAddr,
    pub(super) data: Option<Arc<dyn Any + Send + Sync>>,
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
}

impl SavedSession {
    pub(super) fn of(socket: &Socket, resume: &Resume, head: Offset, expires: u64) -> Self {
        Self {
            rooms: socket.rooms(),
            client_ip: socket.handshake().client_ip,
            data: socket.any_data(),
            sid: socket.key(),
            pid: resume.pid(),
            expires,
            head,
            first: resume.first(),
            last: resume.sent(),
            exact: !resume.has_missed(),
        }
    }

    /// What the application kept with the socket, if it is a `T`. Whether it goes on with it is its own choice.
    pub fn data<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.data.clone().and_then(|data| data.downcast().ok())
    }

    /// The id that the socket had, and has again if it is recovered.
    pub fn socket_id(&self) -> &str {
        self.sid.as_str()
    }

    /// From where on it misses events, if its offset can be one of this connection.
    pub(super) fn start(&self, offset: Offset) -> Option<u64> {
        if offset.mark != self.head.mark || !(self.first..=self.last).contains(&offset.position) {
            return None;
        }
        // One who has everything that was sent misses nothing of before it went, however old that is.
        let all = self.exact && offset.position == self.last;
        Some(if all { self.head.position } else { offset.position })
    }
}

/// The pid is a secret, and the data are not ours.
impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession").field("rooms", &self.rooms).finish_non_exhaustive()
    }
}
