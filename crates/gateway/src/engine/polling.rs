//! HTTP long-polling: a GET that waits for packets, a POST that brings some.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tidings_protocol::engineio::{ErrorCode, PayloadLimits, decode_payload};
use tokio::time::timeout;

use crate::frame::Frame;
use crate::gateway::Permit;
use crate::handshake::Handshake;
use crate::reason::DisconnectReason;

use super::close::Ending;
use super::http::{Body, empty, error, text};
use super::link::{Polling, Probe, Transport};
use super::receive::Violation;
use super::session::Session;

/// Packets in one POST.
const LIMITS: PayloadLimits = PayloadLimits { max_packets: 16_384 };
/// A poll that comes after the probe waits so long for the upgrade before it gets a noop: if the upgrade is
/// already on its way on the other connection, the poll must find it done.
const UPGRADE_GRACE: Duration = Duration::from_millis(100);
const NOOP: &str = "6";

/// Opens a session; the open packet is the answer.
pub(super) fn open(permit: Permit, handshake: Handshake) -> Option<Response<Body>> {
    let session = Session::open(permit, handshake, Transport::polling(), Bytes::new())?;
    let packet = session.open_packet();
    session.opened();
    Some(text(packet))
}

/// Waits until there is something to send.
pub(super) async fn poll(session: &Arc<Session>) -> Response<Body> {
    if session.is_overdue() {
        session.close(DisconnectReason::PingTimeout, Ending::Abort);
    }
    let probed = match session.begin_poll() {
        Ok(probed) => probed,
        Err(refused) => return session.refuse_poll(refused),
    };
    let mut pending = PendingPoll { session, done: false };
    let polled = match probed {
        false => poll_fn(|cx| session.poll_payload(cx, true)).await,
        true => match timeout(UPGRADE_GRACE, poll_fn(|cx| session.poll_payload(cx, false))).await {
            Ok(polled) => polled,
            Err(_) => session.end_poll(NOOP),
        },
    };
    pending.done = true;
    match polled {
        // The upgrade has happened; this poll came too late to be part of it.
        Polled::Moved if probed => error(ErrorCode::BadRequest),
        Polled::Moved => text(NOOP),
        Polled::Payload(payload) => text(payload),
        Polled::Unknown => error(ErrorCode::UnknownSession),
    }
}

enum Polled {
    Payload(Bytes),
    /// The session is on a WebSocket now.
    Moved,
    Unknown,
}

enum PollRefused {
    /// There is a poll already.
    Duplicate,
    /// The session is not on polling.
    Elsewhere,
    Unknown,
}

impl Session {
    /// Takes the session's one place for a poll. Whether it was probed before.
    fn begin_poll(&self) -> Result<bool, PollRefused> {
        let mut link = self.lock();
        let closed = link.closed.is_some();
        let Some(polling) = link.polling() else { return Err(PollRefused::Elsewhere) };
        if closed && polling.farewell.is_none() {
            return Err(PollRefused::Unknown);
        }
        if polling.poll.is_some() {
            return Err(PollRefused::Duplicate);
        }
        polling.poll = Some(Waker::noop().clone());
        Ok(polling.probe == Probe::Probed)
    }

    fn refuse_poll(self: &Arc<Self>, refused: PollRefused) -> Response<Body> {
        match refused {
            PollRefused::Unknown => error(ErrorCode::UnknownSession),
            PollRefused::Elsewhere => error(ErrorCode::BadRequest),
            PollRefused::Duplicate => {
                // One of them is not the client we know. The first is told the end.
                self.close(DisconnectReason::TransportError, Ending::Abort);
                error(ErrorCode::BadRequest)
            }
        }
    }

