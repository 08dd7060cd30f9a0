//! The end of a session.

use std::sync::Arc;

use tidings_protocol::websocket;

use crate::frame::Frame;
use crate::layer::Layer;
use crate::reason::DisconnectReason;

use super::link::{Deadlines, Link, Transport};
use super::plain::UNAUTHENTICATED;
use super::session::Session;

/// How long a client that closed by a POST may take to collect the end of its poll, in milliseconds.
const FAREWELL_TO_CLOSER: u64 = 200;

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

impl Session {
    /// Closes the transport after what is queued was sent.
    pub fn close_transport(self: &Arc<Self>, reason: DisconnectReason) {
        self.close(reason, Ending::Flush);
    }

    /// Ends the session, once.
    pub(crate) fn close(self: &Arc<Self>, reason: DisconnectReason, ending: Ending) {
        let (code, text) = match reason {
            DisconnectReason::ConnectTimeout if self.is_plain() => UNAUTHENTICATED,
            _ => (reason.close_code(), reason.as_str()),
        };
        self.close_with(reason, ending, code, text);
    }

    pub(crate) fn close_with(
        self: &Arc<Self>,
        reason: DisconnectReason,
        ending: Ending,
        code: u16,
        text: &str,
    ) {
        let mut link = self.lock();
        if link.closed.is_some() {
            return;
        }
        link.closed = Some(reason);
        let transport = self.transport_of(&link);
        let torn = ending == Ending::Abort && link.out.clear();
        if !torn && matches!(link.transport, Transport::WebSocket(_)) {
            link.out.push(&Frame::encoded(websocket::close_frame(code, text)));
        }
        let lingers = self.say_goodbye(&mut link, ending);
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

    /// Prepares the end of polling or of a stream. Whether the session is still to be found for its last words.
    fn say_goodbye(self: &Arc<Self>, link: &mut Link, ending: Ending) -> bool {
        let now = self.gateway.clock.now();
        if let Transport::Stream(_) = link.transport {
            return self.end_stream(link, ending);
        }
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
        let mut link = self.lock();
        link.out.clear();
        drop(link);
        self.gateway.wheel.cancel(self);
        self.gateway.sessions.remove(&self.id);
    }
}
