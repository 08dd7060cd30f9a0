//! One Engine.IO session: it lives from the handshake to the close, whatever transports carry it.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::{fmt, mem};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use tidings_protocol::engineio::{OpenPacket, Upgrade};

use crate::frame::Frame;
use crate::gateway::{Inner, Permit};
use crate::handshake::Handshake;
use crate::id::Id;
use crate::layer::Layer;
use crate::reason::DisconnectReason;
use crate::socketio::Client;
use crate::wheel::{Entry, Place};

use super::close::Ending;
use super::link::{Deadlines, Flushed, Link, Sent, Transport};

pub(crate) const PING: Bytes = Bytes::from_static(&[0x81, 1, b'2']);
/// A ping of the WebSocket protocol itself.
pub(crate) const PLAIN_PING: Bytes = Bytes::from_static(&[0x89, 0]);

/// An Engine.IO session. In this order, so that what a broadcast needs of it lies together.
#[repr(C)]
pub struct Session {
    pub(crate) gateway: Arc<Inner>,
    link: Mutex<Link>,
    speech: Speech,
    pub(crate) id: Id,
    /// Of the task that serves the session's WebSocket, or the one that probes it.
    pub(crate) waker: AtomicWaker,
    /// What Socket.IO keeps per connection; empty if the gateway speaks bare Engine.IO.
    pub(crate) client: Client,
    place: Place,
    handshake: Handshake,
}

/// What a session's messages are, and with it which encoding of an event it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    EngineIo,
    Plain,
    /// Those of plain clients, as server-sent events.
    Stream,
}

/// Why a frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Closed,
    /// `first` of this episode.
    Full {
        first: bool,
    },
}

impl Session {
    pub(crate) fn open(
        permit: Permit,
        handshake: Handshake,
        transport: Transport,
        unsent: Bytes,
    ) -> Option<Arc<Self>> {
        Self::open_as(Speech::EngineIo, permit, handshake, transport, unsent)
    }

    /// `unsent` goes out on the transport before anything else. A WebSocket begins corked; [`Conn::start`] uncorks it.
    ///
    /// [`Conn::start`]: super::conn::Conn::start
    pub(crate) fn open_as(
        speech: Speech,
        permit: Permit,
        handshake: Handshake,
        transport: Transport,
        unsent: Bytes,
    ) -> Option<Arc<Self>> {
        let gateway = &permit.spend()?;
        if gateway.is_closing() {
            gateway.give_back();
            return None;
        }
        let now = gateway.clock.now();
        let config = &gateway.config;
        let joins = match (speech, &gateway.layer) {
            (Speech::Plain | Speech::Stream, _) => Some(config.auth_timeout),
            (Speech::EngineIo, Layer::SocketIo(_)) => Some(config.connect_timeout),
            (Speech::EngineIo, Layer::Engine(_)) => None,
        };
        let deadlines = Deadlines {
            beat: now + gateway.ping_interval,
            connect: joins.map_or(0, |time| now + time.as_millis() as u64),
            ..Deadlines::default()
        };
        let next = deadlines.next();
        let session = Arc::new(Self {
            gateway: gateway.clone(),
            id: Id::random(),
            handshake,
            link: Mutex::new(Link::new(transport, unsent, deadlines)),
            waker: AtomicWaker::new(),
            place: Place::new(),
            client: Client::new(config),
            speech,
        });
        gateway.sessions.insert(&session);
        if let Some(next) = next {
            gateway.wheel.schedule(&session, next);
        }
        gateway.metrics.connected(session.transport());
        if gateway.is_closing() {
            // Everybody was closed while we were not in the registry yet.
            session.close(DisconnectReason::Shutdown, Ending::Flush);
        }
        Some(session)
    }

    /// The first packet of a session.
    pub(crate) fn open_packet(&self) -> String {
        let config = &self.gateway.config;
        let polling = matches!(self.lock().transport, Transport::Polling(_));
        let packet = OpenPacket {
            sid: self.id.as_str().to_owned(),
            upgrades: if polling { vec![Upgrade::WebSocket] } else { Vec::new() },
            ping_interval: config.ping_interval.as_millis() as u64,
            ping_timeout: config.ping_timeout.as_millis() as u64,
            max_payload: config.max_payload as u64,
        };
        packet.encode()
    }

    /// Has a frame go out before those of anybody else, however full the node is. Whether the session is still open.
    pub(super) fn say_first(&self, frame: &Frame) -> bool {
        let mut link = self.lock();
        let open = link.closed.is_none();
        if open {
            link.out.push(frame);
        }
        open
    }

    /// Sends a text message.
    pub fn send_text(self: &Arc<Self>, text: &str) -> Result<(), crate::SendError> {
        self.emit(&Frame::text(&["4", text]))
    }

    /// Sends a binary message.
    pub fn send_binary(self: &Arc<Self>, payload: &[u8]) -> Result<(), crate::SendError> {
        self.emit(&Frame::binary(payload))
    }

    pub(crate) fn emit(self: &Arc<Self>, frame: &Frame) -> Result<(), crate::SendError> {
        self.send(frame, false).map_err(|refused| match refused {
            Refused::Closed => crate::SendError::Closed,
            Refused::Full { .. } => crate::SendError::Full,
        })
    }

    /// Takes a frame to be sent: now if possible, or `later` together with others.
    pub(crate) fn send(self: &Arc<Self>, frame: &Frame, later: bool) -> Result<(), Refused> {
        self.send_with(|| Cow::Borrowed(frame), later, || {})
    }

