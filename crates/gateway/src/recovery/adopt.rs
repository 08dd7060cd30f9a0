//! Clients that come from other nodes, and those that have gone to one.

use std::sync::Arc;

use crate::hub::Target;
use crate::id::Id;
use crate::socketio::Socket;

use super::past::Live;
use super::resume::Old;
use super::{Arrival, Claim, Past, Resume, SavedSession};

impl Past {
    /// The name of its log.
    pub(crate) fn name(&self) -> String {
        self.log.lock().head().log().to_owned()
    }

    /// A client that has come back, as far as we know elsewhere: its session as it was left. `may` tells whether a
    /// socket that we believed to be connected is the client's.
    pub(crate) fn release(
        &self,
        pid: &str,
        may: impl FnOnce(&Arc<Socket>) -> bool,
    ) -> Option<Arc<SavedSession>> {
        let pid = Id::parse(pid)?;
        if let Some(socket) = self.live(&pid)
            && may(&socket)
        {
            socket.supersede();
        }
        self.sessions.lock().saved.get(&pid).cloned()
    }

    fn live(&self, pid: &Id) -> Option<Arc<Socket>> {
        self.sessions.lock().live.get(pid).map(|live| Arc::clone(&live.0))
    }

    /// Goes on with a session of another node, as [`restore`](Self::restore) does with one of this node. What was
    /// missed is numbered anew, for this client alone.
    pub(crate) fn adopt(
        &self,
        socket: &Arc<Socket>,
        resume: &Resume,
        (claim, arrival): (&Claim, &Arrival),
        reply: impl FnOnce(),
    ) -> bool {
        let Some((pid, sid)) = arrival.passport.ids() else { return false };
        let Some(missing) = arrival.passport.missing(claim) else { return false };
        if let Some(old) = self.live(&pid) {
            // It was here before, went there, and we never noticed.
            old.supersede();
        }
        let mut sessions = self.sessions.lock();
        let mut log = self.log.lock();
        if !socket.is_connected() {
            return false;
        }
        let missed: Vec<_> =
            arrival.missed.iter().map(|frame| frame.in_namespace(&socket.hub().name)).collect();
        let bytes = missed.iter().map(|frame| frame.len() + OFFSET).sum::<usize>();
        if socket.send_queue_bytes() + bytes > self.send_buffer {
            return false;
        }
        let first = log.head().position;
        let (came_with, mark) = (Some(claim.offset), missing.mark);
        resume.recover(Old { pid, sid, first, came_with, mark });
        sessions.saved.remove(&pid);
        sessions.live.insert(Live(Arc::clone(socket)));
        for frame in &missed {
            let numbered = self.take(&mut log, frame, &Target::rooms(&[sid.as_str()]));
            if socket.session().emit(&numbered).is_err() {
                resume.miss();
            }
            resume.kept_alone(log.head().position);
        }
        resume.note(log.head().position);
        reply();
        socket.hub().insert(socket);
        for room in &arrival.rooms {
            socket.hub().enter(socket, room);
        }
        true
    }
}

/// What an offset takes in a frame, at most.
const OFFSET: usize = 64;
