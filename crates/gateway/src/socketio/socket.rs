//! A client in one namespace.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use tidings_protocol::socketio;

use crate::engine::{Ending, Refused, Session};
use crate::frame::Frame;
use crate::handshake::Handshake;
use crate::hub::{Hub, Memberships, Target};
use crate::id::Id;
use crate::namespace::SendError;
use crate::plain::Plain;
use crate::reason::DisconnectReason;
use crate::recovery::{Past, Resume};

use super::ack::Waiting;
use super::client::Work;

/// Where a socket stands; it only ever moves down this list.
const CONNECTING: u8 = 0;
const CONNECTED: u8 = 1;
const GONE: u8 = 2;
/// Gone because we sent it away.
const DISMISSED: u8 = 3;

/// A client in one namespace, or a plain WebSocket client in the rooms of `/`. In this order, so that what a broadcast needs
/// of it lies together.
#[repr(C)]
pub struct Socket {
    session: Arc<Session>,
    /// Present if this client can be recovered.
    resume: Option<Box<Resume>>,
    hub: Arc<Hub>,
    pub(crate) memberships: Memberships,
    pub(super) waiting: Waiting,
    data: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
    id: Id,
    state: AtomicU8,
}

impl Socket {
    pub(crate) fn new(session: &Arc<Session>, hub: &Arc<Hub>) -> Arc<Self> {
        Arc::new(Self {
            id: Id::random(),
            state: AtomicU8::new(CONNECTING),
            session: session.clone(),
            hub: hub.clone(),
            memberships: Memberships::default(),
            waiting: Waiting::default(),
            data: Mutex::new(None),
            resume: match &hub.past {
                Some(past) if !session.is_plain() => Some(Box::new(past.begin())),
                _ => None,
            },
        })
    }

    /// 22 URL-safe characters; another than the Engine.IO sid, which is a secret.
    pub fn id(&self) -> &str {
        let recovered = self.resume.as_ref().and_then(|resume| resume.sid());
        recovered.unwrap_or(&self.id).as_str()
    }

    pub(crate) fn key(&self) -> Id {
        let recovered = self.resume.as_ref().and_then(|resume| resume.sid());
        *recovered.unwrap_or(&self.id)
    }

    /// Whether the client goes on with an earlier connection: same id, rooms, and all events in between.
    pub fn recovered(&self) -> bool {
        self.resume.as_ref().is_some_and(|resume| resume.is_recovered())
    }

    pub(crate) fn resume(&self) -> Option<&Resume> {
        self.resume.as_deref()
    }

    /// Up to where events of the namespace were numbered until now; nothing before it was said in a room that this
    /// socket joins afterwards. Zero if it cannot be recovered.
    pub fn log_position(&self) -> u64 {
        self.recovery().map_or(0, |(past, _)| past.lock().head().position)
    }

    pub(crate) fn recovery(&self) -> Option<(&Arc<Past>, &Resume)> {
        self.hub.past.as_ref().zip(self.resume())
    }

    pub fn namespace(&self) -> &str {
        &self.hub.name
    }

    pub fn handshake(&self) -> &Handshake {
        self.session.handshake()
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// "websocket" or "polling", now; "ws" for a plain WebSocket, "sse" for an event stream.
    pub fn transport(&self) -> &'static str {
        self.session.transport()
    }

    pub fn is_connected(&self) -> bool {
        self.state.load(Ordering::Acquire) == CONNECTED
    }

    /// Bytes that wait to be sent on this socket's connection.
    pub fn send_queue_bytes(&self) -> usize {
        self.session.send_queue_bytes()
    }

    /// Sends an event. Everything emitted to a socket, from here or by a broadcast, arrives in the order of
    /// the calls.
    pub fn emit(self: &Arc<Self>, frame: &Frame) -> Result<(), SendError> {
        match self.is_plain() {
            true => self.send_packet(self.session.encoded(frame))?,
            false => self.send_event(&frame.in_namespace(&self.hub.name))?,
        }
        self.session.gateway.metrics.message_sent(frame.name(), 1);
        Ok(())
    }

    /// Sends events that leave in one write, up to the first that is refused; gives how many were not.
    pub fn emit_together(self: &Arc<Self>, frames: &[Frame]) -> usize {
        self.session.cork();
        let sent = frames.iter().take_while(|frame| self.emit(frame).is_ok()).count();
        self.session.uncork();
        sent
    }

    fn send_event(self: &Arc<Self>, frame: &Frame) -> Result<(), SendError> {
        let Some((past, resume)) = self.recovery() else { return self.send_packet(frame) };
        if self.state.load(Ordering::Acquire) >= GONE {
            return Err(SendError::Closed);
        }
        let sent = if frame.is_recoverable() {
            let mut log = past.lock();
            let numbered = past.take(&mut log, frame, &Target::rooms(&[self.id()]));
            resume.kept_alone(log.head().position);
            self.send_numbered(&numbered, log.head().position, false)
        } else {
            let numbered = || Cow::Owned(frame.with_offset(resume.next(frame.mark())));
            self.session.send_with(numbered, false, || {})
        };
        self.check(sent)
    }

    /// Sends an event that has an offset. The caller has the log's lock.
    pub(crate) fn send_numbered(
        self: &Arc<Self>,
        frame: &Frame,
        position: u64,
        later: bool,
    ) -> Result<(), Refused> {
        let Some(resume) = self.resume() else { return Err(Refused::Closed) };
        let sent = self.session.send_with(|| Cow::Borrowed(frame), later, || resume.note(position));
        if sent.is_err() {
            resume.miss();
        }
        sent
    }

