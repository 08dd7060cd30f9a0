//! The one task of a WebSocket connection. Small while idle: a stream and the session.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tidings_protocol::engineio::decode_ref;
use tidings_protocol::websocket::{self, Decoder, Message, Opcode};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use crate::frame::Frame;
use crate::namespace::SendError;
use crate::reason::DisconnectReason;

use super::close::Ending;
use super::linger::linger;
use super::link::Flushed;
use super::receive::Violation;
use super::session::Session;

/// Bytes read at once; one buffer per thread serves all its connections.
const SCRATCH: usize = 16 << 10;
/// Reads before others get their turn.
const TURN: usize = 8;
/// Messages after which it is theirs too: a buffer full of tiny ones takes as long as many that are not.
const MANY: usize = 64;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// What of it was decrypted.
    static TEXT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// `SECURE`: over TLS.
pub(crate) struct Conn<const SECURE: bool = false> {
    session: Arc<Session>,
    /// `None` once it was handed on to be closed.
    stream: Option<OwnedReadHalf>,
    /// Has a part of a message; between two messages there is none.
    decoder: Option<Box<Decoder>>,
}

impl Conn {
    /// Serves the session's WebSocket, which was corked. `early` was read with the handshake.
    pub(crate) fn start(
        session: Arc<Session>,
        stream: OwnedReadHalf,
        decoder: Decoder,
        early: &[u8],
    ) {
        let secure = session.lock().is_secure();
        match secure {
            true => Conn::<true>::run(session, stream, decoder, early),
            false => Self::run(session, stream, decoder, early),
        }
    }
}

impl<const SECURE: bool> Conn<SECURE> {
    fn run(session: Arc<Session>, stream: OwnedReadHalf, decoder: Decoder, early: &[u8]) {
        let mut conn = Self { session: session.clone(), stream: Some(stream), decoder: None };
        conn.put_by(decoder);
        conn.feed(early);
        let end = conn.take(&[], &mut 0);
        // First of all: an end that has come already drops what waits.
        session.uncork();
        if let Some(reason) = end {
            session.close(reason, Ending::Abort);
        }
        session.gateway.spawn(conn);
    }

    /// Takes what was read from the stream; says why if no more can come.
    fn take(&mut self, input: &[u8], messages: &mut usize) -> Option<DisconnectReason> {
        if !SECURE {
            *messages += self.feed(input);
            return None;
        }
        let mut text = TEXT.take();
        text.clear();
        let end = self.session.decrypt(input, &mut text);
        *messages += self.feed(&text);
        TEXT.set(text);
        end
    }

    /// Takes bytes of the client and acts on the messages in them; what is incomplete stays in the decoder. Tells how
    /// many there were.
    fn feed(&mut self, mut input: &[u8]) -> usize {
        if input.is_empty() {
            return 0;
        }
        let mut messages = 0;
        let fresh = || Decoder::new(self.session.gateway.config.max_payload);
        let mut decoder = self.decoder.take().map_or_else(fresh, |part| *part);
        // What the handlers answer to all of this leaves together.
        self.session.cork();
        while self.session.is_open() {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => {
                    messages += 1;
                    if self.receive(message).is_err() {
                        self.session.close(DisconnectReason::ParseError, Ending::Flush);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.session.close_with(
                        DisconnectReason::ParseError,
                        Ending::Flush,
                        error.close_code(),
                        DisconnectReason::ParseError.as_str(),
                    );
                }
            }
        }
        self.session.uncork();
        self.put_by(decoder);
        messages
    }

    /// Keeps a decoder that has begun with a message.
    fn put_by(&mut self, decoder: Decoder) {
        self.decoder = (!decoder.is_at_rest()).then(|| Box::new(decoder));
    }

