//! One frame to many sockets.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::Refused;
use crate::frame::Frame;
use crate::gateway::Inner;
use crate::id::Id;
use crate::socketio::Socket;

use super::{AHEAD, Hub};

/// Up to so many recipients are written to at once, by the caller: waking a task would cost more.
const DIRECT: usize = 32;

/// Who gets a broadcast.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target<'a> {
    /// Names of rooms or ids of sockets; nobody twice. Empty: everyone in the namespace.
    pub rooms: &'a [&'a str],
    /// Names of rooms or ids of sockets that do not get it.
    pub except: &'a [&'a str],
}

impl<'a> Target<'a> {
    pub fn all() -> Self {
        Self::default()
    }

    pub fn rooms(rooms: &'a [&'a str]) -> Self {
        Self { rooms, except: &[] }
    }

    #[must_use]
    pub fn except(self, except: &'a [&'a str]) -> Self {
        Self { except, ..self }
    }
}

/// A namespace's sockets, or some of them, to send to. Made by [`Gateway::to`](crate::Gateway::to).
pub struct Recipients<'a> {
    pub(crate) gateway: &'a Arc<Inner>,
    pub(crate) hub: Option<&'a Arc<Hub>>,
    pub(crate) target: Target<'a>,
    pub(crate) volatile: bool,
}

impl Recipients<'_> {
    /// Leaves out who has a backlog, and who comes back later: for what is worth nothing then.
    #[must_use]
    pub fn volatile(self) -> Self {
        Self { volatile: true, ..self }
    }

    /// Queues `frame` for all of them, and tells for how many it was. When this returns the frame has its place in
    /// each socket's order; large broadcasts are written by a task. A socket whose buffer is full misses it and
    /// [`Namespace::overflowed`](crate::Namespace::overflowed) is told.
    pub fn emit(&self, frame: &Frame) -> usize {
        self.emit_unless_behind(frame, usize::MAX).queued
    }

    /// As `emit`, but without those for whom more than `most` bytes wait already: for what is not worth waiting for.
    pub fn emit_unless_behind(&self, frame: &Frame, most: usize) -> Emitted {
        let Some(hub) = self.hub else { return Emitted::default() };
        let plain = frame;
        let mut frame = frame.in_namespace(&hub.name);
        if self.volatile {
            frame = Cow::Owned(frame.into_owned().unrecoverable());
        }
        let mut log = hub.past.as_ref().map(|past| (past, past.lock()));
        let numbered = log.as_mut().map(|(past, log)| {
            let numbered = past.take(log, &frame, &self.target);
            (numbered, log.head().position)
        });
        let numbered = numbered.as_ref();
        let mut sending = Sending {
            frame: &frame,
            plain,
            numbered,
            volatile: self.volatile,
            most,
            emitted: Emitted { position: numbered.map(|(_, at)| *at), ..Emitted::default() },
            overflowed: Vec::new(),
        };
        hub.each(&self.target, |socket, count| sending.send(socket, count > DIRECT));
        drop(log);
        for socket in &sending.overflowed {
            socket.overflowed();
        }
        let emitted = sending.emitted;
        if emitted.queued > 0 {
            self.gateway.metrics.message_sent(frame.name(), emitted.queued);
        }
        emitted
    }

    /// As they are now, without order.
    pub fn sockets(&self) -> Vec<Arc<Socket>> {
        let mut sockets = Vec::new();
        if let Some(hub) = self.hub {
            hub.each(&self.target, |socket, _| sockets.push(socket.clone()));
        }
        sockets
    }
}

/// What became of a broadcast.
#[derive(Debug, Default)]
pub struct Emitted {
    /// Sockets that get it.
    pub queued: usize,
    /// Those that do not, since they are behind or full.
    pub missed: Vec<Arc<Socket>>,
    /// Its position in the namespace's log, if clients can be recovered.
    pub position: Option<u64>,
}

struct Sending<'a> {
    frame: &'a Frame,
    /// Knows its encodings for plain clients.
    plain: &'a Frame,
    /// With its offset, and that; for those who can be recovered.
    numbered: Option<&'a (Frame, u64)>,
    volatile: bool,
    most: usize,
    emitted: Emitted,
    /// Told after all locks are released.
    overflowed: Vec<Arc<Socket>>,
}

impl Sending<'_> {
    fn send(&mut self, socket: &Arc<Socket>, later: bool) {
        let is_behind = (self.volatile && socket.session().lock().has_backlog())
            || (self.most < usize::MAX && socket.send_queue_bytes() > self.most);
        if is_behind {
            return self.emitted.missed.push(socket.clone());
        }
        let sent = match self.numbered {
            _ if socket.is_plain() => {
                let session = socket.session();
                session.send(session.encoded(self.plain), later)
            }
            Some((frame, position)) => socket.send_numbered(frame, *position, later),
            None => socket.session().send(self.frame, later),
        };
        match sent {
            Ok(()) => self.emitted.queued += 1,
            Err(Refused::Full { first }) => {
                if first {
                    self.overflowed.push(socket.clone());
                }
                self.emitted.missed.push(socket.clone());
            }
            Err(_) => {}
        }
    }
}

impl Hub {
    /// Calls `f` once for each socket of `target`, with the size of the room it was found in.
    fn each(&self, target: &Target<'_>, mut f: impl FnMut(&Arc<Socket>, usize)) {
        let mut seen = self.excluded(target.except);
        if target.rooms.is_empty() {
            return visit(&self.everyone.lock(), &mut seen, false, &mut f);
        }
        let several = target.rooms.len() > 1;
        for name in target.rooms {
            if let Some(room) = self.room(name) {
                visit(&room.lock(), &mut seen, several, &mut f);
            }
            if let Some(socket) = self.socket(name) {
                visit(&[socket], &mut seen, true, &mut f);
            }
        }
    }

    fn excluded(&self, except: &[&str]) -> HashSet<Id> {
        let mut excluded = HashSet::new();
        for name in except {
            if let Some(room) = self.room(name) {
                excluded.extend(room.lock().iter().map(|socket| socket.key()));
            } else if let Some(id) = Id::parse(name) {
                excluded.insert(id);
            }
        }
        excluded
    }
}

/// Visits those not in `seen`; remembers them there if they might come again.
fn visit(
    sockets: &[Arc<Socket>],
    seen: &mut HashSet<Id>,
    remember: bool,
    f: &mut impl FnMut(&Arc<Socket>, usize),
) {
    let plain = seen.is_empty() && !remember;
    let ahead = sockets.chunks(AHEAD).flat_map(|some| {
        some.iter().for_each(|socket| socket.session().look_ahead());
        some
    });
    for socket in ahead {
        if plain || (!seen.contains(&socket.key()) && (!remember || seen.insert(socket.key()))) {
            f(socket, sockets.len());
        }
    }
}
