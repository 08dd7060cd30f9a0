//! The end of a WebSocket: what is queued is written, then our side is shut, and the client gets a moment to
//! read it and close too. Dropping the stream with unread input in it would reset the connection
//! and lose what was just sent.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::timeout;

use crate::gateway::{GOODBYE, Inner};

use super::link::{Flushed, Transport};
use super::session::Session;

/// Hands a closed session's stream to a task of its own, which ends soon in any case.
pub(crate) fn linger(session: Arc<Session>, stream: OwnedReadHalf) {
    let goodbye = Goodbye::new(&session.gateway);
    let gateway = session.gateway.clone();
    gateway.spawn(async move {
        let _goodbye = goodbye;
        // If the time is up, the stream is dropped as it is.
        let _ = timeout(GOODBYE, finish(&session, stream)).await;
        session.drop_transport();
    });
}

async fn finish(session: &Arc<Session>, mut stream: OwnedReadHalf) {
    if !write_all(session, &stream).await {
        return;
    }
    session.end_tls();
    if !write_all(session, &stream).await {
        return;
    }
    // Dropping the writing half shuts it.
    session.drop_transport();
    let mut ignored = [0; 512];
    while matches!(stream.read(&mut ignored).await, Ok(count) if count > 0) {}
}

/// Whether all that waits was written.
async fn write_all(session: &Arc<Session>, stream: &OwnedReadHalf) -> bool {
    loop {
        match session.flush() {
            Flushed::All => return true,
            Flushed::Waiting if stream.as_ref().writable().await.is_ok() => {}
            Flushed::Waiting | Flushed::Broken => return false,
        }
    }
}

impl Session {
    /// Lets go of the stream and of whatever could not be written.
    pub(crate) fn drop_transport(&self) {
        let mut link = self.lock();
        link.out.clear();
        link.transport = Transport::Gone;
    }

    /// The same without shutting it, for who closes the stream next.
    pub(super) fn forget_transport(&self) {
        let mut link = self.lock();
        link.out.clear();
        if let Transport::WebSocket(pipe) = mem::replace(&mut link.transport, Transport::Gone) {
            pipe.forget();
        }
    }
}

/// Counted while it lives, so that a drain can wait.
pub(crate) struct Goodbye(Arc<Inner>);

impl Goodbye {
    pub(crate) fn new(gateway: &Arc<Inner>) -> Self {
        gateway.lingering.fetch_add(1, Ordering::Relaxed);
        Self(gateway.clone())
    }
}

impl Drop for Goodbye {
    fn drop(&mut self) {
        self.0.lingering.fetch_sub(1, Ordering::Relaxed);
    }
}
