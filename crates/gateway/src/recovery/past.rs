//! A namespace's past: its log, and the clients that may come back.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::clock::Clock;
use crate::config::Config;
use crate::frame::Frame;
use crate::hub::Target;
use crate::id::Id;
use crate::reason::DisconnectReason;
use crate::socketio::Socket;
use crate::table::{Keyed, Table};

use super::resume::Old;
use super::{Claim, Log, Recovery, Resume, Returning, SavedSession};

pub(crate) struct Past {
    pub(super) limits: Recovery,
    /// How long events are kept, in milliseconds: a client may be gone for a while before we notice.
    retention: u64,
    max_sessions: usize,
    pub(super) send_buffer: usize,
    pub(super) clock: Clock,
    pub(super) log: Mutex<Log>,
    pub(super) sessions: Mutex<Sessions>,
}

#[derive(Default)]
pub(super) struct Sessions {
    /// Clients that are here, as far as we know.
    pub(super) live: Table<Live>,
    pub(super) saved: HashMap<Id, Arc<SavedSession>>,
    /// Those saved, by the time at which they expire; and some that are back.
    expiring: VecDeque<(u64, Id)>,
    sweeping: bool,
}

/// A connected client, until it is forgotten or saved; by its pid.
pub(super) struct Live(pub(super) Arc<Socket>);

impl Keyed for Live {
    type Key = Id;

    fn with_key<R>(&self, f: impl FnOnce(&Id) -> R) -> R {
        // Only clients that can be recovered are in the table.
        f(&self.0.resume().map_or(self.0.key(), Resume::pid))
    }
}

/// A session that its client was allowed to go on with.
pub(crate) struct Restoring {
    pub(crate) claim: Claim,
    /// The rooms that it may be in again.
    pub(crate) rooms: Vec<String>,
}

impl Past {
    pub(crate) fn new(config: &Config) -> Option<Arc<Self>> {
        let limits = config.recovery.clone()?;
        let retention = limits.window + config.ping_interval + config.ping_timeout;
        Some(Arc::new(Self {
            limits,
            retention: retention.as_millis() as u64,
            max_sessions: config.max_connections,
            send_buffer: config.send_buffer,
            clock: Clock::start(),
            log: Mutex::new(Log::new()),
            sessions: Mutex::default(),
        }))
    }

    pub(crate) fn begin(&self) -> Resume {
        Resume::new(self.log.lock().head())
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock()
    }

    /// Gives an event its offset, and keeps it if it is to be kept.
    pub(crate) fn take(&self, log: &mut Log, frame: &Frame, target: &Target<'_>) -> Frame {
        let now = self.clock.now();
        let frame = log.take(frame, target, now);
        log.trim(&self.limits, now.saturating_sub(self.retention));
        frame
    }

    /// A new client arrives: it is reachable from now on.
    pub(crate) fn arrive(&self, socket: &Arc<Socket>, resume: &Resume) {
        let mut sessions = self.sessions.lock();
        let log = self.log.lock();
        resume.skip_to(log.head().position);
        socket.hub().insert(socket);
        if socket.is_connected() {
            sessions.live.insert(Live(socket.clone()));
        }
    }

    /// A client has gone for good.
    pub(crate) fn forget(&self, socket: &Arc<Socket>, resume: &Resume) {
        let mut sessions = self.sessions.lock();
        if sessions.is_live(socket, resume) {
            sessions.live.remove(&resume.pid());
        }
        sessions.shrink();
    }

    /// A client has gone and may come back: its session is saved as it leaves its rooms. Nothing happens the
    /// second time.
    pub(crate) fn save(self: &Arc<Self>, socket: &Arc<Socket>, resume: &Resume) {
        let now = self.clock.now();
        let expires = now + self.limits.window.as_millis() as u64;
        let mut sessions = self.sessions.lock();
        if !sessions.is_live(socket, resume) {
            drop(sessions);
            return socket.hub().remove(socket);
        }
        let saved = {
            let log = self.log.lock();
            let saved = Arc::new(SavedSession::of(socket, resume, log.head(), expires));
            socket.hub().remove(socket);
            sessions.saved.insert(saved.pid, Arc::clone(&saved));
            saved
        };
        sessions.live.remove(&resume.pid());
        sessions.expiring.push_back((expires, resume.pid()));
        sessions.expire(now, self.max_sessions);
        let sweeps = !std::mem::replace(&mut sessions.sweeping, true);
        drop(sessions);
        if sweeps {
            socket.session().gateway.spawn(sweep(Arc::downgrade(self)));
        }
        socket.hub().handler.saved(&saved);
    }

    /// Whether there is a client that may come back.
    pub(crate) fn awaits_anybody(&self) -> bool {
        !self.sessions.lock().saved.is_empty()
    }

