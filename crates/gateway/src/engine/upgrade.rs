//! The move of a session from polling to WebSocket: `2probe`, `3probe`, then `5`.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tidings_protocol::engineio::{PacketRef, decode_ref};
use tidings_protocol::websocket::{self, Decoder, Message, Opcode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use crate::gateway::GOODBYE;

use super::conn::Conn;
use super::link::{Probe, Transport};
use super::pipe::Stream;
use super::session::Session;
use super::takeover::Carried;

/// Bytes of a probing client that are looked at together.
const CHUNK: usize = 512;

/// Lets a WebSocket try to take over the session. Only one may at a time; another is accepted and closed, as
/// the reference server does.
pub(super) fn start(session: Arc<Session>, claim: Option<Claim>, carried: Carried) {
    let gateway = session.gateway.clone();
    gateway.clone().spawn(async move {
        let Carried { mut stream, early, unsent } = carried;
        let Some(claim) = claim else { return reject(stream, &unsent).await };
        let mut decoder = Decoder::new(gateway.config.max_payload);
        let mut input = Input { bytes: early.to_vec(), at: 0 };
        let probed = async {
            stream.write_all(&unsent).await?;
            stream.flush().await?;
            probe(&session, &mut stream, &mut decoder, &mut input).await
        };
        match timeout(gateway.config.upgrade_timeout, probed).await {
            Ok(Ok(())) => take_over(&session, stream, claim, decoder, &input),
            _ => {
                drop(claim);
                reject(stream, &[]).await;
            }
        }
    });
}

/// What was read and not decoded yet.
struct Input {
    bytes: Vec<u8>,
    at: usize,
}

/// Answers the probe and returns when the client decides to move. Everything else is an error.
async fn probe(
    session: &Session,
    stream: &mut Stream,
    decoder: &mut Decoder,
    input: &mut Input,
) -> io::Result<()> {
    loop {
        let Message::Text(text) = next(session, stream, decoder, input).await? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        match decode_ref(&text) {
            Ok(PacketRef::Ping("probe")) => {
                // Noted first: the client may act on the answer before we come back from sending it.
                session.set_probed();
                stream.write_all(&websocket::frame(Opcode::Text, b"3probe")).await?;
                stream.flush().await?;
                session.lock().wake_poll();
            }
            Ok(PacketRef::Upgrade) if session.is_probed() => return Ok(()),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The next data message; an error if the session ends meanwhile.
async fn next(
    session: &Session,
    stream: &mut Stream,
    decoder: &mut Decoder,
    input: &mut Input,
) -> io::Result<Message> {
    loop {
        let mut rest = input.bytes.get(input.at..).unwrap_or_default();
        let before = rest.len();
        let decoded = decoder.decode(&mut rest).map_err(|_| io::ErrorKind::InvalidData)?;
        input.at += before - rest.len();
        match decoded {
            Some(Message::Ping(_) | Message::Pong(_)) => {}
            Some(message) => return Ok(message),
            None => {
                let mut chunk = [0; CHUNK];
                let count = poll_fn(|cx| poll_read(session, stream, &mut chunk, cx)).await?;
                *input = Input { bytes: chunk.get(..count).unwrap_or_default().to_vec(), at: 0 };
            }
        }
    }
}

fn poll_read(
    session: &Session,
    stream: &mut Stream,
    chunk: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    session.waker.register(cx.waker());
    if !session.is_open() {
        return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
    }
    let mut buffer = ReadBuf::new(chunk);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    match buffer.filled().len() {
        0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        count => Poll::Ready(Ok(count)),
    }
}

/// From here on the WebSocket carries the session; what is queued goes out on it first.
fn take_over(
    session: &Arc<Session>,
    stream: Stream,
    claim: Claim,
    decoder: Decoder,
    input: &Input,
) {
    let (read, write) = stream.split();
    {
        let mut link = session.lock();
        if link.closed.is_some() {
            return;
        }
        link.wake_poll();
        link.transport = Transport::WebSocket(write);
        link.corks = link.corks.saturating_add(1);
    }
    drop(claim);
    session.gateway.metrics.upgraded();
    Conn::start(session.clone(), read, decoder, input.bytes.get(input.at..).unwrap_or_default());
}

/// Closes a WebSocket that got no session.
async fn reject(mut stream: Stream, unsent: &[u8]) {
    let _ = timeout(GOODBYE, async {
        stream.write_all(unsent).await?;
        stream.write_all(&websocket::close_frame(1008, "upgrade refused")).await?;
        stream.shutdown().await?;
        let mut ignored = [0; CHUNK];
        while stream.read(&mut ignored).await? > 0 {}
        io::Result::Ok(())
    })
    .await;
}

/// The right to try; given back if nothing comes of it.
pub(super) struct Claim(Arc<Session>);

impl Claim {
    pub(super) fn take(session: &Arc<Session>) -> Option<Self> {
        let mut link = session.lock();
        if link.closed.is_some() {
            return None;
        }
        let polling = link.polling().filter(|polling| polling.probe == Probe::None)?;
        polling.probe = Probe::Claimed;
        Some(Self(session.clone()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(polling) = self.0.lock().polling() {
            polling.probe = Probe::None;
        }
    }
}

impl Session {
    /// Polls are answered at once from here on, so that the client can leave them.
    fn set_probed(&self) {
        if let Some(polling) = self.lock().polling() {
            polling.probe = Probe::Probed;
        }
    }

    fn is_probed(&self) -> bool {
        self.lock().polling().is_some_and(|polling| polling.probe == Probe::Probed)
    }
}
