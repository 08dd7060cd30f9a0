//! One Engine.IO session: it lives from the handshake to the close, whatever transports carry it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use tidings_protocol::engineio::{OpenPacket, Upgrade};
use tidings_protocol::websocket;

use crate::frame::Frame;
use crate::gateway::{Inner, Permit};
use crate::handshake::Handshake;
use crate::id::Id;
use crate::layer::Layer;
use crate::reason::DisconnectReason;
use crate::socketio::Client;
use crate::wheel::{Entry, Place};

use super::link::{Deadlines, Flushed, Link, Polling, Sent, Transport};

/// How long a client that closed by a POST may take to collect the end of its poll, in milliseconds.
const FAREWELL_TO_CLOSER: u64 = 200;
pub(crate) const PING: Bytes = Bytes::from_static(&[0x81, 1, b'2']);

/// An Engine.IO session.
pub struct Session {
    pub(crate) gateway: Arc<Inner>,
    pub(crate) id: Id,
    handshake: Handshake,
    link: Mutex<Link>,
    /// Of the task that serves the session's WebSocket, or the one that probes it.
    pub(crate) waker: AtomicWaker,
    place: Place,
    /// What Socket.IO keeps per connection; empty if the gateway speaks bare Engine.IO.
    pub(crate) client: Client,
}

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// What is queued is sent first, then the transport is closed properly.
    Flush,
    /// The client closed a polling session; its pending poll ends with a noop.
    ByClient,
    /// At once: nothing more is sent but the end itself.
    Abort,
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
    ) -> Option<Arc<Self>> {
        let gateway = &permit.spend()?;
        let now = gateway.clock.now();
        let config = &gateway.config;
        let joins = matches!(gateway.layer, Layer::SocketIo(_));
        let deadlines = Deadlines {
            beat: now + gateway.ping_interval,
            connect: if joins { now + config.connect_timeout.as_millis() as u64 } else { 0 },
            ..Deadlines::default()
        };
        let next = deadlines.next();
        let session = Arc::new(Self {
            gateway: gateway.clone(),
            id: Id::random(),
            handshake,
            link: Mutex::new(Link::new(transport, deadlines)),
            waker: AtomicWaker::new(),
            place: Place::new(),
            client: Client::new(config),
        });
        gateway.sessions.insert(&session);
        if let Some(next) = next {
            gateway.wheel.schedule(&session, next);
        }
        gateway.metrics.connected(session.transport());
        Some(session)
    }

    /// The first packet of a session.
    pub(crate) fn open_packet(&self) -> String {
        let config = &self.gateway.config;
        let polling = matches!(self.link.lock().transport, Transport::Polling(_));
        let packet = OpenPacket {
            sid: self.id.as_str().to_owned(),
            upgrades: if polling { vec![Upgrade::WebSocket] } else { Vec::new() },
            ping_interval: config.ping_interval.as_millis() as u64,
            ping_timeout: config.ping_timeout.as_millis() as u64,
            max_payload: config.max_payload as u64,
        };
        packet.encode()
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
        let mut link = self.link.lock();
        if link.closed.is_some() || link.broken {
            return Err(Refused::Closed);
        }
        if !link.out.is_empty() && !self.fits(&link, frame.len()) {
            return Err(self.refuse(&mut link));
        }
        let before = link.out.bytes();
        let sent = link.send(frame, later);
        self.account(before, link.out.bytes());
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

    fn refuse(self: &Arc<Self>, link: &mut MutexGuard<'_, Link>) -> Refused {
        let first = !link.full;
        if first {
            let at = self.gateway.clock.now() + self.gateway.config.slow_drain.as_millis() as u64;
            link.full = true;
            link.deadlines.drain = at;
            self.gateway.wheel.hasten(self, at);
            self.gateway.metrics.overflowed();
        }
        if self.gateway.is_overloaded() {
            self.gateway.relieve();
        }
        Refused::Full { first }
    }

    /// Keeps the node's sum of waiting bytes.
    fn account(&self, before: usize, after: usize) {
        self.gateway.count_buffered(before, after);
    }

    /// Writes what is queued, as far as the transport takes it.
    pub(crate) fn flush(self: &Arc<Self>) -> Flushed {
        let mut link = self.link.lock();
        self.flush_locked(&mut link)
    }

    fn flush_locked(self: &Arc<Self>, link: &mut MutexGuard<'_, Link>) -> Flushed {
        let before = link.out.bytes();
        let flushed = link.flush();
        self.account(before, link.out.bytes());
        self.note_drained(link);
        flushed
    }

    /// Ends the episode of a full buffer once it has fallen to its half.
    fn note_drained(self: &Arc<Self>, link: &mut MutexGuard<'_, Link>) {
        if link.full
            && link.out.bytes() <= self.gateway.config.send_buffer / 2
            && !self.gateway.is_overloaded()
        {
            link.full = false;
            link.deadlines.drain = 0;
            let session = self.clone();
            // Handlers run without our lock.
            self.gateway.spawn(async move { session.client.drained(&session) });
        }
    }

    /// For a flusher: writes, and leaves what is refused to the task.
    pub(crate) fn flush_dirty(self: &Arc<Self>) {
        let mut link = self.link.lock();
        link.dirty = false;
        if link.corks == 0 && self.flush_locked(&mut link) != Flushed::All {
            drop(link);
            self.waker.wake();
        }
    }

    /// From here to [`Session::uncork`] frames are only queued, so that they leave together.
    pub(crate) fn cork(&self) {
        let mut link = self.link.lock();
        link.corks = link.corks.saturating_add(1);
    }

    pub(crate) fn uncork(self: &Arc<Self>) {
        let mut link = self.link.lock();
        link.corks = link.corks.saturating_sub(1);
        if link.corks == 0 && !link.out.is_empty() && self.flush_locked(&mut link) != Flushed::All {
            drop(link);
            self.waker.wake();
        }
    }

    /// Ends the session, once.
    pub(crate) fn close(self: &Arc<Self>, reason: DisconnectReason, ending: Ending) {
        self.close_with(reason, ending, reason.close_code());
    }

    pub(crate) fn close_with(
        self: &Arc<Self>,
        reason: DisconnectReason,
        ending: Ending,
        code: u16,
    ) {
        let mut link = self.link.lock();
        if link.closed.is_some() {
            return;
        }
        link.closed = Some(reason);
        let transport = link.transport.name();
        let before = link.out.bytes();
        let torn = ending == Ending::Abort && link.out.clear();
        if !torn && matches!(link.transport, Transport::WebSocket(_)) {
            link.out.push(&Frame::encoded(websocket::close_frame(code, reason.as_str())));
        }
        let lingers = self.say_goodbye(&mut link, ending);
        self.account(before, link.out.bytes());
        link.wake_poll();
        drop(link);
        self.waker.wake();
        if !lingers {
            self.gateway.wheel.cancel(self);
            self.gateway.sessions.remove(&self.id);
        }
        self.gateway.release(transport, reason);
        self.closed(reason);
    }

    /// Prepares the end of polling. Whether the session is still to be found for a last poll.
    fn say_goodbye(self: &Arc<Self>, link: &mut MutexGuard<'_, Link>, ending: Ending) -> bool {
        let now = self.gateway.clock.now();
        let Some(polling) = link.polling() else { return false };
        let pending = polling.poll.is_some();
        let (farewell, patience) = match ending {
            Ending::Flush => ("1", self.gateway.ping_timeout),
            Ending::ByClient => ("6", FAREWELL_TO_CLOSER),
            Ending::Abort => ("1", 0),
        };
        let lingers = !pending && patience > 0;
        if pending || lingers {
            polling.farewell = Some(farewell);
        }
        link.deadlines =
            Deadlines { forget: if lingers { now + patience } else { 0 }, ..Deadlines::default() };
        if lingers {
            self.gateway.wheel.schedule(self, now + patience);
        }
        lingers
    }

    fn closed(self: &Arc<Self>, reason: DisconnectReason) {
        match &self.gateway.layer {
            Layer::Engine(engine) => engine.closed(self, reason),
            Layer::SocketIo(_) => self.client.close(self, reason),
        }
    }

    /// Forgets a closed session that waited for its last poll.
    pub(crate) fn forget(self: &Arc<Self>) {
        let mut link = self.link.lock();
        let before = link.out.bytes();
        link.out.clear();
        self.account(before, 0);
        drop(link);
        self.gateway.wheel.cancel(self);
        self.gateway.sessions.remove(&self.id);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock()
    }

    /// Takes the queue as the body of a poll.
    pub(crate) fn take_payload(self: &Arc<Self>, link: &mut MutexGuard<'_, Link>) -> Bytes {
        let before = link.out.bytes();
        let payload = link.out.take_payload();
        self.account(before, 0);
        self.note_drained(link);
        payload
    }

    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    pub fn is_open(&self) -> bool {
        self.link.lock().closed.is_none()
    }

    /// "websocket" or "polling", now.
    pub fn transport(&self) -> &'static str {
        self.link.lock().transport.name()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.link.lock().broken
    }

    /// Any number that tells sessions apart.
    pub(crate) fn lane(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self) as usize / size_of::<Self>()
    }

    pub(crate) fn is_waiting_for_farewell(&self) -> bool {
        self.link.lock().deadlines.forget > 0
    }

    pub fn send_queue_bytes(&self) -> usize {
        self.link.lock().out.bytes()
    }

    /// Closes the transport after what is queued was sent.
    pub fn close_transport(self: &Arc<Self>, reason: DisconnectReason) {
        self.close(reason, Ending::Flush);
    }
}

impl Transport {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Polling(_) => "polling",
            Self::WebSocket(_) | Self::Gone => "websocket",
        }
    }

    pub(crate) fn polling() -> Self {
        Self::Polling(Polling::default())
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
