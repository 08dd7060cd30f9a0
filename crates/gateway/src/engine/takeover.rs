//! What becomes of a connection when HTTP has been upgraded to a WebSocket.

use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::unconstrained;

use crate::gather::Gather;

use super::pipe::Stream;

/// A connection that HTTP is done with.
pub(super) struct Carried {
    pub(super) stream: Stream,
    /// What the client has sent behind its request.
    pub(super) early: Bytes,
    /// The end of what HTTP had to say, which nobody has sent yet: the answer to the upgrade.
    pub(super) unsent: Bytes,
}

/// Who goes on with it. Dropped if it never comes to that.
pub(crate) struct Takeover {
    upgrade: OnUpgrade,
    next: Box<dyn FnOnce(Carried) + Send>,
}

impl Takeover {
    pub(super) fn new(upgrade: OnUpgrade, next: impl FnOnce(Carried) + Send + 'static) -> Self {
        Self { upgrade, next: Box::new(next) }
    }

    /// To be called when hyper has ended; `T` is the stream that it was given.
    pub(crate) fn begin<T>(self)
    where
        T: AsyncRead + AsyncWrite + Unpin + Into<Stream> + 'static,
    {
        // Hyper has spoken already. Without a budget that this task may have spent on the requests before.
        let spoken = unconstrained(self.upgrade).now_or_never();
        // Otherwise the connection has ended before the answer.
        let Some(Ok(upgraded)) = spoken else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<Gather<T>>>() else { return };
        let Some((stream, unsent)) = parts.io.into_inner().take() else { return };
        (self.next)(Carried { stream: stream.into(), early: parts.read_buf, unsent });
    }
}