    fn poll_payload(self: &Arc<Self>, cx: &Context<'_>, noop: bool) -> Poll<Polled> {
        let mut link = self.lock();
        let closed = link.closed.is_some();
        let (empty, corked) = (link.out.is_empty(), link.corks > 0);
        let Some(polling) = link.polling() else { return Poll::Ready(Polled::Moved) };
        if closed {
            let farewell = polling.farewell.take();
            polling.poll = None;
            let Some(farewell) = farewell else { return Poll::Ready(Polled::Unknown) };
            link.out.push(&Frame::text(&[farewell]));
            let payload = link.out.take_payload();
            drop(link);
            self.forget();
            return Poll::Ready(Polled::Payload(payload));
        }
        if !empty && !corked {
            polling.poll = None;
            return Poll::Ready(Polled::Payload(self.take_payload(&mut link)));
        }
        if noop && empty && polling.probe == Probe::Probed {
            polling.poll = None;
            return Poll::Ready(Polled::Payload(Bytes::from_static(NOOP.as_bytes())));
        }
        polling.poll = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Gives the place of the poll back, with this answer.
    fn end_poll(&self, packet: &'static str) -> Polled {
        match self.lock().polling() {
            Some(polling) => polling.poll = None,
            None => return Polled::Moved,
        }
        Polled::Payload(Bytes::from_static(packet.as_bytes()))
    }
}

/// A poll that is dropped before its answer was aborted by the client: that ends the session.
struct PendingPoll<'a> {
    session: &'a Arc<Session>,
    done: bool,
}

impl Drop for PendingPoll<'_> {
    fn drop(&mut self) {
        if !self.done {
            if let Some(polling) = self.session.lock().polling() {
                polling.poll = None;
                polling.farewell = None;
            }
            if self.session.transport() == "polling" {
                self.session.close(DisconnectReason::TransportClose, Ending::Abort);
            }
        }
    }
}

/// Takes packets. The answer comes when there is room for more, which slows down who sends too fast.
pub(super) async fn post<B>(session: &Arc<Session>, parts: &Parts, body: B) -> Response<Body>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if let Err(code) = session.begin_post() {
        return error(code);
    }
    let mut posting = Posting { session, done: false };
    let posted = async {
        let body = read_body(session, parts, body).await?;
        let packets = decode_payload(body, LIMITS).map_err(|_| BodyError::Invalid)?;
        for packet in packets {
            session.receive_packet(packet).map_err(|Violation| BodyError::Invalid)?;
        }
        session.wait_for_room().await;
        Ok(())
    };
    match posted.await {
        Ok(()) => {
            posting.done = true;
            text("ok")
        }
        Err(BodyError::TooLarge) => empty(StatusCode::PAYLOAD_TOO_LARGE),
        Err(BodyError::Invalid) => error(ErrorCode::BadRequest),
    }
}

enum BodyError {
    TooLarge,
    Invalid,
}

async fn read_body<B>(session: &Session, parts: &Parts, body: B) -> Result<Bytes, BodyError>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let config = &session.gateway.config;
    let length = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > config.max_payload as u64) {
        return Err(BodyError::TooLarge);
    }
    // A chunked body has no length: it is counted as it comes.
    let body = Limited::new(body, config.max_payload).collect();
    match timeout(config.body_read_timeout, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) | Err(_) => Err(BodyError::Invalid),
    }
}

impl Session {
    /// Takes the session's one place for a POST.
    fn begin_post(self: &Arc<Self>) -> Result<(), ErrorCode> {
        let mut link = self.lock();
        if link.closed.is_some() {
            return Err(ErrorCode::UnknownSession);
        }
        match link.polling() {
            Some(Polling { posting: posting @ false, .. }) => {
                *posting = true;
                Ok(())
            }
            Some(_) => {
                drop(link);
                self.close(DisconnectReason::TransportError, Ending::Abort);
                Err(ErrorCode::BadRequest)
            }
            None => Err(ErrorCode::BadRequest),
        }
    }
}

impl Session {
    /// Waits until our handlers keep up. Until then the client cannot send a pong, which is excused.
    async fn wait_for_room(&self) {
        let config = &self.gateway.config;
        poll_fn(|cx| {
            let polled = self.client.poll_room(config, cx);
            if polled.is_pending() {
                self.lock().paused = true;
            }
            polled
        })
        .await;
        if self.is_paused() {
            self.resume();
        }
    }
}

/// A POST that fails, or that the client aborts, ends the session: some of its packets are lost.
struct Posting<'a> {
    session: &'a Arc<Session>,
    done: bool,
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        if let Some(polling) = self.session.lock().polling() {
            polling.posting = false;
        }
        if !self.done {
            self.session.close(DisconnectReason::ParseError, Ending::Abort);
        }
    }
}