    /// Sends a frame that is already one of this namespace.
    pub(super) fn send_packet(self: &Arc<Self>, frame: &Frame) -> Result<(), SendError> {
        if self.state.load(Ordering::Acquire) >= GONE {
            return Err(SendError::Closed);
        }
        self.check(self.session.send(frame, false))
    }

    fn check(self: &Arc<Self>, sent: Result<(), Refused>) -> Result<(), SendError> {
        sent.map_err(|refused| match refused {
            Refused::Closed => SendError::Closed,
            Refused::Full { first } => {
                if first {
                    self.overflowed();
                }
                SendError::Full
            }
        })
    }

    pub(crate) fn overflowed(self: &Arc<Self>) {
        match self.plain() {
            Some(plain) => plain.overflowed(self),
            None => self.hub.handler.overflowed(self),
        }
    }

    /// Whether this is a client without Socket.IO: a plain WebSocket or an event stream.
    pub fn is_plain(&self) -> bool {
        self.session.is_plain()
    }

    /// Whether this is an event stream, whose client can say nothing.
    pub fn is_stream(&self) -> bool {
        self.session.is_stream()
    }

    /// The endpoint's behaviour, if this is a client of it.
    pub(super) fn plain(&self) -> Option<&Arc<dyn Plain>> {
        self.session.gateway.plain.as_ref().filter(|_| self.is_plain())
    }

    /// For a plain client: it is known who this is. From now on it may stay, is found by its id, and gets what
    /// everyone gets.
    pub fn authenticated(self: &Arc<Self>) {
        if self.is_plain() && self.session.stop_awaiting() && self.is_connected() {
            self.hub.admit(self);
        }
    }

    /// Joins a room of this namespace. Nothing happens if the socket is in it, or has gone.
    pub fn join(self: &Arc<Self>, room: &str) {
        self.hub.join(self, room);
    }

    pub fn leave(self: &Arc<Self>, room: &str) {
        self.hub.leave(self, room);
    }

    pub fn is_in(&self, room: &str) -> bool {
        self.memberships.contains(room)
    }

    pub fn rooms(&self) -> Vec<String> {
        self.memberships.names()
    }

    /// Sends a DISCONNECT packet: the client leaves the namespace and does not come back by itself.
    /// With `close_transport` the whole connection ends after it, as that of a plain client always does.
    pub fn disconnect(self: &Arc<Self>, close_transport: bool) {
        let before = self.state.swap(DISMISSED, Ordering::AcqRel);
        if before < GONE && !self.is_plain() {
            let packet = socketio::encode_disconnect(&self.hub.name);
            // If it cannot even take this, the close below or its deadline will tell it.
            let _ = self.session.emit(&Frame::text(&["4", &packet]));
        }
        if before == GONE {
            self.state.store(GONE, Ordering::Release);
        }
        if before == CONNECTED {
            self.detach();
            self.session.client.push(
                &self.session,
                Work::Disconnected(self.clone(), DisconnectReason::ServerDisconnect),
            );
        }
        if close_transport || self.is_plain() {
            self.session.close(DisconnectReason::ServerDisconnect, Ending::Flush);
        }
    }

    /// Closes the WebSocket with a code and a reason of your own, after what is queued was sent.
    pub fn close(&self, code: u16, reason: &str) {
        self.session.close_with(DisconnectReason::ServerDisconnect, Ending::Flush, code, reason);
    }

    /// Closes the connection without a DISCONNECT packet: clients reconnect by themselves.
    pub fn close_transport(&self, reason: DisconnectReason) {
        self.session.close(reason, Ending::Flush);
    }

    /// Keeps something of the application's with the socket.
    pub fn set_data(&self, data: Arc<dyn Any + Send + Sync>) {
        *self.data.lock() = Some(data);
    }

    /// What was kept, if it is a `T`.
    pub fn data<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.data.lock().clone().and_then(|data| data.downcast().ok())
    }

    /// From connecting to connected, unless it was sent away meanwhile.
    pub(super) fn set_connected(&self) -> Result<(), DisconnectReason> {
        let moved =
            self.state.compare_exchange(CONNECTING, CONNECTED, Ordering::AcqRel, Ordering::Acquire);
        moved.map(|_| ()).map_err(|_| DisconnectReason::ServerDisconnect)
    }

    /// From connected to gone; `false` if somebody else ended it.
    pub(super) fn retire(&self) -> bool {
        self.state.compare_exchange(CONNECTED, GONE, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.state.load(Ordering::Acquire) == DISMISSED
    }

    /// Leaves all rooms and lets go of everything that waits for the client.
    pub(super) fn detach(self: &Arc<Self>) {
        self.hub.remove(self);
        if let Some((past, resume)) = self.recovery() {
            past.forget(self, resume);
        }
        self.waiting.close();
    }

    /// The client has come back on another connection.
    pub(crate) fn supersede(self: &Arc<Self>) {
        self.session.close(DisconnectReason::TransportClose, Ending::Abort);
        // Whoever closed it first, at this moment, may not have come to saving it.
        let reason = self.session.lock().closed;
        if let (Some(reason), Some((past, resume))) = (reason, self.recovery())
            && reason.is_recoverable()
            && !self.is_dismissed()
        {
            past.save(self, resume);
        }
    }

    /// As `detach`, for a connection that has ended: the client may come back.
    pub(super) fn depart(self: &Arc<Self>, reason: DisconnectReason) {
        match self.recovery() {
            Some((past, resume)) if reason.is_recoverable() => {
                past.save(self, resume);
                self.waiting.close();
            }
            _ => self.detach(),
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.id())
            .field("namespace", &self.namespace())
            .finish_non_exhaustive()
    }
}