    fn receive(&self, message: Message) -> Result<(), Violation> {
        match message {
            message if self.session.is_plain() && !matches!(message, Message::Ping(_)) => {
                self.session.receive_plain(message);
                Ok(())
            }
            Message::Text(text) => self.session.receive(decode_ref(&text).map_err(|_| Violation)?),
            Message::Binary(bytes) => self.session.receive_binary(bytes),
            Message::Ping(payload) => {
                let pong = websocket::frame(Opcode::Pong, &payload);
                if self.session.emit(&Frame::encoded(pong)) == Err(SendError::Full) {
                    // It floods us with pings and reads nothing.
                    self.session.close(DisconnectReason::SlowConsumer, Ending::Abort);
                }
                Ok(())
            }
            Message::Pong(_) => Ok(()),
            Message::Close(_) => {
                self.session.close(DisconnectReason::TransportClose, Ending::Flush);
                Ok(())
            }
        }
    }

    /// Writes while something waits and the kernel takes it.
    fn poll_write(&mut self, stream: &OwnedReadHalf, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            {
                let link = self.session.lock();
                // Who corked or marked it will flush it, and wake us if that is not enough.
                if link.is_idle() || link.corks > 0 || link.dirty {
                    return Poll::Pending;
                }
            }
            if ready!(stream.as_ref().poll_write_ready(cx)).is_err()
                || self.session.flush() == Flushed::Broken
            {
                return Poll::Ready(());
            }
        }
    }

    /// Reads and acts until there is nothing to read. Ready when the client has gone.
    fn poll_read(
        &mut self,
        stream: &mut OwnedReadHalf,
        cx: &mut Context<'_>,
    ) -> Poll<DisconnectReason> {
        let mut messages = 0;
        for _ in 0..TURN {
            if messages > MANY {
                break;
            }
            if !self.has_room(cx) || !self.session.is_open() {
                return Poll::Pending;
            }
            let mut buffer = BUFFER.take();
            buffer.resize(SCRATCH, 0);
            let mut filled = ReadBuf::new(&mut buffer);
            let polled = Pin::new(&mut *stream).poll_read(cx, &mut filled);
            let end =
                if polled.is_ready() { self.take(filled.filled(), &mut messages) } else { None };
            let count = filled.filled().len();
            BUFFER.set(buffer);
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if count == 0 => {
                    return Poll::Ready(DisconnectReason::TransportClose);
                }
                Poll::Ready(Ok(())) => {
                    if let Some(reason) = end {
                        return Poll::Ready(reason);
                    }
                }
                Poll::Ready(Err(_)) => return Poll::Ready(DisconnectReason::TransportError),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether our handlers keep up. While they do not, the client is left unread and its silence excused.
    fn has_room(&self, cx: &Context<'_>) -> bool {
        let room = self.session.client.poll_room(&self.session.gateway.config, cx).is_ready();
        if !room {
            self.session.lock().paused = true;
        } else if self.session.is_paused() {
            self.session.resume();
        }
        room
    }
}

impl<const SECURE: bool> Future for Conn<SECURE> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(mut stream) = this.stream.take() else { return Poll::Ready(()) };
        this.session.waker.register(cx.waker());
        let gone = match this.poll_read(&mut stream, cx) {
            Poll::Ready(reason) => Some(reason),
            Poll::Pending
                if this.poll_write(&stream, cx).is_ready() || this.session.is_broken() =>
            {
                Some(DisconnectReason::TransportError)
            }
            Poll::Pending => None,
        };
        if let Some(reason) = gone {
            this.session.close(reason, Ending::Abort);
            match reason {
                // It closed first, and all that it sent was read: closing the stream too, which comes next, ends it as
                // properly as shutting it before.
                DisconnectReason::TransportClose if !SECURE => this.session.forget_transport(),
                _ => this.session.drop_transport(),
            }
            return Poll::Ready(());
        }
        if !this.session.is_open() {
            linger(this.session.clone(), stream);
            return Poll::Ready(());
        }
        this.stream = Some(stream);
        Poll::Pending
    }
}

/// However the task ends, by a panic or with the runtime, its session ends too.
impl<const SECURE: bool> Drop for Conn<SECURE> {
    fn drop(&mut self) {
        if self.session.is_open() {
            self.session.close(DisconnectReason::TransportError, Ending::Abort);
            self.session.drop_transport();
        }
    }
}
