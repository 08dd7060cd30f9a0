//! Event streams (WHATWG HTML §9.2): a session that is the body of an HTTP response.
//!
//! What is sent waits in the session's queue, and hyper takes it from there as the connection has room. So the bounds
//! of the queue are those of any session; a client that does not read is not noticed by hyper but by the queue's
//! deadline, and then the whole connection is [cut](Cut).

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use hyper::body::{Body, Frame as BodyFrame};

use crate::clock::unix_ms;
use crate::cut::Cut;
use crate::frame::Frame;
use crate::gateway::{GOODBYE, Gateway};
use crate::handshake::{Admission, Handshake};
use crate::reason::DisconnectReason;

use super::close::Ending;
use super::linger::Goodbye;
use super::link::{Deadlines, Link, Streaming, Transport};
use super::session::{Session, Speech};

/// After how many milliseconds a client comes back whose stream broke.
const RETRY: u64 = 3_000;

/// The body of a response that is an event stream. Dropping it ends the session.
pub struct EventStream(Arc<Session>);

impl Gateway {
    /// Opens a session whose client gets the events of plain clients as an event stream, and can say nothing.
    /// [`Plain::opened`](crate::Plain::opened) is called as for a plain WebSocket. `None` if there is no room for one
    /// more. `request` is one that [`serve`](crate::serve) gave to the fallback.
    pub fn open_stream(&self, request: &Parts, admission: Admission) -> Option<EventStream> {
        let gateway = &self.0;
        gateway.plain.as_ref()?;
        gateway.ensure_started();
        let Some(permit) = gateway.admit() else {
            gateway.metrics.refused(503);
            return None;
        };
        let cut = request.extensions.get::<Cut>().cloned().unwrap_or_default();
        let kept = &gateway.config.kept_headers;
        let handshake = Handshake::new(request, admission, kept, &gateway.path, unix_ms());
        let transport = Transport::Stream(Streaming { cut, goodbye: None });
        let session = Session::open_as(Speech::Stream, permit, handshake, transport, Bytes::new())?;
        let _ = session.emit(&Frame::retry(RETRY));
        session.client.open_plain(&session);
        Some(EventStream(session))
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        let session = &self.0;
        session.waker.register(cx.waker());
        match session.take_chunk() {
            Poll::Ready(Some(chunk)) => Poll::Ready(Some(Ok(BodyFrame::data(chunk)))),
            Poll::Ready(None) => {
                session.drop_transport();
                session.forget();
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client has gone, or everything was said.
impl Drop for EventStream {
    fn drop(&mut self) {
        self.0.close(DisconnectReason::TransportClose, Ending::Abort);
        self.0.drop_transport();
        self.0.forget();
    }
}

impl Session {
    /// What goes next into the body; `None` is its end.
    fn take_chunk(self: &Arc<Self>) -> Poll<Option<Bytes>> {
        let mut link = self.lock();
        if link.corks > 0 && link.closed.is_none() {
            // Who corked it wakes us.
            return Poll::Pending;
        }
        if let Some(chunk) = link.out.take_chunk() {
            self.note_drained(&mut link);
            return Poll::Ready(Some(chunk));
        }
        if link.closed.is_some() { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Prepares the end of a stream. Whether something is to be said before it.
    pub(super) fn end_stream(self: &Arc<Self>, link: &mut Link, ending: Ending) -> bool {
        let Transport::Stream(stream) = &mut link.transport else { return false };
        if ending == Ending::Abort {
            stream.cut.cut();
            return false;
        }
        stream.goodbye = Some(Goodbye::new(&self.gateway));
        let at = self.gateway.clock.now() + GOODBYE.as_millis() as u64;
        link.deadlines = Deadlines { forget: at, ..Deadlines::default() };
        self.gateway.wheel.schedule(self, at);
        true
    }

    /// Ends a stream whose last words were not taken in time.
    pub(super) fn cut(&self) {
        if let Transport::Stream(stream) = &self.lock().transport {
            stream.cut.cut();
        }
    }
}