    /// The session that a client claims, and its socket if we have not noticed yet that it is gone.
    pub(crate) fn find(&self, claim: Claim) -> Option<(Returning, Option<Arc<Socket>>)> {
        let now = self.clock.now();
        let mut sessions = self.sessions.lock();
        sessions.expire(now, self.max_sessions);
        if let Some(saved) = sessions.saved.get(&claim.pid) {
            let saved = saved.clone();
            return saved.start(claim.offset).map(|_| (Returning { saved, claim }, None));
        }
        let socket = sessions.live.get(&claim.pid)?.0.clone();
        let head = self.log.lock().head();
        let resume = socket.resume()?;
        let saved = SavedSession::of(&socket, resume, head, now);
        saved.start(claim.offset)?;
        Some((Returning { saved: Arc::new(saved), claim }, Some(socket)))
    }

    /// Goes on with a session: same ids and rooms; queues what was missed, then what `reply` says. `false` if
    /// that is not possible (any more), and nothing has happened.
    pub(crate) fn restore(
        &self,
        socket: &Arc<Socket>,
        resume: &Resume,
        restoring: &Restoring,
        reply: impl FnOnce(),
    ) -> bool {
        let now = self.clock.now();
        let mut sessions = self.sessions.lock();
        sessions.expire(now, self.max_sessions);
        let pid = restoring.claim.pid;
        let Some(saved) = sessions.saved.get(&pid).cloned() else { return false };
        let mut log = self.log.lock();
        log.trim(&self.limits, now.saturating_sub(self.retention));
        let Some(start) = saved.start(restoring.claim.offset) else { return false };
        if start < log.floor() || !socket.is_connected() {
            return false;
        }
        let allowed = |room: &&String| restoring.rooms.contains(room);
        let mut rooms: HashSet<&str> =
            saved.rooms.iter().filter(allowed).map(String::as_str).collect();
        rooms.insert(saved.sid.as_str());
        let missed = log.since(start, &rooms);
        let bytes = missed.iter().map(Frame::len).sum::<usize>();
        if socket.send_queue_bytes() + bytes > self.send_buffer {
            return false;
        }
        let mark = saved.mark(&restoring.claim);
        let (sid, first, came_with) = (saved.sid, saved.first, saved.came_with);
        resume.recover(Old { pid, sid, first, came_with, mark });
        resume.kept_alone(saved.alone);
        sessions.saved.remove(&pid);
        sessions.live.insert(Live(socket.clone()));
        for frame in &missed {
            if socket.session().emit(frame).is_err() {
                resume.miss();
            }
        }
        // What of it arrives the client will tell, if it has to.
        resume.note(log.head().position);
        reply();
        socket.hub().insert(socket);
        for room in &restoring.rooms {
            socket.hub().enter(socket, room);
        }
        true
    }

    /// Forgets what is too old; tells when to come again.
    fn sweep(&self) -> Option<Duration> {
        let now = self.clock.now();
        let mut sessions = self.sessions.lock();
        sessions.expire(now, self.max_sessions);
        self.log.lock().trim(&self.limits, now.saturating_sub(self.retention));
        let next = sessions.expiring.front().map(|(at, _)| at.saturating_sub(now) + 1);
        sessions.sweeping = next.is_some();
        next.map(Duration::from_millis)
    }
}

async fn sweep(past: Weak<Past>) {
    while let Some(next) = past.upgrade().and_then(|past| past.sweep()) {
        tokio::time::sleep(next).await;
    }
}

impl Sessions {
    /// Whether the client is here as this socket.
    fn is_live(&self, socket: &Arc<Socket>, resume: &Resume) -> bool {
        let live = self.live.get(&resume.pid());
        live.is_some_and(|live| Arc::ptr_eq(&live.0, socket))
    }

    fn expire(&mut self, now: u64, most: usize) {
        while let Some((at, pid)) = self.expiring.front().copied() {
            if at > now && self.expiring.len() <= most {
                return;
            }
            self.expiring.pop_front();
            if self.saved.get(&pid).is_some_and(|saved| saved.expires <= at) {
                self.saved.remove(&pid);
            }
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        crate::hub::shrink(&mut self.saved);
        if self.expiring.is_empty() {
            self.expiring = VecDeque::new();
        }
    }
}

impl DisconnectReason {
    /// Whether the client may go on where it was: nobody wanted it gone.
    pub(crate) fn is_recoverable(self) -> bool {
        matches!(
            self,
            Self::TransportClose
                | Self::TransportError
                | Self::PingTimeout
                | Self::SlowConsumer
                | Self::NodeBufferFull
                | Self::Shutdown
        )
    }
}
