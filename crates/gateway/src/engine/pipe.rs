//! The stream under a WebSocket, in the clear or over TLS.
//!
//! TLS changes nothing in how frames travel: whoever writes to a session encrypts there and then, under its lock, and
//! the connection's task decrypts what it reads. So a broadcast wakes nobody here either, and the bounds of the queue are
//! the same; at most `PENDING` bytes more are encrypted already.

use std::io::{self, IoSlice, Read as _, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::reason::DisconnectReason;
use crate::tls::Secured;

use super::link::Transport;
use super::session::Session;

/// What is left of a connection that was upgraded.
pub(crate) enum Stream {
    Clear(TcpStream),
    Secure(Secured),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Clear(stream)
    }
}

impl From<Secured> for Stream {
    fn from(stream: Secured) -> Self {
        Self::Secure(stream)
    }
}

impl Stream {
    pub(super) fn split(self) -> (OwnedReadHalf, Pipe) {
        let (stream, tls) = match self {
            Self::Clear(stream) => (stream, None),
            Self::Secure(stream) => {
                let (stream, connection) = stream.into_inner();
                (stream, Some(Box::new(Cipher(connection))))
            }
        };
        let (read, stream) = stream.into_split();
        (read, Pipe { stream, tls })
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut dyn Both> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream),
            Self::Secure(stream) => Pin::new(stream),
        }
    }
}

trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Both for T {}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}

/// The sending side of a WebSocket's stream. Nothing here waits.
pub(crate) struct Pipe {
    stream: OwnedWriteHalf,
    tls: Option<Box<Cipher>>,
}

impl Pipe {
    pub(crate) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.write(slices),
            Some(tls) => tls.write(&self.stream, slices),
        }
    }

    /// What most clients of a broadcast get. One slice costs the kernel less than several, `sendmsg` less than `writev`, and
    /// to ask it at once less than to ask tokio first what the kernel is thought to say.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = SockRef::from(self.stream.as_ref());
        let sent = match slices {
            [one] => socket.send(one),
            several => socket.send_vectored(several),
        };
        match sent {
            // That tokio must hear, or it would not wake the task when there is room.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.stream.try_write_vectored(slices)
            }
            sent => sent,
        }
    }

    /// Lets go of its half without shutting it: whoever has the other one closes the stream.
    pub(super) fn forget(self) {
        self.stream.forget();
    }

    /// Whether something was taken that the kernel has not got yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.0.wants_write())
    }

    /// Gives that to the kernel. Whether nothing of it is left.
    pub(crate) fn catch_up(&mut self) -> io::Result<bool> {
        match &mut self.tls {
            None => Ok(true),
            Some(tls) => tls.catch_up(&self.stream),
        }
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }
}

/// A TLS connection after its handshake.
struct Cipher(ServerConnection);

impl Cipher {
    fn write(&mut self, stream: &OwnedWriteHalf, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.catch_up(stream)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.0.writer().write_vectored(slices)?;
        self.catch_up(stream)?;
        Ok(taken)
    }

    fn catch_up(&mut self, stream: &OwnedWriteHalf) -> io::Result<bool> {
        while self.0.wants_write() {
            match self.0.write_tls(&mut Kernel(stream)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Decrypts `input` onto `text`. Whether the client may send more; `Err` if it broke the protocol.
    fn read(&mut self, mut input: &[u8], text: &mut Vec<u8>) -> Result<bool, ()> {
        // The first round is for what came with the handshake.
        loop {
            let state = self.0.process_new_packets().map_err(drop)?;
            let start = text.len();
            text.resize(start + state.plaintext_bytes_to_read(), 0);
            let room = text.get_mut(start..).unwrap_or_default();
            self.0.reader().read_exact(room).map_err(drop)?;
            if state.peer_has_closed() {
                return Ok(false);
            }
            if input.is_empty() {
                return Ok(true);
            }
            // A slice is read at once, or what waits for the rest of its record has become too large.
            self.0.read_tls(&mut input).map_err(drop)?;
        }
    }
}

/// What the kernel takes at once.
struct Kernel<'a>(&'a OwnedWriteHalf);

impl Write for Kernel<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Session {
    /// Decrypts what was read onto `text`; says why if no more can come.
    pub(super) fn decrypt(&self, input: &[u8], text: &mut Vec<u8>) -> Option<DisconnectReason> {
        let mut link = self.lock();
        let Transport::WebSocket(Pipe { stream, tls: Some(tls) }) = &mut link.transport else {
            return Some(DisconnectReason::TransportClose);
        };
        let read = tls.read(input, text);
        // An alert, or an answer to new keys. What is not taken now goes out before the next frame.
        let written = tls.catch_up(stream);
        match (read, written) {
            (Ok(true), Ok(_)) => None,
            (Ok(false), Ok(_)) => Some(DisconnectReason::TransportClose),
            _ => Some(DisconnectReason::TransportError),
        }
    }

    /// Says, where TLS is spoken, that nothing more will come: an end that nobody has faked.
    pub(super) fn end_tls(&self) {
        if let Transport::WebSocket(Pipe { tls: Some(tls), .. }) = &mut self.lock().transport {
            tls.0.send_close_notify();
        }
    }
}