    /// As `send`, for a frame that is `made` when it is its turn, and `sent` before any other is.
    pub(crate) fn send_with<'a>(
        self: &Arc<Self>,
        made: impl FnOnce() -> Cow<'a, Frame>,
        later: bool,
        sent: impl FnOnce(),
    ) -> Result<(), Refused> {
        let mut link = self.lock();
        if link.closed.is_some() || link.broken {
            return Err(Refused::Closed);
        }
        let frame = &*made();
        // After the first refusal all others follow, until there is room for good: a client that misses one frame
        // must not get the next as if nothing had happened.
        if link.full || (!link.out.is_empty() && !self.fits(&link, frame.len())) {
            let first = self.refuse(&mut link);
            drop(link);
            if first {
                self.gateway.metrics.overflowed();
            }
            return Err(Refused::Full { first });
        }
        sent();
        let sent = link.send(frame, later);
        drop(link);
        match sent {
            Sent::Done => {}
            Sent::Blocked => self.waker.wake(),
            Sent::Dirty => self.gateway.flusher.add(self),
        }
        Ok(())
    }

    fn fits(&self, link: &Link, more: usize) -> bool {
        link.out.bytes() + more <= self.gateway.config.send_buffer && !self.gateway.is_overloaded()
    }

    /// Begins the episode of a full buffer, unless it has begun.
    fn refuse(self: &Arc<Self>, link: &mut Link) -> bool {
        let first = !mem::replace(&mut link.full, true);
        if first {
            let at = self.gateway.clock.now() + self.gateway.config.slow_drain.as_millis() as u64;
            link.deadlines.drain = at;
            self.gateway.wheel.hasten(self, at);
        }
        if self.gateway.is_overloaded() {
            self.gateway.relieve();
        }
        first
    }

    /// Writes what is queued, as far as the transport takes it.
    pub(crate) fn flush(self: &Arc<Self>) -> Flushed {
        let mut link = self.lock();
        self.flush_locked(&mut link)
    }

    fn flush_locked(self: &Arc<Self>, link: &mut Link) -> Flushed {
        let flushed = link.flush();
        self.note_drained(link);
        flushed
    }

    /// Ends the episode of a full buffer once it has fallen to its half.
    pub(super) fn note_drained(self: &Arc<Self>, link: &mut Link) {
        if link.full && link.out.bytes() <= self.gateway.config.send_buffer / 2 {
            link.full = false;
            link.deadlines.drain = 0;
            self.client.drained(self);
        }
    }

    /// Reads what a write needs first. Whoever goes through many sessions calls this for some, one after another, before their
    /// turn: the processor fetches them together then, and else each when its turn has come.
    pub(crate) fn look_ahead(&self) {
        std::hint::black_box((self.link.is_locked(), self.speech));
    }

    /// For a flusher: writes, and leaves what is refused to the task.
    pub(crate) fn flush_dirty(self: &Arc<Self>) {
        let mut link = self.lock();
        link.dirty = false;
        if link.corks == 0 && self.flush_locked(&mut link) != Flushed::All {
            drop(link);
            self.waker.wake();
        }
    }

    /// From here to [`Session::uncork`] frames are only queued, so that they leave together.
    pub(crate) fn cork(&self) {
        let mut link = self.lock();
        link.corks = link.corks.saturating_add(1);
    }

    pub(crate) fn uncork(self: &Arc<Self>) {
        let mut link = self.lock();
        link.corks = link.corks.saturating_sub(1);
        if link.corks == 0 && !link.out.is_empty() && self.flush_locked(&mut link) != Flushed::All {
            drop(link);
            self.waker.wake();
        }
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked { gateway: &self.gateway, link: self.link.lock() }
    }

    /// Takes the queue as the body of a poll.
    pub(crate) fn take_payload(self: &Arc<Self>, link: &mut Link) -> Bytes {
        let payload = link.out.take_payload();
        self.note_drained(link);
        payload
    }

    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    pub fn is_open(&self) -> bool {
        self.lock().closed.is_none()
    }

    /// "websocket" or "polling", now; "ws" for a plain WebSocket, "sse" for an event stream.
    pub fn transport(&self) -> &'static str {
        self.transport_of(&self.lock())
    }

    pub(crate) fn transport_of(&self, link: &Link) -> &'static str {
        match self.speech {
            Speech::EngineIo => link.transport.name(),
            Speech::Plain => "ws",
            Speech::Stream => "sse",
        }
    }

    /// Whether its client speaks no Socket.IO.
    pub(crate) fn is_plain(&self) -> bool {
        self.speech != Speech::EngineIo
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.speech == Speech::Stream
    }

    /// An event as this session's client gets it.
    pub(crate) fn encoded<'a>(&self, frame: &'a Frame) -> &'a Frame {
        match self.speech {
            Speech::EngineIo => frame,
            Speech::Plain => frame.plain(),
            Speech::Stream => frame.stream(),
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.lock().broken
    }

    /// Any number that tells sessions apart.
    pub(crate) fn lane(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self) as usize / size_of::<Self>()
    }

    pub(crate) fn is_waiting_for_farewell(&self) -> bool {
        self.lock().deadlines.forget > 0
    }

    pub fn send_queue_bytes(&self) -> usize {
        self.lock().out.bytes()
    }
}

impl Transport {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Polling(_) => "polling",
            Self::WebSocket(_) | Self::Gone => "websocket",
            Self::Stream(_) => "sse",
        }
    }

    pub(crate) fn polling() -> Self {
        Self::Polling(Box::default())
    }
}

/// The session's lock. Whatever happens to the queue under it, the node's sum of waiting bytes is right
/// when it is released.
pub(crate) struct Locked<'a> {
    gateway: &'a Inner,
    link: MutexGuard<'a, Link>,
}

impl Deref for Locked<'_> {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let (before, after) = self.link.account();
        self.gateway.count_buffered(before, after);
    }
}

impl Entry for Session {
    fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("handshake", &self.handshake)
            .finish_non_exhaustive()
    }
}
