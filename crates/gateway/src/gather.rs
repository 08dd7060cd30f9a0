//! What HTTP writes to a connection between two waits leaves in one piece.
//!
//! hyper writes and flushes every answer alone, so whoever sends requests in a bunch would cost a system call for each answer.
//! Here a write is held, and who polls hyper [sends](Gather::poll_send) what is held at the end of each of its polls: nothing
//! waits any longer than that. What does not fit in a small buffer is not held. An idle connection has no buffer.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes held at most.
const MOST: usize = 16 << 10;

thread_local! {
    /// A buffer that nobody uses now.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A stream that hyper writes to. All clones are the same: one is hyper's, another is for who polls it.
pub(crate) struct Gather<T>(Arc<Mutex<Held<T>>>);

struct Held<T> {
    /// `None` once it was taken.
    stream: Option<T>,
    bytes: Vec<u8>,
    /// How many of them were sent.
    sent: usize,
    /// Something was written since the stream was last flushed.
    dirty: bool,
    /// The stream took no more when it was last asked: then hyper has to know.
    blocked: bool,
}

impl<T> Clone for Gather<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Gather<T> {
    pub(crate) fn new(stream: T) -> Self {
        let stream = Some(stream);
        let held = Held { stream, bytes: Vec::new(), sent: 0, dirty: false, blocked: false };
        Self(Arc::new(Mutex::new(held)))
    }

    /// Sends what is held. To be called after every poll of who writes.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_send(cx)
    }

    /// Takes the stream away, and what is to be sent on it before anything else.
    pub(crate) fn take(&self) -> Option<(T, Bytes)> {
        let mut held = self.0.lock();
        let unsent = Bytes::copy_from_slice(held.unsent());
        held.let_go();
        Some((held.stream.take()?, unsent))
    }
}

impl<T> Held<T> {
    fn unsent(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// Whether there is room for so many bytes more.
    fn fits(&self, more: usize) -> bool {
        self.bytes.len() + more <= MOST
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
        }
        self.bytes.extend_from_slice(bytes);
        self.dirty = true;
    }

    fn let_go(&mut self) {
        self.sent = 0;
        let mut spare = mem::take(&mut self.bytes);
        if spare.capacity() > 0 {
            spare.clear();
            SPARE.set(spare);
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut T>>
    where
        T: Unpin,
    {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Held<T> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.dirty {
            return Poll::Ready(Ok(()));
        }
        let polled = self.poll_all(cx);
        self.blocked = polled.is_pending();
        polled
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        ready!(self.stream()?.poll_flush(cx))?;
        self.dirty = false;
        Poll::Ready(Ok(()))
    }

    /// Hands over what is held.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let unsent = self.bytes.get(self.sent..).unwrap_or_default();
            match ready!(Pin::new(stream).poll_write(cx, unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        self.let_go();
        Poll::Ready(Ok(()))
    }

    /// Makes room for so many bytes. Whether they may be held; otherwise they are too many, and nothing is before them.
    fn poll_room(&mut self, more: usize, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.fits(more) {
            ready!(self.poll_empty(cx))?;
            self.dirty = true;
        }
        Poll::Ready(Ok(self.fits(more)))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.lock().stream()?.poll_read(cx, buffer)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gather<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut held = self.0.lock();
        if ready!(held.poll_room(bytes.len(), cx))? {
            held.hold(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        held.stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut held = self.0.lock();
        let length = slices.iter().map(|slice| slice.len()).sum();
        if ready!(held.poll_room(length, cx))? {
            slices.iter().for_each(|slice| held.hold(slice));
            return Poll::Ready(Ok(length));
        }
        held.stream()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    /// Done at the end of the poll, unless the stream is known to be full.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.0.lock();
        if held.blocked { held.poll_send(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.0.lock();
        ready!(held.poll_send(cx))?;
        held.stream()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    /// Takes as many bytes as it has room for, like a socket whose buffer is nearly full.
    #[derive(Default)]
    struct Socket {
        taken: Vec<u8>,
        room: usize,
        writes: usize,
    }

    impl AsyncRead for Socket {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Socket {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Poll::Pending;
            }
            self.room -= count;
            self.writes += 1;
            self.taken.extend(bytes.iter().take(count));
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn gather(room: usize) -> Gather<Socket> {
        Gather::new(Socket { room, ..Socket::default() })
    }

    fn write(gather: &mut Gather<Socket>, bytes: &[u8]) -> usize {
        match Pin::new(gather).poll_write(&mut cx(), bytes) {
            Poll::Ready(written) => written.expect("no error"),
            Poll::Pending => 0,
        }
    }

    fn is_flushed(gather: &mut Gather<Socket>) -> bool {
        Pin::new(gather).poll_flush(&mut cx()).is_ready()
    }

    fn give_room(gather: &Gather<Socket>, room: usize) {
        gather.0.lock().stream.as_mut().expect("not taken").room = room;
    }

    proptest! {
        /// Whatever the socket takes and whenever it is asked, the bytes are those that were written, in order.
        #[test]
        fn order_is_kept(
            writes in proptest::collection::vec((1usize..6_000, 0usize..9_000, any::<bool>()), 1..40),
        ) {
            let mut gather = gather(0);
            let mut given: Vec<u8> = Vec::new();
            for (length, room, ends) in writes {
                give_room(&gather, room);
                let bytes: Vec<u8> = (given.len()..given.len() + length * 4).map(|n| (n % 251) as u8).collect();
                let written = write(&mut gather, &bytes);
                given.extend(&bytes[..written]);
                prop_assert!(gather.0.lock().bytes.len() <= MOST);
                if ends && gather.poll_send(&mut cx()).is_ready() {
                    prop_assert_eq!(gather.0.lock().bytes.capacity(), 0);
                }
            }
            let (socket, unsent) = gather.take().expect("not taken yet");
            prop_assert_eq!([&socket.taken[..], &unsent].concat(), given);
        }
    }

    #[test]
    fn what_is_written_between_two_waits_leaves_in_one_write() {
        let mut gather = gather(usize::MAX);
        for _ in 0..10 {
            assert_eq!(write(&mut gather, b"answer"), 6);
            assert!(is_flushed(&mut gather));
        }
        assert!(gather.0.lock().stream.as_ref().expect("there").taken.is_empty());
        assert!(gather.poll_send(&mut cx()).is_ready());
        assert_eq!(gather.0.lock().bytes.capacity(), 0, "nothing is kept");
        let (socket, unsent) = gather.take().expect("not taken yet");
        assert_eq!((socket.writes, socket.taken.len(), unsent.len()), (1, 60, 0));
    }

    #[test]
    fn a_full_socket_is_told() {
        let mut gather = gather(0);
        write(&mut gather, b"answer");
        assert!(is_flushed(&mut gather), "nobody has tried yet");
        assert!(gather.poll_send(&mut cx()).is_pending());
        assert!(!is_flushed(&mut gather));
        let large = [0; MOST];
        assert_eq!(write(&mut gather, &large), 0, "no room");
        give_room(&gather, 6);
        assert!(is_flushed(&mut gather));
        let (socket, unsent) = gather.take().expect("not taken yet");
        assert_eq!((&socket.taken[..], unsent.len()), (&b"answer"[..], 0));
    }
}
